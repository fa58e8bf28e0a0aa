"""Exhausted file descriptors: connections and downloads wait, and continue when descriptors are free."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

LIMIT = 96


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def failed_removals(daemon: DaemonProcess) -> list[dict[str, Any]]:
    return [line for line in daemon.log_lines() if line["event"] == "part_removal_failed"]


async def test_accepts_pause_without_descriptors_and_continue_with_them(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1000))
    launcher = ("sh", "-c", f'ulimit -n {LIMIT} && exec "$@"', "sh")
    async with DaemonProcess(tmp_path, launcher=launcher) as daemon:
        assert daemon.process is not None
        pid = daemon.process.pid
        assert (await daemon.fetch("d", origin.url("/f")))[0] == 201
        host, _, port = daemon.url.removeprefix("http://").partition(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(2 * LIMIT)]
        await asyncio.sleep(0.2)
        begin = cpu_seconds(pid)
        await asyncio.sleep(1)
        spent = cpu_seconds(pid) - begin
        assert spent < 0.5, "it is busy with what it cannot have"
        assert daemon.process.poll() is None
        for _, writer in idle:
            writer.close()
        status, answer = await daemon.fetch("e", origin.url("/f"))
        assert (status, answer["message"]) == (201, "Download completed")
        assert "Traceback" not in daemon.log.read_text()
        assert await daemon.stop() == 0


@pytest.mark.parametrize("limit", [40, LIMIT])
async def test_downloads_are_limited_by_the_available_descriptors(tmp_path: Path, origin: Origin, limit: int) -> None:
    origin.script("/f", ScriptedResponse(size=100_000, rate=400_000, etag='"v"'))
    launcher = ("sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh")
    async with DaemonProcess(tmp_path, launcher=launcher, config=make_config(max_per_host=64)) as daemon:
        items = [{"url": origin.url("/f"), "directory": str(number % 3)} for number in range(16)]
        status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
        assert status == 201, body
        for item in body["downloads"]:
            assert (await daemon.wait_until_finished(item["download_id"]))["status"] == "completed"
        assert "Too many open files" not in daemon.log.read_text()
        [warning] = await daemon.wait_for_log("descriptor_limit_low")
        assert warning["limit"] == limit


async def test_idle_clients_use_no_descriptor_of_a_download(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=20_000, rate=40_000, etag='"v"'))
    launcher = ("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh")
    async with DaemonProcess(tmp_path, launcher=launcher, config=make_config(max_per_host=64, max_retries=0)) as daemon:
        host, _, port = daemon.url.removeprefix("http://").partition(":")
        items = [{"url": origin.url("/f"), "directory": str(number % 3)} for number in range(40)]
        status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
        assert status == 201, body
        idle = []
        for _ in range(600):
            idle.append(await asyncio.open_connection(host, int(port)))
            if len(idle) % 50 == 0:
                assert (await daemon.request("GET", "/api/v1/downloads"))[0] == 200
        for item in body["downloads"]:
            assert (await daemon.wait_until_finished(item["download_id"]))["status"] == "completed"
        assert "Too many open files" not in daemon.log.read_text()
        for _, writer in idle:
            writer.close()


async def test_a_download_continues_without_connections_that_get_no_descriptor(tmp_path: Path, origin: Origin) -> None:
    size = 16 << 20
    origin.script("/f", ScriptedResponse(size=size, rate=8 << 20, etag='"v"'))
    launcher = ("sh", "-c", f'ulimit -n {LIMIT} && exec "$@"', "sh")
    config = make_config(max_per_host=64, segments=16, max_retries=30)
    async with DaemonProcess(tmp_path, launcher=launcher, config=config) as daemon:
        items = [{"url": origin.url("/f"), "directory": str(number)} for number in range(4)]
        status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
        assert status == 201, body
        for item in body["downloads"]:
            entry = await daemon.wait_until_finished(item["download_id"])
            assert entry["status"] == "completed", entry
        assert daemon.files() == {f"{number}/f": expected_bytes(0, 0, size) for number in range(4)}
        await wait_until(lambda: not daemon.part_files() or failed_removals(daemon))
        if failed_removals(daemon):
            # Without a descriptor a superseded part file cannot be removed either; the next start does it.
            await daemon.stop()
            await daemon.start()
            await wait_until(lambda: not daemon.part_files())
        assert origin.max_active("/f") > 16
        assert "Traceback" not in daemon.log.read_text()
