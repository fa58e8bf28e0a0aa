"""Schedules of a daemon with a real origin: conditional runs, kept versions, and exactly one run over kills."""

import asyncio
import time
from pathlib import Path
from typing import Any

from support.clocks import ManualClock
from support.daemon_process import DEFAULT_CONFIG, USER, DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import wait_until

from downloadd.records.sqlite import SqliteRecords
from downloadd.schedule import Schedule, ScheduleDefinition, ScheduleSource

PATH = "/api/v1/schedules/prices"


def config(origin: Origin, **keys: Any) -> str:
    lines = "".join(f"{key} = {value!r}\n" for key, value in keys.items())
    return (
        f'{DEFAULT_CONFIG}[[schedules]]\nname = "prices"\ncron = "0 0 1 1 *"\ndirectory = "d"\n'
        f'url = "{origin.url("/prices.csv")}"\n{lines}'
    )


async def run(daemon: DaemonProcess) -> Any:
    """Start a run, and return the entry of its download after its end."""

    async def start() -> Any:
        status, answer = await daemon.request("POST", f"{PATH}/run")
        # The end of the last run may not be recorded yet.
        return answer if status == 200 else None

    return await daemon.wait_until_finished((await wait_until(start))["last_download"])


async def metrics(daemon: DaemonProcess) -> str:
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/api/v1/metrics") as response:
        return await response.text()


async def test_an_unchanged_file_is_asked_for_and_not_received_again(tmp_path: Path, origin: Origin) -> None:
    first = ScriptedResponse(size=10, etag='"1"')
    origin.script("/prices.csv", [first, error_response(304), ScriptedResponse(size=20, etag='"2"')])
    async with DaemonProcess(tmp_path, config=config(origin)) as daemon:
        assert (await run(daemon))["status"] == "completed"
        unchanged = await run(daemon)
        assert (unchanged["status"], unchanged["error"]) == ("skipped", "UNCHANGED")
        assert origin.requests("/prices.csv")[1].field("If-None-Match") == '"1"'
        assert len(daemon.files()["d/prices.csv"]) == 10
        status, entry = await daemon.request("GET", PATH)
        assert (status, entry["last_status"], entry["last_error"]) == (200, "skipped", "UNCHANGED")
        assert [row["error"] for row in await daemon.history(status="skipped")] == ["UNCHANGED"]
        assert 'downloadd_downloads_ended_total{error="UNCHANGED",outcome="skipped"} 1.0' in await metrics(daemon)
        assert (await run(daemon))["status"] == "completed"
        assert len(daemon.files()["d/prices.csv"]) == 20
        # Without its file, the origin is asked without a condition.
        (tmp_path / "files" / "d" / "prices.csv").unlink()
        assert (await run(daemon))["status"] == "completed"
        assert origin.requests("/prices.csv")[3].field("If-None-Match") is None


async def test_a_missed_run_is_made_once_over_kills(tmp_path: Path, origin: Origin) -> None:
    release = asyncio.Event()
    origin.script("/prices.csv", ScriptedResponse(size=10, head_event=release))
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    definition = ScheduleDefinition(
        cron="0 * * * *",
        time_zone="UTC",
        url=origin.url("/prices.csv"),
        directory="d",
        filename="prices.csv",
        keep=1,
        user=USER,
    )
    hours_ago = time.time() // 3600 * 3600 - 5 * 3600
    async with SqliteRecords(state, ManualClock()) as records:
        await records.schedules.add(
            Schedule(name="prices", source=ScheduleSource.API, created=1.0, definition=definition, next_run=hours_ago)
        )
    daemon = DaemonProcess(tmp_path)
    await daemon.start()
    try:
        await origin.wait_requested("/prices.csv")
        for _ in range(2):
            await daemon.kill()
            await daemon.start()
        release.set()
        _, entry = await daemon.request("GET", PATH)
        assert entry["last_run"] >= hours_ago + 5 * 3600
        assert (await daemon.wait_until_finished(entry["last_download"]))["status"] == "completed"
        assert [row["id"] for row in await daemon.history()] == [entry["last_download"]]
        assert await daemon.active() == []
    finally:
        await daemon.stop()
