"""The waiting list of a daemon: order, pauses and gids over `kill -9`, and a long list that all of it is paused in."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.clocks import ManualClock
from support.daemon_process import DaemonProcess, make_config
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

from downloadd.gid import make_gid
from downloadd.records.sqlite import SqliteRecords


def order_of(entries: list[dict[str, Any]]) -> list[str]:
    """Return the names of the downloads that wait, in the order of starting."""
    listed = [entry for entry in entries if entry["status"] in {"queued", "paused"}]
    return [entry["filename"] for entry in sorted(listed, key=lambda entry: (-entry["priority"], entry["place"]))]


async def gids_of(daemon: DaemonProcess) -> dict[str, str]:
    """Return the gids in the records of a daemon that does not run, by name."""
    async with SqliteRecords(daemon.folder / "state", ManualClock()) as records:
        return {row.filename: row.gid for row in await records.queue.page(0, 99)}


@pytest.mark.timeout(120)
async def test_order_and_pauses_survive_kills_and_downloads_start_in_this_order(tmp_path: Path, origin: Origin) -> None:
    daemon = DaemonProcess(tmp_path, config=make_config(max_concurrent=1))
    await daemon.start()
    try:
        release = asyncio.Event()
        origin.script("/held", ScriptedResponse(size=1, head_event=release))
        await daemon.start_download("d", origin.url("/held"))
        ids: dict[str, str] = {}
        for number in range(6):
            name = f"f{number}"
            origin.script(f"/{name}", ScriptedResponse(size=10, stall_after=5))
            ids[name] = (await daemon.start_download("d", origin.url(f"/{name}")))["download_id"]

        async def move(name: str, to: str | int) -> None:
            status, _ = await daemon.request("POST", f"/api/v1/downloads/{ids[name]}/move", json={"to": to})
            assert status == 200

        item = {"url": origin.url("/f0"), "directory": "e", "filename": "placed", "position": 1}
        assert (await daemon.request("POST", "/api/v1/downloads", json={"downloads": [item]}))[0] == 201
        await move("f4", "top")
        await daemon.kill()
        await daemon.start()
        await wait_until(lambda: origin.requests("/held")[1:])
        assert order_of(await daemon.active()) == ["f4", "f0", "placed", "f1", "f2", "f3", "f5"]
        await move("f5", 2)
        await daemon.control(ids["f4"], "pause")
        await daemon.kill()
        gids = await gids_of(daemon)
        await daemon.start()
        await move("f1", "bottom")
        await move("f0", "down")
        order = ["f4", "f5", "f0", "placed", "f2", "f3", "f1"]
        assert order_of(await daemon.active()) == order
        assert (await daemon.get_download(ids["f4"]))["status"] == "paused"
        await daemon.kill()
        assert await gids_of(daemon) == gids
        assert gids["f1"] == make_gid(3)
        await daemon.start()
        assert order_of(await daemon.active()) == order
        release.set()
        for name in ("f5", "f0"):
            await wait_until(lambda name=name: origin.requests(f"/{name}"))
            await daemon.control(ids[name], "cancel")
        assert order_of(await daemon.active())[0] == "f4"
        assert not origin.requests("/f4")
    finally:
        await daemon.kill()


@pytest.mark.timeout(120)
async def test_a_kill_while_all_are_paused_loses_none_and_a_repetition_pauses_the_rest(
    tmp_path: Path, origin: Origin
) -> None:
    daemon = DaemonProcess(tmp_path, config=make_config(max_concurrent=1))
    await daemon.start()
    try:
        origin.script("/f", ScriptedResponse(size=10, stall_after=5))
        items = [{"url": origin.url("/f"), "directory": "d"}] * 5_000
        for _ in range(2):
            assert (await daemon.request("POST", "/api/v1/downloads", json={"downloads": items}))[0] == 201
        pausing = asyncio.ensure_future(daemon.request("POST", "/api/v1/downloads/pause"))

        async def paused() -> int:
            _, body = await daemon.request("GET", "/api/v1/downloads?status=paused&limit=10000")
            return len(body["downloads"])

        await wait_until(paused)
        await daemon.kill()
        await asyncio.wait([pausing])
        pausing.exception()
        await daemon.start()
        before = await paused()
        assert before > 0
        _, answer = await daemon.request("POST", "/api/v1/downloads/pause")
        assert (answer["changed"], await paused()) == (10_000 - before, 10_000)
        _, answer = await daemon.request("POST", "/api/v1/downloads/resume")
        assert answer["changed"] == 10_000
        assert len(await daemon.active()) == 10_000
    finally:
        await daemon.kill()


async def test_a_download_waits_for_its_time_over_kills_until_it_gets_another(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    daemon = DaemonProcess(tmp_path)
    await daemon.start()
    try:
        item = {"url": origin.url("/f"), "directory": "d", "not_before": "2126-12-24T18:00:00+01:00"}
        wrong = {**item, "not_before": "tomorrow"}
        _, answer = await daemon.request("POST", "/api/v1/downloads", json={"downloads": [item, wrong]})
        accepted, refused = answer["downloads"]
        assert (refused["error"], refused["detail"][:33]) == ("INVALID_PARAMETER", "not_before: expected a time with ")
        await daemon.kill()
        await daemon.start()
        [entry] = await daemon.active()
        assert entry["not_before"] == 4953805200
        assert entry["reason"] == "it starts at 2126-12-24T17:00:00Z (not_before)"
        assert origin.requests("/f") == []
        id = accepted["download_id"]
        status, _ = await daemon.request("PATCH", f"/api/v1/downloads/{id}", json={"not_before": 0})
        assert status == 200
        assert (await daemon.wait_until_finished(id))["status"] == "completed"
    finally:
        await daemon.stop()
