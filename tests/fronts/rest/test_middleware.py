"""Common fields of responses, log lines of requests, and internal errors."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest
from support.served_api import ServedApi
from support.waiting import CONDITION_TIMEOUT

Lines = list[MutableMapping[str, Any]]
START = "/Downloads/a%20b?download=https%3A%2F%2Fann%3Apa55%40files.example.com%2Fa%3Fsig%3Ds3cret"


def request_lines(lines: Lines) -> Lines:
    return [line for line in lines if line["event"] == "request"]


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", START), ("GET", "/nothing"), ("GET", "/api/v1/health"), ("PUT", "/"), ("GET", "/api/v1/metrics"),
     ("HEAD", START), ("OPTIONS", "*"), ("GET", "/api/v1/openapi.json")],
)  # fmt: skip
async def test_every_response_has_the_common_fields(api: ServedApi, method: str, target: str) -> None:
    _, fields, _ = await api.raw(method, target)
    assert fields["X-Content-Type-Options"] == "nosniff"
    assert fields["Cache-Control"] == "no-store"
    assert fields["Server"] == "downloadd"
    assert len(fields["X-Request-Id"]) > 8


@pytest.mark.parametrize(
    ("field", "error", "hosts"),
    [
        ("Origin: https://dl.example.com", "CROSS_SITE_REQUEST", ("https://dl.example.com", "api")),
        ("X-Forwarded-Host: b.example\r\nHost: a.example", "HOST_NOT_ALLOWED", ("a.example", "b.example", "{server}")),
        ("Host: a.example", "HOST_NOT_ALLOWED", ("a.example", "reached at {server}")),
        ("Host: a b", "HOST_NOT_ALLOWED", ('"a b" is not a name', "reached at {server}")),
    ],
)
async def test_a_refused_origin_or_host_is_a_warning_with_both_hosts(
    api: ServedApi, lines: Lines, field: str, error: str, hosts: tuple[str, ...]
) -> None:
    host = "" if "Host: a" in field else "Host: api\r\n"
    request = f"GET /api/v1/downloads HTTP/1.1\r\n{host}{field}\r\nConnection: close\r\n\r\n"
    _, _, body = (await api.exchange(request.encode())).partition(b"\r\n\r\n")
    answer = json.loads(body)
    (warning,) = [line for line in lines if line["event"] == "request_refused"]
    assert warning["log_level"] == "warning"
    assert (warning["error"], warning["detail"], warning["client"]) == (error, answer["detail"], "127.0.0.1")
    server = f"{api.server.host}:{api.server.port}"
    assert all(each.replace("{server}", server) in answer["detail"] for each in hosts)


async def test_request_ids_differ(api: ServedApi) -> None:
    ids = {(await api.raw("GET", "/api/v1/health"))[1]["X-Request-Id"] for _ in range(5)}
    assert len(ids) == 5


async def test_a_start_is_logged_with_its_download_and_without_secrets(api: ServedApi, lines: Lines) -> None:
    _, fields, body = await api.raw("GET", START)
    (line,) = request_lines(lines)
    assert line["method"] == "GET"
    assert line["path"] == "/Downloads/a%20b"
    assert line["query"] == "download"
    assert line["status"] == 201
    assert line["user"] == "alice"
    assert line["download_id"] == json.loads(body)["download_id"]
    assert line["request_id"] == fields["X-Request-Id"]
    assert line["duration_ms"] == 0, "the clock stands still"
    assert line["url"].startswith("https://files.example.com/a")
    assert "pa55" not in str(line)
    assert "s3cret" not in str(line)


@pytest.mark.parametrize(
    "target",
    ["/x?s3cret", "/x?s3cret=1", "/x?token=s3cret", "/api/v1/downloads?s3cret=s3cret", "/x?download=s3cret&a=1"],
)
async def test_the_log_contains_no_query(api: ServedApi, lines: Lines, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    await api.exchange(request.encode())
    (line,) = request_lines(lines)
    assert "s3cret" not in str(line)


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/metrics"])
async def test_what_monitoring_requests_is_logged_at_debug_unless_it_fails(
    api: ServedApi, lines: Lines, path: str
) -> None:
    await api.raw("GET", path)
    await api.raw("PUT", path)
    assert [(line["status"], line["log_level"]) for line in request_lines(lines)] == [(200, "debug"), (405, "info")]


async def test_without_an_access_log_requests_have_no_line(lines: Lines) -> None:
    api = ServedApi(access_log=False)
    async with api.client:
        assert (await api.raw("GET", "/nothing"))[0] == 404
    assert request_lines(lines) == []


async def test_a_path_with_raw_utf_8_is_not_valid_http(api: ServedApi) -> None:
    status, _, body = await api.raw("GET", "/ü?downloads=")
    assert (status, json.loads(body)["error"]) == (400, "INVALID_PARAMETER")


async def test_an_action_is_logged_with_its_download(api: ServedApi, lines: Lines) -> None:
    id = "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"
    await api.raw("POST", f"/api/v1/downloads/{id}/pause")
    await api.raw("POST", "/api/v1/downloads/s3cret/pause")
    first, second = request_lines(lines)
    assert first["download_id"] == id
    assert "download_id" not in second


async def test_requests_are_counted_by_method_and_status(api: ServedApi) -> None:
    await api.raw("GET", "/api/v1/health")
    await api.raw("HEAD", "/api/v1/health")
    await api.raw("PROPFIND", "/api/v1/health")
    assert api.metrics.requests == [("GET", 200), ("HEAD", 200), ("other", 405)]


async def test_an_internal_error_is_a_500_that_names_the_request_and_is_logged(api: ServedApi, lines: Lines) -> None:
    api.manager.failure = RuntimeError("s3cret inside")
    status, fields, body = await api.raw("GET", START)
    answer = json.loads(body)
    assert (status, answer["error"], answer["success"]) == (500, "INTERNAL_ERROR", False)
    assert answer["request_id"] == fields["X-Request-Id"]
    assert b"s3cret" not in body
    (line,) = [line for line in lines if line["event"] == "request_failed"]
    assert line["request_id"] == answer["request_id"]
    assert line["exc_info"]
    assert request_lines(lines)[0]["status"] == 500


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"s3cret\r\n\r\n",
        b"GET /s3cret HTTP/9.9\r\n\r\n",
        b"BREW /s3cret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\ns3cret\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: s3cret\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: s3cret\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"s3cret" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"s3cret" * 5_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03s3cret",
    ],
    ids=["words", "version", "method", "field", "nul", "length", "smuggling", "long-line", "long-field", "tls"],
)
async def test_a_malformed_request_is_answered_in_json_and_not_repeated(
    api: ServedApi, lines: Lines, request_bytes: bytes
) -> None:
    answered = await api.exchange(request_bytes)
    head, _, body = answered.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 400 ")
    assert b"s3cret" not in answered
    assert b"aiohttp" not in answered
    answer = json.loads(body)
    assert (answer["success"], answer["error"]) == (False, "INVALID_PARAMETER")
    assert b"application/json" in head
    assert [line["status"] for line in lines if line["event"] == "request_malformed"] == [400]
    assert "s3cret" not in str(lines)


async def test_a_long_url_is_accepted(api: ServedApi) -> None:
    url = "https%3A%2F%2Fa.example%2F" + "%2F" * 15_000
    assert (await api.raw("GET", f"/d?download={url}"))[0] == 201


async def test_the_absolute_form_of_a_target_is_accepted(api: ServedApi) -> None:
    status, _, _ = await api.raw("GET", "http://api:8080/d?downloads=")
    assert status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /d?downloads=\r\n\r\n",
        b"GET /api/v1/health HTTP/0.9\r\nHost: api\r\n\r\n",
        b"GET /api/v1/health HTTP/2.0\r\nHost: api\r\n\r\n",
        b"POST /api/v1/downloads HTTP/2.0\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["simple-0.9", "0.9", "2.0", "2.0-with-a-body"],
)
async def test_another_major_version_of_http_is_refused(api: ServedApi, lines: Lines, request_bytes: bytes) -> None:
    head, _, body = (await api.exchange(request_bytes)).decode().partition("\r\n\r\n")
    status, *rest = head.split("\r\n")
    fields = dict(line.split(": ", 1) for line in rest)
    assert status == "HTTP/1.1 505 HTTP Version Not Supported"
    assert json.loads(body)["error"] == "HTTP_VERSION_NOT_SUPPORTED"
    assert (fields["Connection"], fields["Server"], fields["X-Content-Type-Options"]) == (
        "close",
        "downloadd",
        "nosniff",
    )
    assert fields["X-Request-Id"]
    assert [line["event"] for line in lines] == ["request"]


async def test_an_unknown_expectation_is_refused_and_not_repeated(api: ServedApi) -> None:
    status, _, body = await api.raw("GET", "/api/v1/health", "Expect: s3cret")
    assert (status, json.loads(body)["error"]) == (400, "INVALID_PARAMETER")
    assert b"s3cret" not in body


async def test_a_body_is_requested_with_100_continue(api: ServedApi) -> None:
    body = b'{"downloads": [{"url": "https://a.example/"}]}'
    request = (
        b"POST /api/v1/downloads HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer open-sesame\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    answered = await api.exchange(request)
    assert answered.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 ")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param(b"Content-Length: 20", 401, id="no-token"),
        pytest.param(b"Authorization: Bearer open-sesame\r\nContent-Length: 99999999", 413, id="too-long"),
        pytest.param(b"Authorization: Bearer open-sesame\r\nContent-Type: a/b\r\nContent-Length: 9", 400, id="no-json"),
    ],
)
async def test_a_body_that_would_be_refused_is_not_requested(api: ServedApi, fields: bytes, status: int) -> None:
    head = b"POST /api/v1/downloads HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n"
    content_type = b"" if b"Content-Type" in fields else b"Content-Type: application/json\r\n"
    reader, writer = await asyncio.open_connection(api.server.host, api.server.port)
    writer.write(head + content_type + fields + b"\r\n\r\n")
    async with asyncio.timeout(CONDITION_TIMEOUT):
        assert (await reader.readline()).startswith(b"HTTP/1.1 %d" % status)
    writer.close()


async def test_metrics_are_rendered(api: ServedApi) -> None:
    await api.raw("GET", START)
    status, fields, body = await api.raw("GET", "/api/v1/metrics")
    assert (status, body) == (200, b"queued 1\n")
    assert fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
