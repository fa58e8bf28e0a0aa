"""`/api/v1/schedules`."""

from typing import Any

import pytest
from support.clocks import NOW
from support.served_api import ServedApi

from downloadd.config import ScheduleConfig, UserConfig
from downloadd.schedules.plan import download_id
from downloadd.states import State

PATH = "/api/v1/schedules"
BODY = {"name": "prices", "cron": "0 * * * *", "url": "https://u:p@files.example.com/prices.csv", "directory": "d"}
ENTRY = {
    "name": "prices",
    "source": "api",
    "cron": "0 * * * *",
    "time_zone": "UTC",
    "url": "https://files.example.com/prices.csv",
    "directory": "d",
    "filename": "prices.csv",
    "keep": 1,
    "user": "alice",
    "paused": False,
    "next_run": NOW + 2800,
    "last_run": None,
    "last_download": None,
    "last_status": None,
    "last_error": None,
    "problem": None,
    "versions": 0,
}
VIEWER = {"Authorization": "Bearer may-look"}


async def send(api: ServedApi, method: str, path: str = PATH, **options: Any) -> tuple[int, Any]:
    async with api.client.request(method, path, **options) as response:
        return response.status, await response.json()


async def test_a_schedule_is_added_shown_changed_and_removed(api: ServedApi) -> None:
    status, answer = await send(api, "POST", json=BODY)
    assert (status, answer) == (201, ENTRY | {"success": True, "message": "Schedule added"})
    assert await send(api, "GET", headers=VIEWER) == (200, {"schedules": [ENTRY]})
    assert await send(api, "GET", f"{PATH}/prices") == (200, ENTRY)
    changed = ENTRY | {"keep": 3, "paused": True, "next_run": None}
    status, answer = await send(api, "PATCH", f"{PATH}/prices", json={"keep": 3, "paused": True})
    assert (status, answer) == (200, changed | {"success": True, "message": "Schedule changed"})
    assert (await send(api, "DELETE", f"{PATH}/prices"))[0] == 200
    assert await send(api, "GET") == (200, {"schedules": []})


async def test_a_run_is_started_at_once_and_its_state_is_shown(api: ServedApi) -> None:
    await send(api, "POST", json=BODY | {"paused": True})
    status, answer = await send(api, "POST", f"{PATH}/prices/run")
    assert (status, answer["last_run"], answer["last_status"], answer["message"]) == (200, NOW, "queued", "Run started")
    assert [request.url for request in api.manager.requests] == [BODY["url"]]
    status, answer = await send(api, "POST", f"{PATH}/prices/run")
    assert (status, answer["error"]) == (409, "INVALID_STATE")
    await api.manager.set_state(api.manager.requests[0].id or "", State.FAILED)
    assert (await send(api, "GET", f"{PATH}/prices"))[1]["last_status"] == "failed"


@pytest.mark.parametrize(
    ("change", "error", "detail"),
    [
        ({"name": "a b"}, "INVALID_PARAMETER", "name: "),
        ({"cron": "hourly"}, "INVALID_PARAMETER", "cron: expected minute, hour"),
        ({"time_zone": "Berlin"}, "INVALID_PARAMETER", "time_zone: expected the name"),
        ({"url": "ftp://a/f"}, "INVALID_PARAMETER", "url: must begin with"),
        ({"url": "https://a.example/"}, "INVALID_PARAMETER", "filename: the URL does not end"),
        ({"url": "https://a.example:x/f"}, "INVALID_URL", ""),
        ({"directory": "../x"}, "INVALID_PATH", ""),
        ({"filename": "a/b"}, "INVALID_PATH", ""),
        ({"keep": 0}, "INVALID_PARAMETER", "keep: must be at least 1"),
        ({"every": "day"}, "INVALID_PARAMETER", "body: object contains unknown field every"),
    ],
)
async def test_each_wrong_value_is_refused_by_its_key(
    api: ServedApi, change: dict[str, Any], error: str, detail: str
) -> None:
    status, answer = await send(api, "POST", json=BODY | change)
    assert (status, answer["error"]) == (400, error)
    assert answer["detail"].startswith(detail)
    assert "u:p" not in str(answer)
    await send(api, "POST", json=BODY)
    if "name" not in change:
        status, answer = await send(api, "PATCH", f"{PATH}/prices", json=change)
        assert (status, answer["error"]) == (400, error)
    assert await send(api, "GET", f"{PATH}/prices") == (200, ENTRY)


async def test_a_taken_name_and_an_empty_change_are_refused(api: ServedApi) -> None:
    await send(api, "POST", json=BODY)
    assert (await send(api, "POST", json=BODY))[0] == 409
    status, answer = await send(api, "PATCH", f"{PATH}/prices", json={})
    assert (status, answer["detail"][:28]) == (400, "body: expected at least one ")


@pytest.mark.parametrize("name", ["other", "a%20b", "x" * 65])
async def test_an_unknown_name_is_not_found(api: ServedApi, name: str) -> None:
    for method, path in (("GET", name), ("DELETE", name), ("POST", f"{name}/run")):
        assert (await send(api, method, f"{PATH}/{path}"))[0] == 404


async def test_schedules_need_the_rights_of_downloads(api: ServedApi) -> None:
    assert (await send(api, "POST", json=BODY, headers=VIEWER))[0] == 403
    assert (await send(api, "POST", json=BODY | {"directory": "not-for-alice"}))[0] == 403
    assert (await send(api, "GET", headers={"Authorization": "Bearer may-import"}))[0] == 403
    await send(api, "POST", json=BODY)
    assert (await send(api, "PATCH", f"{PATH}/prices", json={"directory": "not-for-alice"}))[0] == 403
    assert (await send(api, "DELETE", f"{PATH}/prices", headers=VIEWER))[0] == 403


async def test_a_schedule_of_the_configuration_says_so_and_is_only_run(api: ServedApi) -> None:
    entry = ScheduleConfig(name="prices", cron="0 * * * *", url="https://files.example.com/prices.csv", directory="d")
    await api.schedules.configure([entry], [UserConfig(id="alice", token_hash="sha256:" + "0" * 64)])
    assert (await send(api, "GET", f"{PATH}/prices"))[1]["source"] == "configuration"
    for method, options in (("PATCH", {"json": {"keep": 2}}), ("DELETE", {})):
        status, answer = await send(api, method, f"{PATH}/prices", **options)
        assert (status, answer["error"]) == (409, "INVALID_STATE")
        assert "is from the configuration; change [[schedules]] there" in answer["detail"]
    assert (await send(api, "POST", f"{PATH}/prices/run"))[0] == 200
    schedule = (await api.schedules._records.list())[0]
    assert api.manager.requests[0].id == download_id(schedule, NOW)
