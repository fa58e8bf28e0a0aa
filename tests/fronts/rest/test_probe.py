"""`POST /api/v1/probe`: its answer, its errors, its log line, and a client that leaves."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from support.fake_prober import FOUND
from support.served_api import AUTH, ServedApi
from support.waiting import wait_until

from downloadd.errors import (
    DomainBlockedError,
    DownloadError,
    FileTooLargeError,
    NetworkError,
    ProbeTimeoutError,
    RemoteError,
    RemoteFileNotFoundError,
)
from downloadd.fronts.rest.probe import make_probe_response

SECRET = "hush4711"
BODY = {
    "url": f"https://ann:{SECRET}@files.example.com/a?token={SECRET}",
    "filename": "mine.zip",
    "headers": {"X-Key": SECRET},
    "auth": {"user": "bob", "password": SECRET},
}


async def post(api: ServedApi, body: Any, token: str = "open-sesame") -> tuple[int, dict[str, Any], dict[str, str]]:
    headers = {"Authorization": f"Bearer {token}"}
    async with api.client.post("/api/v1/probe", json=body, headers=headers) as response:
        return response.status, await response.json(), dict(response.headers)


async def test_the_answer_has_all_facts(api: ServedApi) -> None:
    status, answer, _ = await post(api, BODY)
    assert (status, answer) == (
        200,
        {
            "url": "https://cdn.example/data.zip",
            "redirects": 1,
            "filename": "data.zip",
            "size": 3_000_000,
            "content_type": "application/zip",
            "ranges": True,
            "etag": '"v1"',
            "last_modified": 784_111_777,
            "checksum": f"sha-256={'0' * 64}",
            "resumable": True,
            "warning": None,
            "success": True,
        },
    )
    [request] = api.prober.requests
    assert (request.url, request.filename, request.directory) == (BODY["url"], "mine.zip", "")
    assert request.headers == {"X-Key": SECRET}
    assert api.manager.downloads == {}


def test_every_fact_of_a_probe_is_in_its_answer() -> None:
    assert len(make_probe_response(FOUND).__struct_fields__) == len(FOUND.__struct_fields__) + 1


async def test_the_log_line_has_the_url_without_secrets(api: ServedApi, lines: list[MutableMapping[str, Any]]) -> None:
    await post(api, BODY)
    [line] = [line for line in lines if line["event"] == "request"]
    assert (line["path"], line["url"]) == ("/api/v1/probe", "https://files.example.com/a?token=***")
    assert SECRET not in str(lines)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DomainBlockedError("blocked"), 403),
        (RemoteFileNotFoundError(410), 404),
        (FileTooLargeError(9), 413),
        (NetworkError("refused"), 502),
        (RemoteError(403), 502),
        (ProbeTimeoutError(30, has_started=True), 504),
    ],
)
async def test_an_error_has_the_status_of_its_code(api: ServedApi, error: DownloadError, status: int) -> None:
    api.prober.error = error
    found, answer, fields = await post(api, BODY)
    assert (found, answer) == (status, {"error": error.code, "success": False, "detail": error.detail})
    assert "Retry-After" not in fields


async def test_the_time_that_an_origin_asks_for_is_passed_on(api: ServedApi) -> None:
    api.prober.error = RemoteError(503, retry_after=119.5)
    assert (await post(api, BODY))[2]["Retry-After"] == "120"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "url"),
        ({"url": 7}, "url"),
        ({"url": "https://a.example/", "colour": SECRET}, "colour"),
        ({"url": "https://a.example/", "directory": "d"}, "directory"),
        ({"url": "https://a.example/", "method": "POST", "body": SECRET}, "method: a probe sends GET only"),
        ({"url": "https://a.example/", "headers": {"Host": SECRET}}, "headers: Host cannot be set"),
        ([], "expected"),
    ],
)
async def test_an_invalid_body_is_refused_with_the_parameter(api: ServedApi, body: Any, detail: str) -> None:
    status, answer, _ = await post(api, body)
    assert (status, answer["error"]) == (400, "INVALID_PARAMETER")
    assert detail in answer["detail"]
    assert SECRET not in str(answer)
    assert api.prober.requests == []


@pytest.mark.parametrize("token", ["may-look", "may-import"])
async def test_a_user_without_the_permission_sends_no_request(api: ServedApi, token: str) -> None:
    assert (await post(api, BODY, token))[0] == 403
    assert api.prober.requests == []


async def test_a_client_that_disconnects_ends_its_probe(api: ServedApi, lines: list[MutableMapping[str, Any]]) -> None:
    api.prober.proceed.clear()
    body = json.dumps({"url": "https://a.example/"}).encode()
    head = f"POST /api/v1/probe HTTP/1.1\r\nHost: api\r\nAuthorization: {AUTH['Authorization']}\r\n"
    _, writer = await asyncio.open_connection(api.server.host, api.server.port)
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await wait_until(lambda: api.prober.requests)
    writer.close()
    await wait_until(lambda: api.prober.cancelled)
    await wait_until(lambda: [line["status"] for line in lines if line["event"] == "request"] == [499])
    assert [line["event"] for line in lines if line.get("log_level") == "error"] == []
