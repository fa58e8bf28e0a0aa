"""Memory of the daemon: when idle, with large files, and after many downloads."""

import asyncio
from pathlib import Path

from support.daemon_process import DaemonProcess, make_config
from support.nginx_origin import NginxOrigin
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

MIB = 1 << 20
IDLE = 64 * MIB


async def test_an_idle_daemon_uses_little_memory(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path, may_fork=False) as daemon:
        assert (await daemon.request("GET", "/api/v1/health"))[0] == 200
        assert daemon.resident_bytes() <= IDLE


async def test_a_large_file_is_never_held_in_memory(daemon: DaemonProcess, nginx: NginxOrigin) -> None:
    with (nginx.www / "huge.bin").open("wb") as file:
        file.truncate(300 * MIB)
    await daemon.fetch("d", f"{nginx.http}/huge.bin")
    before = most = daemon.resident_bytes()
    fetching = asyncio.create_task(daemon.fetch("d", f"{nginx.http}/huge.bin"))
    while not fetching.done():
        most = max(most, daemon.resident_bytes())
        await asyncio.sleep(0.01)
    assert (await fetching)[0] == 201
    assert most - before < 24 * MIB


async def test_memory_does_not_grow_over_many_downloads(tmp_path: Path, origin: Origin) -> None:
    origin.script("/small", ScriptedResponse(size=1000))
    async with DaemonProcess(
        tmp_path, config=make_config(max_concurrent=64, max_per_host=64), may_fork=False
    ) as daemon:
        sizes = []
        for round in range(1, 4):
            batch = [{"url": origin.url("/small"), "directory": "d", "filename": f"{n}"} for n in range(500)]
            assert (await daemon.request("POST", "/api/v1/downloads", json={"downloads": batch}))[0] == 201
            await wait_until(lambda round=round: _completed(daemon, 500 * round), 60)
            sizes.append(daemon.resident_bytes())
        assert sizes[2] - sizes[1] < 10 * MIB


async def _completed(daemon: DaemonProcess, count: int) -> bool:
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/api/v1/metrics") as response:
        text = await response.text()
    return f'downloadd_downloads_ended_total{{error="",outcome="completed"}} {float(count)}' in text
