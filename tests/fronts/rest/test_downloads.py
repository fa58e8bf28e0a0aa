"""`/api/v1/downloads`: the listing, the batch, and the actions on one download."""

import gzip
import io
import json
from typing import Any

import pytest
from support.sample_downloads import sample_download
from support.served_api import ServedApi

from downloadd.download_request import RequestFieldParameters
from downloadd.errors import ErrorCode
from downloadd.manager.protocol import DownloadChange
from downloadd.states import State

ALL = "/api/v1/downloads"
ONE_ITEM = {"downloads": [{"url": "https://a.example/1"}]}
UNKNOWN = f"{ALL}/7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"


async def send_json(api: ServedApi, method: str, path: str, **settings: Any) -> tuple[int, Any]:
    async with api.client.request(method, path, **settings) as response:
        return response.status, json.loads(await response.read())


async def test_the_global_listing_of_the_specification_is_answered_field_by_field(api: ServedApi) -> None:
    api.manager.add(
        sample_download(
            id="7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c",
            filename="dataset.zip",
            directory="Downloads",
            redacted_url="https://files.example.com/dataset.zip",
            state=State.DOWNLOADING,
            received=52428800,
            total=104857600,
            start_time=1700000000,
        )
    )
    api.manager.add(
        sample_download(
            id="8b4c9d23-5e6f-5b2c-ad90-3f7e8a9b0c1d",
            filename="report.pdf",
            directory="Documents",
            redacted_url="https://docs.example.com/report.pdf",
            state=State.STARTING,
            start_time=1700000050,
        )
    )
    status, body = await send_json(api, "GET", ALL)
    seed = [
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
        },
        {
            "id": "8b4c9d23-5e6f-5b2c-ad90-3f7e8a9b0c1d",
            "filename": "report.pdf",
            "file_path": "Documents/report.pdf",
            "directory": "Documents",
            "url": "https://docs.example.com/report.pdf",
            "status": "starting",
            "current_size": 0,
            "expected_size": None,
            "progress_percentage": None,
            "start_time": 1700000050,
        },
    ]
    assert status == 200
    assert [{name: entry[name] for name in seed[0]} for entry in body["downloads"]] == seed
    assert list(body["downloads"][0])[: len(seed[0])] == list(seed[0])


async def test_the_listing_pages_with_a_link(api: ServedApi) -> None:
    for number in range(3):
        api.manager.add(sample_download(number))
    async with api.client.get(f"{ALL}?limit=2") as response:
        assert response.headers["Link"] == f'<{ALL}?limit=2&cursor=2>; rel="next"'
    async with api.client.get(f"{ALL}?limit=2&cursor=2") as response:
        assert "Link" not in response.headers
        assert [entry["id"] for entry in (await response.json())["downloads"]] == [sample_download(2).id]


# -- batch -------------------------------------------------------------------------------------------------------------


async def test_a_batch_has_one_result_each_in_order(api: ServedApi) -> None:
    items = [
        {"url": "https://a.example/1", "directory": "d/e", "filename": "x", "segments": 2, "priority": 3},
        {"url": "gopher://a.example/2", "directory": "d"},
        {"url": "https://a.example/3"},
    ]
    status, body = await send_json(api, "POST", ALL, json={"downloads": items})
    assert status == 201
    assert body["success"] is False
    assert [one["path"] for one in body["downloads"]] == ["d/e/x", "d/2", "3"]
    assert [one["error"] for one in body["downloads"]] == [None, "INVALID_URL", None]
    assert [one["download_id"] for one in body["downloads"]] == list(api.manager.downloads)
    assert (api.manager.requests[0].segments, api.manager.requests[0].priority) == (2, 3)


async def test_a_batch_of_accepted_downloads_is_a_success(api: ServedApi) -> None:
    status, body = await send_json(api, "POST", ALL, json={"downloads": [{"url": "https://a.example/1"}]})
    assert (status, body["success"]) == (201, True)


async def test_a_batch_of_refused_downloads_has_the_status_of_the_first(api: ServedApi) -> None:
    status, body = await send_json(api, "POST", ALL, json={"downloads": [{"url": "nonsense"}, {"url": ""}]})
    assert (status, body["success"], len(body["downloads"])) == (400, False, 2)


@pytest.mark.parametrize(
    ("item", "detail"),
    [
        pytest.param({"segments": 17}, "downloads[1].segments: ", id="out-of-range"),
        pytest.param({"segments": "2"}, "downloads[1].segments: ", id="wrong-type"),
        pytest.param({"timeout": 1.5}, "downloads[1].timeout: ", id="no-integer"),
        pytest.param({"directory": 7}, "downloads[1].directory: ", id="directory"),
        pytest.param({"conflict": "x"}, "downloads[1].conflict: expected one of rename, ", id="choice"),
        pytest.param({"colour": "red"}, "downloads[1]: object contains unknown field colour", id="unknown"),
        pytest.param({"wait": 3}, "downloads[1]: ", id="wait"),
    ],
)
async def test_an_invalid_item_is_a_refusal_of_that_item_alone(
    api: ServedApi, item: dict[str, Any], detail: str
) -> None:
    items = [{"url": "https://a.example/1"}, {"url": "https://a.example/2", "directory": "d", **item}]
    status, body = await send_json(api, "POST", ALL, json={"downloads": items})
    accepted, refused = body["downloads"]
    assert status == 201
    assert accepted["success"] is True
    assert (refused["success"], refused["error"]) == (False, "INVALID_PARAMETER")
    assert refused["detail"].startswith(detail)
    assert api.manager.downloads[refused["download_id"]].result.error is ErrorCode.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b"", "body: expected JSON", id="empty"),
        pytest.param(b"{", "body: expected JSON", id="cut"),
        pytest.param(b"\xff", "body: expected JSON", id="no-utf-8"),
        pytest.param(b'{"downloads": ["\xff"]}', "body: expected JSON", id="no-utf-8-within"),
        pytest.param(b'{"downloads": [{"url": "\\ud800"}]}', "body: expected JSON", id="lone-surrogate"),
        pytest.param(b"[]", "body: expected object", id="array"),
        pytest.param(b"{}", "body: object missing required field downloads", id="without-downloads"),
        pytest.param(b'{"downloads": []}', "downloads: ", id="none"),
        pytest.param(b'{"downloads": {}}', "downloads: expected array", id="no-array"),
        pytest.param(b'{"downloads": [], "x": 1}', "downloads: ", id="none-and-more"),
        pytest.param(b'{"downloads": [{"url": "a"}], "x": 1}', "body: object contains unknown field x", id="more"),
        pytest.param(b'{"downloads": [{"url": "a"}, 7]}', "downloads[1]: expected object", id="no-object"),
        pytest.param(b'{"downloads": [{"url": 7}]}', "downloads[0].url: expected str", id="url-no-text"),
        pytest.param(b'{"downloads": [{"directory": "d"}]}', "downloads[0]: object missing", id="no-url"),
        pytest.param(b'{"downloads": ' + b"[" * 100_000, "body: ", id="deep"),
        pytest.param(b'{"downloads": [' + b"7," * 10_000 + b"7]}", "downloads: ", id="too-many"),
    ],
)
async def test_a_body_that_is_not_a_batch_starts_nothing(api: ServedApi, body: bytes, detail: str) -> None:
    status, answer = await send_json(api, "POST", ALL, data=body, headers={"Content-Type": "application/json"})
    assert (status, answer["error"], answer["success"]) == (400, "INVALID_PARAMETER", False)
    assert answer["detail"].startswith(detail)
    assert api.manager.requests == []


async def test_a_batch_may_have_ten_thousand_items(api: ServedApi) -> None:
    items = [{"url": f"https://a.example/{number}"} for number in range(10_000)]
    status, body = await send_json(api, "POST", ALL, json={"downloads": items})
    assert (status, len(body["downloads"])) == (201, 10_000)


async def test_a_body_over_the_limit_is_413(api: ServedApi) -> None:
    data = io.BytesIO(b" " * (16 * 1024 * 1024 + 1))
    status, body = await send_json(api, "POST", ALL, data=data, headers={"Content-Type": "application/json"})
    assert (status, body["error"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"])
async def test_a_body_without_the_media_type_of_json_is_refused(api: ServedApi, media_type: str) -> None:
    status, body = await send_json(api, "POST", ALL, data=b"{}", headers={"Content-Type": media_type})
    assert (status, body["detail"]) == (400, "Content-Type: expected application/json")


@pytest.mark.parametrize(
    "body",
    [b"\0\0\0\0", gzip.compress(b'{"downloads": [{"url": "https://a.example/1"}]}', mtime=0)],
    # An explicit id, because gzip output contains the time, and parallel workers must collect the same ids.
    ids=["garbage", "batch"],
)
async def test_a_body_with_a_content_coding_is_refused(api: ServedApi, body: bytes) -> None:
    request = (
        b"POST /api/v1/downloads HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer open-sesame\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
    )
    answer = await api.exchange(request % (len(body), body))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Content-Encoding: send the body as it is" in answer


async def test_a_repeated_batch_gets_the_first_answer(api: ServedApi) -> None:
    settings: dict[str, Any] = {
        "json": {"downloads": [{"url": "https://a.example/1"}]},
        "headers": {"Idempotency-Key": "k"},
    }
    first = await send_json(api, "POST", ALL, **settings)
    assert await send_json(api, "POST", ALL, **settings) == first
    assert len(api.manager.downloads) == 1
    settings["json"] = {"downloads": [{"url": "https://a.example/2"}]}
    status, body = await send_json(api, "POST", ALL, **settings)
    assert (status, body["error"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_a_batch_for_a_full_queue_gets_retry_after_and_is_not_stored(api: ServedApi) -> None:
    api.manager.queue_capacity = 0
    settings: dict[str, Any] = {
        "json": {"downloads": [{"url": "https://a.example/1"}]},
        "headers": {"Idempotency-Key": "k"},
    }
    async with api.client.post(ALL, **settings) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "30")
    api.manager.queue_capacity = 1
    assert (await send_json(api, "POST", ALL, **settings))[0] == 201


async def test_without_allow_download_nothing_is_started_or_continued(api: ServedApi) -> None:
    api.allow_downloads(False)
    paused = api.manager.add(sample_download(1, state=State.PAUSED))
    failed = api.manager.add(sample_download(2, state=State.FAILED))
    for path in (ALL, f"{ALL}/{paused.id}/resume", f"{ALL}/{failed.id}/retry"):
        status, body = await send_json(api, "POST", path, json={})
        assert (status, body) == (403, {"success": False, "error": "DOWNLOAD_FORBIDDEN"})
    assert (await send_json(api, "GET", ALL))[0] == 200
    assert (await send_json(api, "DELETE", f"{ALL}/{paused.id}"))[0] == 200


# -- one download ------------------------------------------------------------------------------------------------------


async def test_an_active_download_is_shown_as_in_the_listing_and_an_ended_one_as_in_the_history(api: ServedApi) -> None:
    active = api.manager.add(sample_download(1, received=1, total=0))
    ended = api.manager.add(sample_download(2, state=State.COMPLETED, total=5, end_time=9))
    status, body = await send_json(api, "GET", f"{ALL}/{active.id}")
    assert (status, body["status"], body["progress_percentage"]) == (200, "queued", 100.0)
    status, body = await send_json(api, "GET", f"{ALL}/{ended.id}")
    assert (status, body["status"], body["total_bytes"], body["end_time"]) == (200, "completed", 5, 9)


async def test_delete_answers_with_the_final_entry(api: ServedApi) -> None:
    active = api.manager.add(sample_download(1))
    status, body = await send_json(api, "DELETE", f"{ALL}/{active.id}")
    assert (status, body["id"], body["status"], body["error"]) == (200, active.id, "cancelled", "CANCELLED")
    assert (body["success"], body["message"]) == (True, "Download cancelled")


async def test_delete_removes_an_ended_download_from_the_history(api: ServedApi) -> None:
    first, second = (api.manager.add(sample_download(number, state=State.COMPLETED)) for number in (1, 2))
    status, body = await send_json(api, "DELETE", f"{ALL}/{first.id}")
    assert (status, body["id"], body["status"], body["success"]) == (200, first.id, "completed", True)
    assert body["message"] == "Removed from the history"
    status, body = await send_json(api, "DELETE", f"{ALL}/{second.id}?file=true&only=ended")
    assert (status, body["message"]) == (200, "Removed from the history, with its file")
    assert (api.manager.downloads, api.history.removed_files) == ({}, [second.id])
    assert (await send_json(api, "DELETE", f"{ALL}/{first.id}"))[0] == 404


async def test_delete_of_one_kind_refuses_the_other(api: ServedApi) -> None:
    active, ended = (
        api.manager.add(sample_download(number, state=state))
        for number, state in enumerate((State.QUEUED, State.FAILED))
    )
    for target in (f"{active.id}?only=ended", f"{ended.id}?only=active"):
        status, body = await send_json(api, "DELETE", f"{ALL}/{target}")
        assert (status, body["error"]) == (409, "INVALID_STATE")
    assert {active.id, ended.id} == set(api.manager.downloads)
    assert (await send_json(api, "DELETE", f"{ALL}/{ended.id}?file=yes"))[0] == 400


async def test_an_entry_stays_when_its_file_was_changed(api: ServedApi) -> None:
    ended = api.manager.add(sample_download(1, state=State.COMPLETED))
    api.history.changed_files.add(ended.id)
    status, body = await send_json(api, "DELETE", f"{ALL}/{ended.id}?file=true")
    assert (status, body["error"]) == (409, "FILE_CHANGED")
    assert ended.id in api.manager.downloads


async def test_the_actions_return_the_current_entry(api: ServedApi) -> None:
    id = api.manager.add(sample_download(1)).id
    for verb, state in (("pause", "paused"), ("resume", "queued")):
        status, body = await send_json(api, "POST", f"{ALL}/{id}/{verb}")
        assert (status, body["id"], body["status"], body["success"]) == (200, id, state, True)
        assert body["message"]
    await api.manager.set_state(id, State.FAILED, error=ErrorCode.NETWORK_ERROR)
    status, body = await send_json(api, "POST", f"{ALL}/{id}/retry")
    assert (status, body["status"], body["error"]) == (200, "queued", None)


async def test_a_retry_may_have_a_new_url(api: ServedApi) -> None:
    for body, changes in (({}, []), ({"url": "https://b.example/x"}, [DownloadChange(url="https://b.example/x")])):
        id = api.manager.add(sample_download(1, state=State.FAILED)).id
        status, entry = await send_json(api, "POST", f"{ALL}/{id}/retry", json=body)
        assert (status, entry["status"]) == (200, "queued")
        assert api.manager.applied_changes == changes


@pytest.mark.parametrize(
    ("body", "error", "begin"),
    [
        ({"url": "gopher://b.example/x"}, "INVALID_URL", ""),
        ({"url": None}, "INVALID_PARAMETER", "url: "),
        ({"uri": "https://b.example/x"}, "INVALID_PARAMETER", "body: object contains unknown field uri"),
        ([], "INVALID_PARAMETER", "body: "),
    ],
)
async def test_a_retry_with_another_body_is_refused(api: ServedApi, body: object, error: str, begin: str) -> None:
    id = api.manager.add(sample_download(1, state=State.FAILED)).id
    status, refusal = await send_json(api, "POST", f"{ALL}/{id}/retry", json=body)
    assert (status, refusal["error"]) == (400, error)
    assert refusal["detail"].startswith(begin)


async def test_the_url_of_a_failed_download_can_be_changed(api: ServedApi) -> None:
    failed = api.manager.add(sample_download(1, state=State.FAILED, part_name=".a.part", received=15))
    status, body = await send_json(api, "PATCH", f"{ALL}/{failed.id}", json={"url": "https://b.example/x"})
    assert (status, body["status"], body["kept_bytes"], body["success"]) == (200, "failed", 15, True)


async def test_an_action_that_the_state_does_not_allow_is_409(api: ServedApi) -> None:
    id = api.manager.add(sample_download(1, state=State.COMPLETED)).id
    for verb in ("pause", "resume", "retry"):
        status, body = await send_json(api, "POST", f"{ALL}/{id}/{verb}")
        assert (status, body["error"]) == (409, "INVALID_STATE")
        assert body["detail"]


async def test_patch_changes_only_the_given_fields(api: ServedApi) -> None:
    id = api.manager.add(sample_download(1)).id
    changes: tuple[dict[str, Any], ...] = (
        {"priority": -3},
        {"speed_limit": 0},
        {"url": "https://b.example/x"},
        {"priority": 1, "speed_limit": 2, "url": "https://b.example/y"},
        {"filename": "n", "directory": "e", "conflict": "skip", "segments": 3, "mirrors": ["https://c.example/"]},
        {"max_retries": 0, "retry_wait": 1, "stall_timeout": 0.5, "connect_timeout": 0.0, "min_speed": 9},
    )
    for change in changes:
        status, body = await send_json(api, "PATCH", f"{ALL}/{id}", json=change)
        assert (status, body["success"], body["id"]) == (200, True, id)
        assert api.manager.applied_changes[-1] == DownloadChange(**change)


async def test_a_patch_replaces_all_request_fields(api: ServedApi) -> None:
    id = api.manager.add(sample_download(1)).id
    status, _ = await send_json(api, "PATCH", f"{ALL}/{id}", json={"headers": {"X-Key": "k"}, "referer": "https://r/"})
    [change] = api.manager.applied_changes
    expected = RequestFieldParameters(headers={"X-Key": "k"}, referer="https://r/")
    assert (status, change) == (200, DownloadChange(fields=expected))


@pytest.mark.parametrize(
    ("change", "error", "begin"),
    [
        ({}, "INVALID_PARAMETER", "body: expected at least one"),
        ({"priority": None}, "INVALID_PARAMETER", "priority: "),
        ({"priority": "1"}, "INVALID_PARAMETER", "priority: "),
        ({"priority": 1_000_001}, "INVALID_PARAMETER", "priority: "),
        ({"speed_limit": -1}, "INVALID_PARAMETER", "speed_limit: "),
        ({"filename": 1}, "INVALID_PARAMETER", "filename: "),
        ({"directory": None}, "INVALID_PARAMETER", "directory: "),
        ({"conflict": "x"}, "INVALID_PARAMETER", "conflict: expected one of rename, "),
        ({"headers": ["s3cret"]}, "INVALID_PARAMETER", "headers: expected object, got array"),
        ({"colour": "x"}, "INVALID_PARAMETER", "body: object contains unknown field colour"),
        ([], "INVALID_PARAMETER", "body: "),
        ({"url": "nonsense"}, "INVALID_URL", ""),
    ],
)
async def test_an_invalid_patch_changes_nothing(api: ServedApi, change: Any, error: str, begin: str) -> None:
    id = api.manager.add(sample_download(1)).id
    status, body = await send_json(api, "PATCH", f"{ALL}/{id}", json=change)
    assert (status, body["error"]) == (400, error)
    assert body["detail"].startswith(begin)
    assert api.manager.applied_changes == []


@pytest.mark.parametrize(
    "id", ["7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c", "x", "7A3F8B12-4D5E-4A1B-9C8F-2E6D7F8A9B0C", "%00", "..%2F.."]
)
async def test_an_unknown_id_is_404(api: ServedApi, id: str) -> None:
    api.manager.add(sample_download(1))
    places = [("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/retry")]
    for method, verb in places:
        status, _, body = await api.raw(method, f"{ALL}/{id}{verb}")
        assert (status, json.loads(body)["error"]) == (404, "NOT_FOUND")
    status, body_ = await send_json(api, "PATCH", UNKNOWN, json={"priority": 1})
    assert (status, body_["error"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", ALL, "GET, HEAD, POST"),
        ("DELETE", ALL, "GET, HEAD, POST"),
        ("POST", UNKNOWN, "DELETE, GET, HEAD, PATCH"),
        ("GET", f"{UNKNOWN}/pause", "POST"),
        ("HEAD", f"{UNKNOWN}/retry", "POST"),
        ("POST", "/api/v1/health", "GET, HEAD"),
        ("HEAD", "/api/v1/events", "GET"),
    ],
)
async def test_a_method_that_a_path_does_not_have_is_405(api: ServedApi, method: str, path: str, allow: str) -> None:
    status, fields, _ = await api.raw(method, path)
    assert (status, fields["Allow"]) == (405, allow)


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/", "/api/v1", "/api/v1/downloads/", "/api/v2/downloads", f"{UNKNOWN}/stop", f"{UNKNOWN}/pause/now",
     "/api/v1/downloads//pause", "/api/v1/./downloads", "/api/../Downloads"],
)  # fmt: skip
async def test_an_unknown_path_of_the_api_is_404_and_never_a_directory(api: ServedApi, path: str) -> None:
    for method, query in (("GET", ""), ("GET", "?downloads="), ("POST", "?download=https%3A%2F%2Fa.example%2F")):
        status, _, body = await api.raw(method, path + query)
        assert (status, json.loads(body)["error"]) == (404, "NOT_FOUND")
    assert api.manager.requests == []


@pytest.mark.parametrize("path", [UNKNOWN, "/api/v1/health", "/api/v1/metrics", "/api/v1/events"])
async def test_an_unknown_parameter_is_refused_by_operations_without_parameters(api: ServedApi, path: str) -> None:
    status, body = await send_json(api, "GET", f"{path}?colour=red")
    assert (status, body["error"]) == (400, "INVALID_PARAMETER")
    assert body["detail"].startswith("colour: ")
