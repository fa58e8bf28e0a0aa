"""`/api/v1/downloads/actions`."""

from typing import Any

import pytest
from fronts.rest.test_downloads import send_json
from support.sample_downloads import sample_download
from support.served_api import ServedApi

from downloadd.fronts.rest.bulk_schemas import MAX_BULK_IDS
from downloadd.states import State

PATH = "/api/v1/downloads/actions"
UNKNOWN = "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"


async def test_each_download_has_a_result_with_its_entry(api: ServedApi) -> None:
    failed, paused = (
        api.manager.add(sample_download(number, state=state)).id
        for number, state in enumerate((State.FAILED, State.PAUSED))
    )
    status, body = await send_json(api, "POST", PATH, json={"action": "retry", "ids": [paused, failed, UNKNOWN]})
    assert (status, body["success"], body["message"]) == (200, False, "1 changed, 2 refused")
    refused, retried, unknown = body["results"]
    assert (refused["id"], refused["success"], refused["error"]) == (paused, False, "INVALID_STATE")
    assert refused["detail"]
    assert (retried["id"], retried["success"], retried["error"]) == (failed, True, None)
    assert retried["active"]["status"] == "queued"
    assert "ended" not in retried
    assert unknown["error"] == "NOT_FOUND"


async def test_removed_and_cancelled_downloads_have_their_last_entries(api: ServedApi) -> None:
    completed, queued = (
        api.manager.add(sample_download(number, state=state)).id
        for number, state in enumerate((State.COMPLETED, State.QUEUED))
    )
    _, body = await send_json(api, "POST", PATH, json={"action": "remove", "ids": [completed], "file": True})
    [result] = body["results"]
    assert (result["ended"]["status"], result["message"]) == ("completed", "Removed from the history, with its file")
    assert api.history.removed_files == [completed]
    _, body = await send_json(api, "POST", PATH, json={"action": "cancel", "ids": [queued]})
    assert (body["message"], body["results"][0]["ended"]["status"]) == ("1 changed", "cancelled")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"action": "start", "ids": [UNKNOWN]}, "action: expected one of pause, resume, retry, cancel, remove"),
        ({"action": "pause", "ids": []}, "ids: must have at least 1 entry"),
        ({"action": "pause", "ids": [UNKNOWN] * (MAX_BULK_IDS + 1)}, "ids: must have at most 1000 entries"),
        ({"action": "pause", "ids": ["x"]}, "ids[0]: expected str matching regex"),
        ({"action": "pause", "ids": [UNKNOWN], "file": True}, "file: is for the action remove only"),
        ({"action": "pause"}, "body: object missing required field ids"),
        ({"action": "pause", "ids": [UNKNOWN], "all": True}, "body: object contains unknown field all"),
        ([], "body: expected object, got array"),
    ],
)
async def test_a_wrong_body_is_explained(api: ServedApi, body: Any, detail: str) -> None:
    status, answer = await send_json(api, "POST", PATH, json=body)
    assert (status, answer["error"]) == (400, "INVALID_PARAMETER")
    assert answer["detail"].startswith(detail)


async def test_a_daemon_that_may_not_fetch_refuses_all(api: ServedApi) -> None:
    api.allow_downloads(False)
    assert (await send_json(api, "POST", PATH, json={"action": "retry", "ids": [UNKNOWN]}))[0] == 403
