"""The event loop is not blocked by large files or by calls that wait for a disk or a name server."""

import asyncio
import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from blockbuster import blockbuster_ctx
from support.app_config import config_for
from support.daemon_process import TOKEN
from support.nginx_origin import NginxOrigin
from support.ports import free_port
from support.waiting import wait_until

from downloadd.app import App
from downloadd.config import TcpAddress
from downloadd.daemon.listeners import bind

MAX_DELAY_SECONDS = 0.1
"""Seconds that the loop may be late."""

DELAY_MONITOR_SCRIPT = """
import sys, time
print("ready", flush=True)
while True:
    due = time.monotonic() + 0.01
    time.sleep(0.01)
    now = time.monotonic()
    if now - due > 0.02:
        print(due, now, flush=True)
"""
"""Program that prints when an idle process woke late, which is a delay of the machine."""


class Api:
    """Client of an app in this process."""

    def __init__(self, client: aiohttp.ClientSession, base: str) -> None:
        self.client = client
        self.base = base

    async def request(self, method: str, path: str, **parameters: str) -> dict[str, object]:
        async with self.client.request(method, f"{self.base}{path}", params=parameters) as response:
            assert response.status < 400, await response.text()
            return dict(await response.json())


@contextmanager
def measure_machine_delays() -> Iterator[list[tuple[float, float]]]:
    """Watch an idle process within the context; afterwards the list has the spans in which it had no CPU."""
    spans: list[tuple[float, float]] = []
    control = subprocess.Popen([sys.executable, "-c", DELAY_MONITOR_SCRIPT], stdout=subprocess.PIPE, text=True)
    assert control.stdout is not None
    control.stdout.readline()
    try:
        yield spans
    finally:
        control.terminate()
        for line in control.communicate()[0].splitlines():
            begin, end = line.split()
            spans.append((float(begin), float(end)))


async def watch_loop(late: list[tuple[float, float]]) -> None:
    """Record when the loop ran a timer too late."""
    while True:
        due = time.monotonic() + 0.005
        await asyncio.sleep(0.005)
        now = time.monotonic()
        if now - due > MAX_DELAY_SECONDS:
            late.append((due, now))


async def find_blocks(folder: Path, nginx: NginxOrigin) -> list[tuple[float, float]]:
    """Download a large file four times and return when the loop was late by more than the machine was."""
    late: list[tuple[float, float]] = []
    port = free_port()
    with measure_machine_delays() as machine_delays:
        async with App(config_for(folder)) as app, aiohttp.ClientSession() as client:
            client.headers["Authorization"] = f"Bearer {TOKEN}"
            await app.listen(bind(TcpAddress("127.0.0.1", port)))
            api = Api(client, f"http://127.0.0.1:{port}")
            watching = asyncio.create_task(watch_loop(late))
            answers = await asyncio.gather(
                *(api.request("GET", "/d", download=f"{nginx.http}/big.bin", wait="60") for _ in range(4))
            )
            watching.cancel()
    assert {answer["message"] for answer in answers} == {"Download completed"}
    return [
        (begin, end)
        for begin, end in late
        if (end - begin) - sum(max(0.0, min(end, b) - max(begin, a)) for a, b in machine_delays) > MAX_DELAY_SECONDS
    ]


async def test_large_files_do_not_block_the_loop(tmp_path: Path, nginx: NginxOrigin) -> None:
    with (nginx.www / "big.bin").open("wb") as file:
        file.truncate(100 << 20)
    # A loop that is blocked by its work is late each time; one that other load delays is not.
    rounds = [await find_blocks(tmp_path / str(number), nginx) for number in range(3)]
    assert [] in rounds


async def test_no_blocking_call_is_made_on_the_loop(tmp_path: Path, nginx: NginxOrigin) -> None:
    """Download, list, pause, cancel, start and stop with all blocking calls forbidden."""
    content = b"x" * 3_000_000
    (nginx.www / "small.bin").write_bytes(content)
    checksum = f"sha-256={hashlib.sha256(content).hexdigest()}"
    port = free_port()
    sockets = bind(TcpAddress("127.0.0.1", port))
    config = config_for(tmp_path)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        api = Api(client, f"http://127.0.0.1:{port}")
        with blockbuster_ctx():
            async with App(config) as app:
                await app.listen(sockets)
                url = f"{nginx.http}/small.bin".replace("127.0.0.1", "localhost")
                done = await api.request("GET", "/d", download=url, wait="30", checksum=checksum)
                assert done["message"] == "Download completed", done
                slow = f"{nginx.http}/slow/small.bin"
                started = [str((await api.request("GET", "/d", download=slow))["download_id"]) for _ in range(3)]

                async def all_receive() -> bool:
                    listing = (await api.request("GET", "/api/v1/downloads"))["downloads"]
                    assert isinstance(listing, list)
                    return [entry["current_size"] > 0 for entry in listing] == [True] * 3

                await wait_until(all_receive)
                await api.request("POST", f"/api/v1/downloads/{started[0]}/pause")
                await api.request("POST", f"/api/v1/downloads/{started[0]}/resume")
                await api.request("DELETE", f"/api/v1/downloads/{started[1]}")
                await api.request("GET", "/?download_history=", q="small")
                async with client.get(f"{api.base}/api/v1/metrics") as response:
                    assert "downloadd_downloads_active" in await response.text()
            async with App(config):
                pass
