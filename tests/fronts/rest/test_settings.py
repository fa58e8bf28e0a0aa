"""`/api/v1/settings`: the limits on all downloads."""

from typing import Any

import pytest
from support.served_api import MAX_RUNS, ServedApi

from downloadd.config import DownloadsConfig, LimitConfig
from downloadd.runtime_settings import RuntimeSettings

PATH = "/api/v1/settings"
CONFIGURED: dict[str, Any] = {
    "max_concurrent": 64,
    "max_per_host": 16,
    "speed_limit": 0,
    "allow_starts": True,
    "hours": None,
    "next_change": None,
}
VIEWER = {"Authorization": "Bearer may-look"}


async def send(api: ServedApi, method: str, **options: Any) -> tuple[int, Any]:
    async with api.client.request(method, PATH, **options) as response:
        return response.status, await response.json()


async def test_the_limits_that_hold_are_shown(api: ServedApi) -> None:
    assert await send(api, "GET", headers=VIEWER) == (200, CONFIGURED)
    assert (await api.raw("HEAD", PATH))[0] == 200


async def test_given_limits_are_changed(api: ServedApi) -> None:
    status, body = await send(api, "PATCH", json={"max_concurrent": 3, "speed_limit": 1_048_576})
    expected = CONFIGURED | {"max_concurrent": 3, "speed_limit": 1_048_576}
    message = "Settings changed until the next restart or reload"
    assert (status, body) == (200, {**expected, "success": True, "message": message})
    assert api.limits.settings == RuntimeSettings(max_concurrent=3, max_per_host=16, speed_limit=1_048_576)
    assert await send(api, "GET") == (200, expected)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "body: expected at least one of max_concurrent, max_per_host, speed_limit, allow_starts"),
        ({"max_concurrent": 0}, "max_concurrent: must be at least 1"),
        ({"max_per_host": 1_000_000_001}, "max_per_host: must be at most 1000000000"),
        ({"speed_limit": -1}, "speed_limit: must be at least 0"),
        ({"speed_limit": 2**62 + 1}, f"speed_limit: must be at most {2**62}"),
        ({"speed_limit": "1 MiB"}, "speed_limit: expected int"),
        ({"speed_limit": None}, "speed_limit: expected int"),
        ({"max_concurrent": 1.5}, "max_concurrent: expected int"),
        ({"max_concurrent": MAX_RUNS + 1}, f"max_concurrent: must be at most {MAX_RUNS}, because the process"),
        (
            {"max_concurrent": 3, "max_retries": 4},
            (
                "body: object contains unknown field max_retries; known are max_concurrent, max_per_host, speed_limit, "
                "allow_starts"
            ),
        ),
        ({"allow_starts": "no"}, "allow_starts: expected bool"),
        ([], "body: expected object"),
    ],
)
async def test_another_body_is_refused_and_changes_nothing(api: ServedApi, body: Any, detail: str) -> None:
    status, refusal = await send(api, "PATCH", json=body)
    assert (status, refusal["error"], refusal["success"]) == (400, "INVALID_PARAMETER", False)
    assert refusal["detail"].startswith(detail)
    assert await send(api, "GET") == (200, CONFIGURED)


async def test_a_change_needs_the_permission_to_download(api: ServedApi) -> None:
    assert (await send(api, "PATCH", json={"max_concurrent": 3}, headers=VIEWER))[0] == 403
    assert (await send(api, "GET", headers={"Authorization": "Bearer may-import"}))[0] == 403
    assert await send(api, "GET") == (200, CONFIGURED)


async def test_limits_of_hours_are_shown_and_a_change_says_how_long_it_lasts(api: ServedApi) -> None:
    entry = LimitConfig(hours="00:00-12:00", days=("thu", "fri"), allow_starts=False)
    # 1 January 1970 was a Thursday.
    api.clock.now = 3600.0
    api.hours.configure([entry], DownloadsConfig())
    shown = {"hours": "00:00-12:00", "days": ["thu", "fri"], "time_zone": "UTC"}
    expected = CONFIGURED | {"allow_starts": False, "hours": shown, "next_change": 12 * 3600}
    assert await send(api, "GET") == (200, expected)
    message = "Settings changed until the next restart or reload, or other hours of [[limits]]"
    status, body = await send(api, "PATCH", json={"allow_starts": True})
    assert (status, body) == (200, {**expected, "allow_starts": True, "success": True, "message": message})
