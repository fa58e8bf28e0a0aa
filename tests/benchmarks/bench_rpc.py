"""Benchmark of the aria2 RPC: core use of open pages of AriaNg, for each of the tabs that they may show.

Run it as `python tests/benchmarks/bench_rpc.py`; it starts the installed `downloadd`, an origin and the pages, each in
a process of its own, on this machine alone. Each page calls `aria2.getGlobalStat` and the list of its tab once a
second, with the keys of AriaNg 1.3.14 and the fields of a browser.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.bench_daemon import cpu_seconds, percentile, row
from support.daemon_process import TOKEN, DaemonProcess, make_config
from support.nginx_origin import NginxOrigin
from support.waiting import wait_until

BASIC_KEYS: Final = (
    *("gid", "totalLength", "completedLength", "uploadSpeed", "downloadSpeed", "connections", "numSeeders", "seeder"),
    *("status", "errorCode", "verifiedLength", "verifyIntegrityPending"),
)
"""Keys of the polls of a list that AriaNg knows already."""
WHOLE_KEYS: Final = (*BASIC_KEYS, "files", "bittorrent", "infoHash")
"""Keys of the polls after a list has changed."""
POLL_SECONDS: Final = 1.0


class Tab(msgspec.Struct, frozen=True, kw_only=True):
    """Tab of a page, with its poll."""

    name: str
    method: str
    window: tuple[int, ...]
    rows: int
    keys: tuple[str, ...] = BASIC_KEYS


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Polls of some pages for some seconds."""

    port: int
    tab: Tab
    pages: int
    seconds: float
    accepts_gzip: bool


def _run_pages(load: Load, results: "multiprocessing.Queue[list[float]]") -> None:
    results.put(asyncio.run(_poll_all(load)))


async def _poll_all(load: Load) -> list[float]:
    times: list[float] = []
    stop = time.perf_counter() + load.seconds
    await asyncio.gather(*(_run_page(load, number, stop, times) for number in range(load.pages)))
    return times


async def _run_page(load: Load, number: int, stop: float, times: list[float]) -> None:
    await asyncio.sleep(POLL_SECONDS * number / load.pages)
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
    for count in itertools.count():
        begin = time.perf_counter()
        if begin >= stop:
            break
        calls: tuple[tuple[str, list[Any]], ...] = (
            ("aria2.getGlobalStat", []),
            (load.tab.method, [*load.tab.window, load.tab.keys]),
        )
        for method, params in calls:
            length = await _call(reader, writer, load, f"AriaNg_{number}_{count}", method, params)
            assert method == "aria2.getGlobalStat" or load.accepts_gzip or length > load.tab.rows * 100, length
        times.append(time.perf_counter() - begin)
        await asyncio.sleep(max(0.0, begin + POLL_SECONDS - time.perf_counter()))
    writer.close()


async def _call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, load: Load, id: str, method: str, params: list[Any]
) -> int:
    """Send a call as a browser does; return the length of the content of its answer."""
    message = {"jsonrpc": "2.0", "id": id, "method": method, "params": [f"token:{TOKEN}", *params]}
    body = json.dumps(message, separators=(",", ":")).encode()
    coding = "gzip, deflate" if load.accepts_gzip else "identity"
    writer.write(
        f"POST /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\nOrigin: http://ariang.example\r\n"
        f"Accept: application/json, text/plain, */*\r\nContent-Type: text/plain;charset=UTF-8\r\n"
        f"Accept-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return length


async def _measure(daemon: DaemonProcess, tab: Tab, pages: int, seconds: float, *, accepts_gzip: bool) -> None:
    assert daemon.process is not None
    load = Load(
        port=int(daemon.url.rpartition(":")[2]), tab=tab, pages=pages, seconds=seconds, accepts_gzip=accepts_gzip
    )
    results: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    process = multiprocessing.Process(target=_run_pages, args=(load, results))
    before = cpu_seconds(daemon.process.pid)
    process.start()
    times = await asyncio.to_thread(results.get)
    used = cpu_seconds(daemon.process.pid) - before
    process.join()
    coding = "gzip" if accepts_gzip else "identity"
    row(f"{pages} pages, {tab.name}, {coding}: cores", f"{used / seconds:.3f}")
    row("  time of both calls p50 / p99", f"{statistics.median(times) * 1000:.1f} / {percentile(times, 0.99):.1f} ms")


async def _add(daemon: DaemonProcess, urls: list[str], **fields: Any) -> None:
    items = [{"url": url, "directory": "list", "timeout": 0, **fields} for url in urls]
    status, answer = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
    assert status == 201, answer


async def _fill(daemon: DaemonProcess, origin: str, silent: int, waiting: int, results: int) -> None:
    """Make results, then downloads that are active at a silent origin, then waiting ones of the same."""
    await _add(daemon, [f"{origin}/missing/{number}/a-file-with-a-name.bin" for number in range(results)])
    await wait_until(lambda: _has_results(daemon, results), 120)
    slow = [f"http://127.0.0.1:{silent}/folder/{number}/a-file-with-a-name.bin" for number in range(waiting + 5)]
    await _add(daemon, slow)


async def _has_results(daemon: DaemonProcess, count: int) -> bool:
    call = {"id": 1, "method": "aria2.getGlobalStat", "params": [f"token:{TOKEN}"]}
    return int((await daemon.request("POST", "/jsonrpc", json=call))[1]["result"]["numStopped"]) >= count


async def _change(daemon: DaemonProcess, seconds: float, changes: float) -> None:
    """Move a waiting download `changes` times a second."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        call = {"id": 1, "method": "aria2.tellWaiting", "params": [f"token:{TOKEN}", -1, 1, ["gid"]]}
        gid = (await daemon.request("POST", "/jsonrpc", json=call))[1]["result"][0]["gid"]
        call = {"id": 1, "method": "aria2.changePosition", "params": [f"token:{TOKEN}", gid, 0, "POS_SET"]}
        await daemon.request("POST", "/jsonrpc", json=call)
        await asyncio.sleep(1 / changes)


async def main() -> None:
    """Run all measurements and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--waiting", type=int, default=1_000)
    parser.add_argument("--results", type=int, default=1_000)
    parser.add_argument("--changes", type=float, default=10, help="of the waiting list, a second, for the last rows")
    parser.add_argument("--only", help="part of the name of a tab")
    arguments = parser.parse_args()
    tabs = [
        Tab(name="active", method="aria2.tellActive", window=(), rows=5),
        Tab(name="waiting", method="aria2.tellWaiting", window=(0, 1000), rows=arguments.waiting),
        Tab(
            name="waiting, whole", method="aria2.tellWaiting", window=(0, 1000), rows=arguments.waiting, keys=WHOLE_KEYS
        ),
        Tab(name="stopped", method="aria2.tellStopped", window=(-1, 1000), rows=arguments.results),
        Tab(
            name="stopped, whole",
            method="aria2.tellStopped",
            window=(-1, 1000),
            rows=arguments.results,
            keys=WHOLE_KEYS,
        ),
    ]
    config = make_config(max_concurrent=5, max_per_host=5)
    with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        folder = Path(directory)
        with NginxOrigin(folder / "origin") as nginx:
            daemon_folder = folder / "daemon"
            daemon_folder.mkdir()
            async with DaemonProcess(daemon_folder, config=config, may_fork=False) as daemon:
                port = silent.getsockname()[1]
                await _fill(daemon, nginx.http, port, arguments.waiting, arguments.results)
                for tab in tabs:
                    for accepts_gzip in (False, True):
                        await _measure(daemon, tab, arguments.pages, arguments.seconds, accepts_gzip=accepts_gzip)
                row("resident", f"{daemon.resident_bytes() / (1 << 20):.0f} MiB")
                for tab in tabs:
                    if "waiting" in tab.name:
                        row(f"with {arguments.changes:.0f} moves a second:", "")
                        async with asyncio.TaskGroup() as group:
                            group.create_task(_change(daemon, arguments.seconds, arguments.changes))
                            await _measure(daemon, tab, arguments.pages, arguments.seconds, accepts_gzip=True)


if __name__ == "__main__":
    asyncio.run(main())
