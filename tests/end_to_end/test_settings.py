"""Limits that are changed while the daemon runs."""

import asyncio
from pathlib import Path
from typing import Any

from support.daemon_process import DaemonProcess, make_config
from support.event_reader import open_event_stream
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

PATH = "/api/v1/settings"
CONFIG = make_config(max_concurrent=2, max_per_host=5, speed_limit="10 MiB")
WITHOUT_HOURS = {"allow_starts": True, "hours": None, "next_change": None}
CONFIGURED = {"max_concurrent": 2, "max_per_host": 5, "speed_limit": 10 << 20, **WITHOUT_HOURS}
CHANGES = {"max_concurrent": 4, "max_per_host": 3, "speed_limit": 0}
CHANGED = CHANGES | WITHOUT_HOURS


async def settings(daemon: DaemonProcess) -> Any:
    status, body = await daemon.request("GET", PATH)
    assert status == 200
    return body


async def change(daemon: DaemonProcess, **changes: int) -> None:
    status, body = await daemon.request("PATCH", PATH, json=changes)
    assert (status, body["success"]) == (200, True)


async def test_changed_limits_apply_at_once_and_are_reported(tmp_path: Path, origin: Origin) -> None:
    release = asyncio.Event()
    origin.script("/f", ScriptedResponse(size=10, body_event=release))
    async with DaemonProcess(tmp_path, config=CONFIG) as daemon:
        assert await settings(daemon) == CONFIGURED
        for _ in range(6):
            await daemon.start_download("d", origin.url("/f"))
        await wait_until(lambda: origin.active("/f") == 2)
        async with open_event_stream(daemon) as reader:
            await change(daemon, max_concurrent=4)
            await wait_until(lambda: origin.active("/f") == 4)
            await change(daemon, max_concurrent=1)
            assert [event.entry for event in await reader.wait_until(lambda: _changes(reader.events, 2))] == [
                {**CONFIGURED, "max_concurrent": 4},
                {**CONFIGURED, "max_concurrent": 1},
            ]
        # Those that run continue.
        assert origin.active("/f") == 4
        reasons = {entry["reason"] for entry in await daemon.active() if entry["status"] == "queued"}
        assert reasons == {"4 downloads are running (max_concurrent)"}
        release.set()
        await wait_until(lambda: len(origin.requests("/f")) == 6)
        lines = await daemon.wait_for_log("settings_changed", 2)
        assert [line["max_concurrent"] for line in lines] == [4, 1]


def _changes(events: list[Any], count: int) -> list[Any]:
    found = [event for event in events if event.name == "settings"]
    return found if len(found) == count else []


async def test_a_reload_and_a_restart_apply_the_configuration_again(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, config=CONFIG)
    async with daemon:
        await change(daemon, **CHANGES)
        assert await settings(daemon) == CHANGED
        await daemon.reload(CONFIG)
        assert await settings(daemon) == CONFIGURED
        await change(daemon, **CHANGES)
        await daemon.stop()
        await daemon.start()
        assert await settings(daemon) == CONFIGURED


async def test_hours_without_starts_hold_downloads_until_a_user_or_a_reload_lets_them_start(
    tmp_path: Path, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    held = f"{CONFIG}[[limits]]\nallow_starts = false\n"
    async with DaemonProcess(tmp_path, config=held) as daemon:
        first = (await daemon.start_download("d", origin.url("/f")))["download_id"]
        [entry] = await daemon.active()
        assert entry["reason"] == "nothing starts by the limits of 00:00-24:00 UTC"
        assert entry["wait"] == {"code": "allow_starts", "setting": "00:00-24:00 UTC"}
        await daemon.reload(CONFIG)
        assert (await daemon.wait_until_finished(first))["status"] == "completed"
        await daemon.reload(held)
        second = (await daemon.start_download("d", origin.url("/f")))["download_id"]
        assert [entry["id"] for entry in await daemon.active()] == [second]
        await change(daemon, allow_starts=True)
        assert (await daemon.wait_until_finished(second))["status"] == "completed"
        assert len(origin.requests("/f")) == 2


async def test_more_downloads_than_open_files_allow_are_refused(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path, launcher=("prlimit", "--nofile=512:512")) as daemon:
        status, body = await daemon.request("PATCH", PATH, json={"max_concurrent": 1000})
        assert (status, body["error"]) == (400, "INVALID_PARAMETER")
        assert body["detail"].startswith("max_concurrent: must be at most 48, ")
        assert (await settings(daemon))["max_concurrent"] == 48
