"""The paths of the RPC interface on a real socket: statuses, header fields, limits, the log."""

import asyncio
import gzip
import io
import json
import xmlrpc.client
from base64 import b64encode
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from support.served_api import TOKEN, ServedApi

from downloadd.config import Aria2Config
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.connection_limit import ConnectionLimit
from downloadd.fronts.rest.schemas import MAX_BODY_BYTES

SECRET = f"token:{TOKEN}"
ECHO = {"id": 1, "method": "aria2.echo", "params": [SECRET, 5]}
START = "/jsonrpc?download=http%3A%2F%2Ffiles.example.com%2Fa"


async def post(
    api: ServedApi, data: Any, path: str = "/jsonrpc", **fields: str
) -> tuple[aiohttp.ClientResponse, bytes]:
    """Return the response to a body without a media type, and without a token in the head."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    headers = {"Authorization": "", "Accept-Encoding": "", **{name.replace("_", "-"): fields[name] for name in fields}}
    async with api.client.post(path, data=io.BytesIO(body), headers=headers) as response:
        return response, await response.read()


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream", "x"],
)
async def test_a_call_is_answered_whatever_its_media_type_is(api: ServedApi, media_type: str) -> None:
    response, body = await post(api, ECHO, Content_Type=media_type)
    assert body == b'{"id":1,"jsonrpc":"2.0","result":[5]}'
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json-rpc"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-Id"] == api.methods.request_ids[-1]


async def test_a_query_behind_the_path_is_ignored_in_a_post(api: ServedApi) -> None:
    _, body = await post(api, ECHO, "/jsonrpc?tm=1&download=x&method=y&jsoncallback=z")
    assert json.loads(body)["result"] == [5]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 500, -32700),
        (b"nonsense", 500, -32700),
        (b"[" * 100_000, 500, -32700),
        ({"method": "a"}, 400, -32600),
        ({"id": 1, "method": "a", "params": {}}, 500, -32602),
        ({"id": 1, "method": "aria2.none", "params": [SECRET]}, 400, 1),
        ({"id": 1, "method": "aria2.echo", "params": ["token:wrong"]}, 400, 1),
    ],
)
async def test_an_error_has_the_status_of_aria2_and_is_counted_as_one_of_the_client(
    api: ServedApi, lines: list[MutableMapping[str, Any]], data: Any, status: int, code: int
) -> None:
    response, body = await post(api, data)
    assert response.status == status
    assert json.loads(body)["error"]["code"] == code
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert api.metrics.requests == [("POST", 400)]
    [line] = [line for line in lines if line["event"] == "request"]
    assert line["status"] == 400
    assert line.get("sent_status") == (500 if status == 500 else None)


async def test_a_batch_has_status_200_even_if_all_its_calls_fail(api: ServedApi) -> None:
    response, body = await post(api, [{"id": number, "method": "aria2.none", "params": [SECRET]} for number in (1, 2)])
    assert response.status == 200
    assert [each["error"]["message"] for each in json.loads(body)] == ["No such method: aria2.none"] * 2


async def test_a_get_request_has_its_call_in_the_query(api: ServedApi) -> None:
    params = b64encode(json.dumps([SECRET, "é"]).encode()).decode()
    query = {"method": "aria2.echo", "id": "1", "params": params, "jsonrpc": "2.0", "jsoncallback": "cb"}
    async with api.client.get("/jsonrpc", params=query, headers={"Authorization": ""}) as response:
        assert await response.text() == 'cb({"id":"1","jsonrpc":"2.0","result":["é"]})'
        assert response.headers["Content-Type"] == "text/javascript"
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    async with api.client.get("/jsonrpc") as response:
        assert response.status == 400


async def test_xml_is_answered_in_xml(api: ServedApi) -> None:
    response, body = await post(api, xmlrpc.client.dumps((SECRET, 5), "aria2.echo").encode(), "/rpc")
    assert (response.status, response.headers["Content-Type"]) == (200, "text/xml")
    assert xmlrpc.client.loads(body)[0] == ([5],)
    response, body = await post(api, b"<a>", "/rpc")
    assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (400, "*")
    with pytest.raises(xmlrpc.client.Fault):
        xmlrpc.client.loads(body)


@pytest.mark.parametrize("path", ["/jsonrpc", "/rpc"])
async def test_answers_are_compressed_for_clients_that_ask_for_it(api: ServedApi, path: str) -> None:
    response, body = await post(api, b"x", path, Accept_Encoding="gzip, deflate")
    assert response.headers["Content-Encoding"] == "gzip"
    assert b"Parse error." in body, "the client has decompressed it"


async def test_a_large_answer_is_compressed_too(api: ServedApi) -> None:
    call = {"id": 1, "method": "aria2.large", "params": [SECRET, 300_000]}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as client,
        client.post(api.client.make_url("/jsonrpc"), json=call) as response,
    ):
        assert len(json.loads(gzip.decompress(await response.read()))["result"]) == 300_000


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/jsonrpc", "/rpc"])
async def test_a_body_above_16_mib_is_answered_with_413(api: ServedApi, path: str) -> None:
    response, body = await post(api, b" " * (MAX_BODY_BYTES + 1), path)
    assert response.status == 413
    assert b"16777216 bytes" in body
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/jsonrpc", "/rpc"])
async def test_a_long_body_needs_a_right_token_in_its_beginning(api: ServedApi, path: str) -> None:
    filler = "x" * 1_200_000

    async def answer(token: str) -> tuple[int, bytes]:
        if path == "/rpc":
            data: Any = xmlrpc.client.dumps((token, filler), "aria2.echo").encode()
        else:
            data = {"id": 1, "method": "aria2.echo", "params": [token, filler]}
        response, body = await post(api, data, path)
        return response.status, body

    status, body = await answer(SECRET)
    assert (status, filler.encode() in body) == (200, True)
    status, body = await answer("token:wrong")
    assert (status, b"Unauthorized" in body) == (400, True)
    assert len(api.methods.calls) == 1


async def test_a_body_with_malformed_framing_is_a_parse_error(api: ServedApi) -> None:
    head = b"POST /jsonrpc HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n"
    received = await api.exchange(head + b"zz\r\n")
    assert b" 400 " in received


async def test_a_slow_body_is_refused_and_pages_may_read_why() -> None:
    api = ServedApi(aria2=Aria2Config(), reader=BodyReader(max_wait=0.1), server={"lingering_time": 0.2})
    async with api.client:
        reader, writer = await asyncio.open_connection(api.server.host, api.server.port)
        writer.write(b"POST /jsonrpc HTTP/1.1\r\nHost: api\r\nContent-Length: 5\r\n\r\n{")
        async with asyncio.timeout(30):
            received = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert b" 408 " in received
    assert b"Access-Control-Allow-Origin: *" in received


async def test_clients_that_send_no_body_do_not_keep_others_from_connecting() -> None:
    api = ServedApi(aria2=Aria2Config(), server={"limit": ConnectionLimit(2)})
    async with api.client:
        stalled = [await asyncio.open_connection(api.server.host, api.server.port) for _ in range(2)]
        for _, writer in stalled:
            writer.write(b"POST /jsonrpc HTTP/1.1\r\nHost: api\r\nContent-Length: 5\r\n\r\n{")
        reader, _ = stalled[0]
        # The answer comes as soon as both are read from; until then the new connection is the one that is closed.
        while True:
            with suppress(aiohttp.ClientError):
                _, body = await post(api, ECHO)
                break
        assert json.loads(body)["result"] == [5]
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        for _, writer in stalled:
            writer.close()


# -- pages and other guards --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/jsonrpc", "/rpc"])
async def test_a_preflight_request_needs_no_token(api: ServedApi, path: str) -> None:
    fields = {"Authorization": "", "Origin": "https://a.example", "Access-Control-Request-Headers": "x-a"}
    async with api.client.options(path, headers=fields) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Access-Control-Allow-Methods"] == "POST, GET, OPTIONS"
        assert response.headers["Access-Control-Allow-Headers"] == "x-a"


@pytest.mark.parametrize("origin", ["https://a.example", "null", "chrome-extension://abc"])
async def test_pages_of_other_sites_may_call(api: ServedApi, origin: str) -> None:
    response, body = await post(api, ECHO, Origin=origin, Sec_Fetch_Site="cross-site")
    assert json.loads(body)["result"] == [5]
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_the_header_fields_of_the_rest_api_authorise_nothing(api: ServedApi) -> None:
    response, body = await post(api, {**ECHO, "params": []}, Authorization=f"Bearer {TOKEN}")
    assert json.loads(body)["error"]["message"] == "Unauthorized"
    assert response.status == 400


async def test_pages_of_other_origins_than_the_listed_ones_are_refused() -> None:
    api = ServedApi(aria2=Aria2Config(allow_origins=("https://a.example",)))
    async with api.client:
        response, body = await post(api, ECHO, Origin="https://a.example")
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, "https://a.example")
        response, body = await post(api, ECHO, Origin="https://b.example")
        assert (response.status, json.loads(body)["error"]) == (403, "CROSS_SITE_REQUEST")
        assert "Access-Control-Allow-Origin" not in response.headers
        response, body = await post(api, ECHO)
        assert response.status == 200


async def test_a_rebound_host_is_refused_and_pages_may_read_why(api: ServedApi) -> None:
    response, body = await post(api, ECHO, Host="rebound.example")
    assert (response.status, json.loads(body)["error"]) == (421, "HOST_NOT_ALLOWED")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert api.methods.calls == []


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_connections_are_kept_in_both_versions_of_http(api: ServedApi, version: str) -> None:
    body = json.dumps(ECHO).encode()
    head = f"POST /jsonrpc HTTP/{version}\r\nHost: api\r\nContent-Length: {len(body)}\r\nConnection: "
    received = await api.exchange(
        b"".join(head.encode() + each + b"\r\n\r\n" + body for each in (b"keep-alive", b"close"))
    )
    assert received.count(b'{"id":1,"jsonrpc":"2.0","result":[5]}') == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/jsonrpc"), ("DELETE", "/jsonrpc"), ("HEAD", "/jsonrpc"), ("GET", "/rpc"), ("POST", "/jsonrpc/"),
     ("POST", "/jsonrpcx"), ("GET", "/jsonrpc/"), ("POST", "/JSONRPC"), ("POST", "/rpc/x"), ("POST", "/%6Asonrpc")],
)  # fmt: skip
async def test_other_methods_and_paths_are_not_served(api: ServedApi, method: str, path: str) -> None:
    status, _, _ = await api.raw(method, path)
    assert status in {404, 405}
    assert api.methods.calls == []


async def test_a_directory_may_have_the_name_of_a_path(api: ServedApi) -> None:
    status, _, body = await api.raw("GET", START)
    assert (status, json.loads(body)["path"]) == (201, "jsonrpc/a")
    status, _, body = await api.raw("GET", "/jsonrpc?downloads=")
    assert (status, len(json.loads(body)["downloads"])) == (200, 1)
    status, fields, _ = await api.raw("GET", "/rpc/deeper?downloads=")
    assert status == 200
    assert "Access-Control-Allow-Origin" not in fields
    status, fields, body = await api.raw("GET", f"{START}&method=system.listNotifications&id=1")
    assert (status, b"onDownloadStart" in body) == (200, True)


async def test_a_directory_of_that_name_is_protected_from_pages(api: ServedApi) -> None:
    status, fields, body = await api.raw("GET", START, "Origin: https://a.example")
    assert (status, json.loads(body)["error"]) == (403, "CROSS_SITE_REQUEST")
    assert "Access-Control-Allow-Origin" not in fields


async def test_the_paths_are_below_the_base_path() -> None:
    api = ServedApi(aria2=Aria2Config(), base_path="/dl")
    async with api.client:
        _, body = await post(api, ECHO, "/dl/jsonrpc")
        assert json.loads(body)["result"] == [5]
        response, _ = await post(api, ECHO)
        assert response.status == 404


async def test_without_the_interface_the_paths_are_directories() -> None:
    api = ServedApi()
    async with api.client:
        response, _ = await post(api, ECHO)
        assert response.status == 405
        assert (await api.raw("GET", START))[0] == 201


# -- the log and the metrics -------------------------------------------------------------------------------------------


async def test_the_log_has_user_and_method_and_neither_tokens_nor_the_query(
    api: ServedApi, lines: list[MutableMapping[str, Any]]
) -> None:
    params = b64encode(json.dumps([SECRET]).encode()).decode()
    for path in (f"/jsonrpc?method=aria2.echo&id={TOKEN}&params={params}", f"/jsonrpc?{SECRET}"):
        async with api.client.get(path, headers={"Authorization": ""}) as response:
            await response.read()
    await post(api, ECHO)
    await post(api, [ECHO, ECHO])
    await post(api, {"id": 1, "method": f"aria2.{TOKEN}", "params": [SECRET]})
    await post(api, {"id": 1, "method": "aria2.break", "params": [SECRET]})
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line.get("rpc"), line["calls"], line["user"]) for line in requests] == [
        ("aria2.echo", 1, "alice"),
        (None, 1, None),
        ("aria2.echo", 1, "alice"),
        (None, 2, "alice"),
        ("other", 1, "alice"),
        ("aria2.break", 1, "alice"),
    ]
    assert {line["path"] for line in requests} == {"/jsonrpc"}
    assert not any("query" in line and line["query"] for line in requests)
    assert TOKEN not in str(lines)
    assert params not in str(lines)


async def test_wrong_tokens_are_counted_and_never_lock_out_the_address() -> None:
    api = ServedApi(aria2=Aria2Config(), failed_logins=2)
    async with api.client:
        for number in range(10):
            _, body = await post(api, {**ECHO, "params": [f"token:{number}"]})
            assert json.loads(body)["error"]["message"] == "Unauthorized"
        assert api.metrics.failed_logins == 10
        _, body = await post(api, {**ECHO, "params": []})
        assert api.metrics.failed_logins == 10, "a missing token is not a wrong one"
        _, body = await post(api, ECHO)
        assert json.loads(body)["result"] == [5]
        assert (await api.raw("GET", "/api/v1/downloads"))[0] == 200, "nor from the REST API"


async def test_calls_are_counted_by_transport(api: ServedApi) -> None:
    await post(api, [ECHO, ECHO, {}])
    await post(api, xmlrpc.client.dumps((SECRET,), "aria2.echo").encode(), "/rpc")
    assert api.metrics.series.value("downloadd_rpc_calls_total", transport="http") == 3
    assert api.metrics.series.value("downloadd_rpc_calls_total", transport="xml") == 1
