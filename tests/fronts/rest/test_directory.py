"""`GET /{directory}`: starting, refusing, waiting, repeating, listing."""

import asyncio
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.served_api import ServedApi
from support.waiting import CONDITION_TIMEOUT
from yarl import URL

from downloadd.download import Conflict, Snapshot
from downloadd.errors import ERRORS, ErrorCode
from downloadd.states import State

URL_A = "https://files.example.com/data.csv"
ENCODED_A = "https%3A%2F%2Ffiles.example.com%2Fdata.csv"


async def get(api: ServedApi, target: str, **headers: str) -> tuple[int, Any, dict[str, str]]:
    async with api.client.get(URL(target, encoded=True), headers=headers) as response:
        return response.status, json.loads(await response.read()), dict(response.headers)


# -- examples of the specification -------------------------------------------------------------------------------------


async def test_the_accepted_start_of_the_specification_is_answered_field_by_field(api: ServedApi) -> None:
    api.manager.next_id = lambda: "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"
    status, body, headers = await get(api, f"/Downloads?download={ENCODED_A}&filename=renamed-data.csv&timeout=600")
    assert status == 201
    assert body == {
        "download_id": "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c",
        "filename": "renamed-data.csv",
        "path": "Downloads/renamed-data.csv",
        "success": True,
        "message": "Download started",
        "error": None,
    }
    assert headers["Location"] == "/api/v1/downloads/7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"
    (order,) = api.manager.requests
    assert (order.url, order.directory, order.filename, order.timeout) == (URL_A, "Downloads", "renamed-data.csv", 600)


async def test_the_refused_start_of_the_specification_is_answered_field_by_field(api: ServedApi) -> None:
    api.manager.next_id = lambda: "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"
    status, body, headers = await get(api, "/Downloads?download=ftp%3A%2F%2Ffiles.example.com%2Fdata.csv")
    assert status == 400
    detail = body.pop("detail")
    assert "http" in detail
    assert body == {
        "download_id": "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c",
        "filename": "data.csv",
        "path": "Downloads/data.csv",
        "success": False,
        "message": "Download failed",
        "error": "INVALID_URL",
    }
    assert "Location" not in headers
    assert api.manager.downloads[body["download_id"]].state is State.FAILED


async def test_without_allow_download_a_start_is_forbidden_exactly_as_specified(api: ServedApi) -> None:
    api.allow_downloads(False)
    status, body, _ = await get(api, f"/Downloads?download={ENCODED_A}")
    assert status == 403
    assert body == {"success": False, "error": "DOWNLOAD_FORBIDDEN"}
    assert api.manager.requests == []


async def test_the_listing_of_the_specification_is_answered_field_by_field(api: ServedApi) -> None:
    api.manager.next_id = lambda: "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"
    await get(api, "/Downloads?download=https%3A%2F%2Ffiles.example.com%2Fdataset.zip")
    await api.manager.set_state(
        "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c", State.DOWNLOADING, received=52428800, total=104857600, attempt=1
    )
    status, body, _ = await get(api, "/Downloads?downloads=")
    assert status == 200
    assert body == {
        "downloads": [
            {
                "id": "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c",
                "filename": "dataset.zip",
                "file_path": "Downloads/dataset.zip",
                "directory": "Downloads",
                "url": "https://files.example.com/dataset.zip",
                "status": "downloading",
                "current_size": 52428800,
                "expected_size": 104857600,
                "progress_percentage": 50.0,
                "start_time": 1700000000,
                "speed": None,
                "eta": None,
                "attempt": 1,
                "error": None,
                "reason": None,
                "node": None,
                "detail": None,
                "cause": None,
                "origin_status": None,
                "warning": None,
                "resumed_by": None,
                "connections": 0,
                "priority": 0,
                "place": 1,
                "speed_limit": 0,
            }
        ]
    }


async def test_a_paused_start_is_answered_as_it_is_after_the_time(api: ServedApi) -> None:
    status, body, _ = await get(api, f"/Downloads?download={ENCODED_A}&paused=true&wait=1")
    assert (status, body["success"], body["message"], body["error"]) == (201, True, "Download paused", None)
    assert api.manager.downloads[body["download_id"]].state is State.PAUSED


# -- reading the request -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "directory"),
    [
        pytest.param("/", "", id="root"),
        pytest.param("/a/b/c", "a/b/c", id="deep"),
        pytest.param("/a%2Fb%2fc", "a/b/c", id="encoded-slashes"),
        pytest.param("/a/b/", "a/b", id="trailing-slash"),
        pytest.param("/%C3%BCber", "über", id="utf-8"),
        pytest.param("/a+b", "a+b", id="plus-is-no-space-in-a-path"),
        pytest.param("/a%20b", "a b", id="space"),
        pytest.param("/apis", "apis", id="begins-like-api"),
    ],
)
async def test_the_directory_is_read_from_the_raw_path(api: ServedApi, path: str, directory: str) -> None:
    status, _, body = await api.raw("GET", f"{path}?download={ENCODED_A}")
    assert status == 201, body
    assert api.manager.requests[0].directory == directory


@pytest.mark.parametrize(
    "path",
    [
        "/../etc",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/./a",
        "/a%2F..%2Fb",
        "/a%00b",
        "/%FF",
        "/%61pi/v1",
        "//api/x",
        "/api",
        "/api/",
        "/api/x",
        "/api/v1",
        "/api/v2/downloads",
        "/api/../d",
    ],
)
async def test_an_invalid_directory_is_refused_and_recorded(api: ServedApi, path: str) -> None:
    status, _, body = await api.raw("GET", f"{path}?download={ENCODED_A}")
    answer = json.loads(body)
    assert (status, answer["error"]) == (400, "INVALID_PATH")
    assert answer["detail"]
    assert answer["download_id"] in api.manager.downloads


@pytest.mark.parametrize(
    ("value", "url"),
    [
        pytest.param("https%3A%2F%2Fx.example%2Fa%2Bb", "https://x.example/a+b", id="encoded-plus"),
        pytest.param("https://x.example/a+b", "https://x.example/a+b", id="raw-plus"),
        pytest.param("https://x.example/a%2520b", "https://x.example/a%20b", id="escaped-twice"),
        pytest.param("https://x.example/a?b=c", "https://x.example/a?b=c", id="raw-question-mark-and-equals"),
        pytest.param("https://x.example/a?b=%26", "https://x.example/a?b=&", id="encoded-ampersand"),
        pytest.param("https://x.example/%25zz", "https://x.example/%zz", id="odd-escape"),
        pytest.param("https://x.example/%C3%A9", "https://x.example/é", id="utf-8"),
        pytest.param("https://x.example/a;b=c", "https://x.example/a;b=c", id="semicolon"),
    ],
)
async def test_the_url_reaches_the_manager_byte_for_byte(api: ServedApi, value: str, url: str) -> None:
    await api.raw("GET", f"/d?download={value}")
    assert api.manager.requests[0].url == url


async def test_an_empty_url_beside_others_is_not_a_mirror(api: ServedApi) -> None:
    status, _, _ = await get(api, f"/d?download=&download={ENCODED_A}&download=&download=https%3A%2F%2Fx.example%2Fa")
    assert status == 201
    (order,) = api.manager.requests
    assert (order.url, order.mirrors) == (URL_A, ["https://x.example/a"])


async def test_markers_do_not_count_as_mirrors(api: ServedApi) -> None:
    status, _, _ = await get(api, "/d?" + "download=&" * 20 + f"download={ENCODED_A}")
    assert status == 201
    assert api.manager.requests[0].mirrors == []


@pytest.mark.parametrize("query", ["download", "download=", "download=&download=", "download&filename=a"])
async def test_an_empty_url_alone_is_refused_and_recorded(api: ServedApi, query: str) -> None:
    status, body, _ = await get(api, f"/Downloads?{query}")
    assert (status, body["error"]) == (400, "INVALID_URL")
    assert api.manager.downloads[body["download_id"]].result.error is ErrorCode.INVALID_URL


async def test_a_refusal_beside_a_marker_names_the_url(api: ServedApi) -> None:
    _, body, _ = await get(api, f"/Downloads?download=&download={ENCODED_A}&timeout=-1")
    assert (body["error"], body["filename"]) == ("INVALID_PARAMETER", URL_A.rpartition("/")[2])


async def test_every_parameter_reaches_the_manager(api: ServedApi) -> None:
    status, _, _ = await get(
        api,
        f"/d?download={ENCODED_A}&filename=a+b.csv&timeout=0&segments=16&checksum=md5={'0' * 32}&conflict=skip"
        "&priority=-5&speed_limit=1000&wait=0",
    )
    assert status == 201
    (order,) = api.manager.requests
    assert order.filename == "a b.csv"
    assert (order.timeout, order.segments, order.priority, order.speed_limit) == (0, 16, -5, 1000)
    assert (order.checksum, order.conflict) == (f"md5={'0' * 32}", Conflict.SKIP)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        *[
            pytest.param(f"{name}={value}", name, id=f"{name}={value}")
            for name, values in {
                "timeout": [
                    "-1",
                    "31536001",
                    "",
                    "5.0",
                    "1e3",
                    "%2B5",
                    "+5",
                    "5+",
                    "1_000",
                    "%D9%A3",
                    "0x10",
                    "9" * 30,
                ],
                "segments": ["0", "17", "null", "true", "--1"],
                "priority": ["-1000001", "1000001", "high"],
                "speed_limit": ["-1", "10MiB", "9" * 19],
                "wait": ["-1", "3601", "0.5", "false"],
                "conflict": ["Rename", "", "replace"],
                "checksum": ["sha-256", "crc32=00000000", "sha-256=00"],
                "filename": ["%FF"],
            }.items()
            for value in values
        ],
        pytest.param("timeout=1&timeout=1", "timeout", id="repeated"),
        pytest.param("colour=red", "colour", id="unknown"),
        pytest.param("Filename=a", "Filename", id="wrong-case"),
        pytest.param("%FF=a", "a name that is not repeated here", id="name-that-is-no-utf-8"),
        pytest.param("xoxe-5ecret", "a name that is not repeated here", id="name-that-may-be-a-secret"),
        pytest.param("access_token=open-sesame", "access_token", id="token"),
    ],
)
async def test_an_invalid_parameter_is_a_recorded_refusal_that_names_it(api: ServedApi, query: str, name: str) -> None:
    status, body, _ = await get(api, f"/Downloads?download={ENCODED_A}&{query}")
    assert (status, body["error"], body["success"]) == (400, "INVALID_PARAMETER", False)
    assert body["detail"].startswith(f"{name}: ")
    assert body["path"].startswith("Downloads/")
    assert api.manager.downloads[body["download_id"]].result.error is ErrorCode.INVALID_PARAMETER


async def test_an_ampersand_that_was_not_encoded_is_explained(api: ServedApi) -> None:
    _, body, _ = await get(api, "/d?download=https://x.example/a?b=c&sig=s3cret")
    assert "percent-encode that URL" in body["detail"]
    assert "s3cret" not in body["detail"]


@pytest.mark.parametrize("other", ["downloads=", "download_history="])
async def test_two_selectors_in_one_query_are_refused(api: ServedApi, other: str) -> None:
    status, body, _ = await get(api, f"/?{other}&download={ENCODED_A}")
    assert (status, body["error"]) == (400, "INVALID_PARAMETER")
    assert api.manager.requests == []


@pytest.mark.parametrize("target", ["/Downloads", "/Downloads?", "/Downloads?q=1", "/a?download_history="])
async def test_without_a_selector_the_error_names_all_three(api: ServedApi, target: str) -> None:
    status, body, _ = await get(api, target)
    assert (status, body["error"]) == (404, "NOT_FOUND")
    for name in ("?download=", "?downloads=", "?download_history="):
        assert name in body["detail"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n \0"), max_size=40))
async def test_any_target_gets_a_response(api: ServedApi, text: str) -> None:
    target = text.encode("latin-1").decode("utf-8", "surrogateescape")
    for prefix in ("/", "/d?download=", "/d?download=http://a.example/&", "/?download_history=&", "/?downloads&"):
        status, fields, body = await api.raw("GET", prefix + target)
        assert status < 500, body
        if re.fullmatch(r"/(?:\?&*)?", prefix + target):
            assert fields["Content-Type"] == "text/html; charset=utf-8"
            continue
        assert fields["Content-Type"] == "application/json"
        json.loads(body)


# -- waiting -----------------------------------------------------------------------------------------------------------


async def started(api: ServedApi) -> str:
    while not api.manager.downloads:
        await asyncio.sleep(0.001)
    return next(reversed(api.manager.downloads))


@pytest.mark.parametrize(
    ("state", "code", "status", "message"),
    [
        (State.COMPLETED, None, 201, "Download completed"),
        (State.SKIPPED, None, 201, "Download skipped"),
        (State.CANCELLED, ErrorCode.CANCELLED, 409, "Download cancelled"),
        *[(State.FAILED, code, ERRORS[code].status, "Download failed") for code in ErrorCode],
    ],
)
async def test_wait_ends_with_the_download(
    api: ServedApi, state: State, code: ErrorCode | None, status: int, message: str
) -> None:
    asking = asyncio.create_task(get(api, f"/d?download={ENCODED_A}&wait=60"))
    await api.manager.set_state(await started(api), state, error=code, filename="final.csv")
    answered, body, headers = await asking
    assert (answered, body["message"], body["error"]) == (status, message, code)
    assert body["path"] == "d/final.csv"
    assert body["success"] is (status == 201)
    assert ("Location" in headers) is (status == 201)


async def test_wait_returns_201_at_the_time_limit(api: ServedApi) -> None:
    status, body, _ = await get(api, f"/d?download={ENCODED_A}&wait=1")
    assert (status, body["message"]) == (201, "Download started")


async def test_a_waiting_response_ends_when_the_daemon_stops(api: ServedApi) -> None:
    asking = asyncio.create_task(get(api, f"/d?download={ENCODED_A}&wait=3600"))
    await started(api)
    await asyncio.sleep(0)
    api.close_long_lived()
    async with asyncio.timeout(CONDITION_TIMEOUT):
        status, body, _ = await asking
    assert (status, body["message"]) == (201, "Download started")


# -- refusals of the manager -------------------------------------------------------------------------------------------


async def test_a_full_queue_sends_retry_after(api: ServedApi) -> None:
    api.manager.queue_capacity = 0
    status, body, headers = await get(api, f"/d?download={ENCODED_A}")
    assert (status, body["error"], headers["Retry-After"]) == (429, "QUEUE_FULL", "30")


async def test_a_stopping_daemon_sends_retry_after(api: ServedApi) -> None:
    api.manager.closing = True
    status, body, headers = await get(api, f"/d?download={ENCODED_A}")
    assert (status, body["error"], headers["Retry-After"]) == (503, "SHUTTING_DOWN", "5")


async def test_a_blocked_domain_is_403(api: ServedApi) -> None:
    api = ServedApi(domains=("only.example",))
    async with api.client:
        status, body, _ = await get(api, f"/d?download={ENCODED_A}")
    assert (status, body["error"]) == (403, "DOMAIN_BLOCKED")


async def test_credentials_in_a_url_are_never_shown(api: ServedApi) -> None:
    await get(api, "/d?download=https%3A%2F%2Fann%3Apa55%40files.example.com%2Fa%3Fsig%3Ds3cret")
    for target in ("/d?downloads=", "/api/v1/downloads", f"/api/v1/downloads/{await started(api)}"):
        _, body, _ = await get(api, target)
        assert "pa55" not in json.dumps(body)
        assert "s3cret" not in json.dumps(body)


# -- repeating ---------------------------------------------------------------------------------------------------------


async def test_a_repeated_start_gets_the_first_answer(api: ServedApi) -> None:
    target = f"/d?download={ENCODED_A}"
    first = await get(api, target, **{"Idempotency-Key": "k-1"})
    second = await get(api, target, **{"Idempotency-Key": "k-1"})
    assert first[:2] == second[:2]
    assert first[2]["Location"] == second[2]["Location"]
    assert len(api.manager.downloads) == 1


async def test_a_repeated_refusal_gets_the_first_answer(api: ServedApi) -> None:
    first = await get(api, "/d?download=nonsense", **{"Idempotency-Key": "k-1"})
    second = await get(api, "/d?download=nonsense", **{"Idempotency-Key": "k-1"})
    assert first[:2] == second[:2]
    assert len(api.manager.downloads) == 1


async def test_a_repeated_start_with_wait_waits_for_the_first_download(api: ServedApi) -> None:
    target = f"/d?download={ENCODED_A}&wait=60"
    first = asyncio.create_task(get(api, target, **{"Idempotency-Key": "k-1"}))
    id = await started(api)
    await api.manager.set_state(id, State.COMPLETED)
    second = await get(api, target, **{"Idempotency-Key": "k-1"})
    assert second[1] == (await first)[1]
    assert (second[1]["download_id"], second[1]["message"]) == (id, "Download completed")


async def test_a_key_is_bound_to_its_request_and_to_its_user(api: ServedApi) -> None:
    await get(api, f"/d?download={ENCODED_A}", **{"Idempotency-Key": "k-1"})
    status, body, _ = await get(api, f"/e?download={ENCODED_A}", **{"Idempotency-Key": "k-1"})
    assert (status, body["error"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_the_refusal_of_a_full_queue_is_not_stored_under_a_key(api: ServedApi) -> None:
    api.manager.queue_capacity = 0
    target = f"/d?download={ENCODED_A}"
    assert (await get(api, target, **{"Idempotency-Key": "k-1"}))[0] == 429
    api.manager.queue_capacity = 1
    assert (await get(api, target, **{"Idempotency-Key": "k-1"}))[0] == 201


@pytest.mark.parametrize("key", ["", "a b", "é", "k" * 256, "a\tb"], ids=["empty", "space", "latin", "long", "tab"])
async def test_an_invalid_key_is_a_recorded_refusal(api: ServedApi, key: str) -> None:
    status, _, body = await api.raw("GET", f"/d?download={ENCODED_A}", f"Idempotency-Key: {key}")
    answer = json.loads(body)
    assert (status, answer["error"]) == (400, "INVALID_PARAMETER")
    assert answer["detail"].startswith("Idempotency-Key: ")
    assert answer["download_id"] in api.manager.downloads


# -- listing -----------------------------------------------------------------------------------------------------------


async def test_a_listing_shows_its_directory_only_and_pages(api: ServedApi) -> None:
    for directory in ("d", "d/e", "d", "", "d"):
        await get(api, f"/{directory}?download={ENCODED_A}")
    ids = [row.id for row in api.manager.downloads.values() if row.request.directory == "d"]
    target, seen = "/d?downloads=&limit=2&status=queued", []
    while target:
        status, body, headers = await get(api, target)
        assert status == 200
        assert len(body["downloads"]) <= 2
        seen += [entry["id"] for entry in body["downloads"]]
        target = headers.get("Link", "").partition("<")[2].partition(">")[0]
        assert not target or target.startswith("/d?downloads=&limit=2&status=queued&cursor=")
    assert seen == ids


@pytest.mark.parametrize(
    "query",
    [
        "downloads=x",
        "downloads=&downloads=x",
        "limit=0",
        "limit=10001",
        "status=completed",
        "cursor=a",
        "cursor=-1",
        f"cursor={'9' * 19}",
        "q=a",
    ],
)
async def test_a_listing_with_an_invalid_parameter_is_refused(api: ServedApi, query: str) -> None:
    prefix = "" if query.startswith("downloads") else "downloads=&"
    status, body, _ = await get(api, f"/d?{prefix}{query}")
    assert (status, body["error"]) == (400, "INVALID_PARAMETER")
    assert body["detail"].startswith(query.partition("=")[0])


async def test_a_listing_of_an_invalid_directory_is_refused(api: ServedApi) -> None:
    status, _, body = await api.raw("GET", "/a/../b?downloads=")
    assert (status, json.loads(body)["error"]) == (400, "INVALID_PATH")


async def test_a_link_field_contains_no_delimiter(api: ServedApi) -> None:
    for _ in range(2):
        await api.raw("GET", f"/a%3E;x=%22?download={ENCODED_A}")
    _, fields, _ = await api.raw("GET", "/a%3e;x=%22?downloads=&limit=1")
    assert api.manager.requests
    if "Link" in fields:
        assert fields["Link"].count(">") == 1


async def test_live_values_are_shown(api: ServedApi) -> None:
    await get(api, f"/d?download={ENCODED_A}")
    row = await api.manager.set_state(
        await started(api), State.RETRYING, total=3, received=1, error=ErrorCode.NETWORK_ERROR
    )
    api.manager.snapshots[row.id] = Snapshot(download=row, speed=1234.6, eta=0.2, reason="the host asks to wait")
    _, body, _ = await get(api, "/d?downloads=")
    (entry,) = body["downloads"]
    assert (entry["speed"], entry["eta"], entry["reason"]) == (1235, 1, "the host asks to wait")
    assert (entry["progress_percentage"], entry["error"]) == (33.33, "NETWORK_ERROR")


# -- HEAD --------------------------------------------------------------------------------------------------------------


async def test_head_never_starts_a_download(api: ServedApi) -> None:
    status, fields, body = await api.raw("HEAD", f"/d?download={ENCODED_A}")
    assert (status, fields["Allow"], body) == (405, "GET", b"")
    assert api.manager.requests == []


async def test_head_of_a_listing_has_the_fields_of_get_and_no_body(api: ServedApi) -> None:
    get_status, get_fields, get_body = await api.raw("GET", "/d?downloads=")
    status, fields, body = await api.raw("HEAD", "/d?downloads=")
    assert (status, body) == (get_status, b"")
    assert fields["Content-Length"] == get_fields["Content-Length"] == str(len(get_body))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
async def test_other_methods_are_not_allowed_on_a_directory(api: ServedApi, method: str) -> None:
    status, fields, body = await api.raw(method, f"/d?download={ENCODED_A}")
    assert (status, fields["Allow"]) == (405, "GET, HEAD")
    assert json.loads(body)["error"] == "METHOD_NOT_ALLOWED"
    assert api.manager.requests == []
