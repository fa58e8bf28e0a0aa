"""Benchmark of the daemon as a process: start, idle memory, accepts, a thousand slow downloads, a long queue.

Run it as `python tests/benchmarks/bench_daemon.py`; it starts the installed `downloadd`, an origin and the clients,
each in a process of its own, on this machine alone.
"""

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.daemon_process import TOKEN, DaemonProcess, make_config
from support.nginx_origin import NginxOrigin
from support.ports import free_port
from support.waiting import wait_until

MIB = 1 << 20


def row(what: str, value: str) -> None:
    """Print one row of the table."""
    print(f"| {what:58} | {value:>24} |", flush=True)


def percentile(times: list[float], share: float) -> float:
    """Return the time in milliseconds, as text."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


# -- clients, in a process of their own ----------------------------------------------------------------------------


async def _accept_client(host: str, port: int, origin: int, number: int, until_time: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    count = 0
    while time.perf_counter() < until_time:
        count += 1
        target = f"/Downloads?download=http%3A%2F%2F127.0.0.1%3A{origin}%2F{number}%2F{count}.bin"
        begin = time.perf_counter()
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 201"), head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append(time.perf_counter() - begin)
    writer.close()


def _run_clients(
    host: str, port: int, origin: int, clients: int, seconds: float, results: "multiprocessing.Queue[Any]"
) -> None:
    import uvloop

    async def load() -> list[float]:
        times: list[float] = []
        stop = time.perf_counter() + seconds
        await asyncio.gather(*(_accept_client(host, port, origin, n, stop, times) for n in range(clients)))
        return times

    results.put(uvloop.run(load()))


def _run_origin(port: int) -> None:
    import runpy

    sys.argv = ["origin", "--port", str(port)]
    runpy.run_module("support.origin", run_name="__main__")


# -- measurements -----------------------------------------------------------------------------------------------


async def measure_start(folder: Path) -> None:
    times = []
    resident = 0
    for _ in range(5):
        begin = time.perf_counter()
        async with DaemonProcess(folder, may_fork=False) as daemon:
            assert (await daemon.request("GET", "/api/v1/health"))[0] == 200
            times.append(time.perf_counter() - begin)
            await asyncio.sleep(0.5)
            resident = daemon.resident_bytes()
    row("start until health answers, median of 5", f"{statistics.median(times):.2f} s")
    row("resident, idle", f"{resident / MIB:.0f} MiB")


async def measure_accepts(folder: Path, clients: int, seconds: float, rounds: int) -> None:
    # One slot, used by a host that never answers: accepts are measured, not downloads.
    config = make_config(max_concurrent=1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        await _measure_accepts(folder, config, silent.getsockname()[1], clients, seconds, rounds)


async def _measure_accepts(folder: Path, config: str, origin: int, clients: int, seconds: float, rounds: int) -> None:
    async with DaemonProcess(folder, config=config, may_fork=False) as daemon:
        host, port = daemon.url.removeprefix("http://").split(":")
        rates = []
        times: list[float] = []
        for _ in range(rounds):
            results: multiprocessing.Queue[Any] = multiprocessing.Queue()
            process = multiprocessing.Process(
                target=_run_clients, args=(host, int(port), origin, clients, seconds, results)
            )
            process.start()
            times = await asyncio.to_thread(results.get)
            process.join()
            rates.append(len(times) / seconds)
        row(f"durable accepts a second, {clients} clients, median of {rounds}", f"{statistics.median(rates):,.0f}")
        row("  latency p50 / p99", f"{percentile(times, 0.5):.1f} / {percentile(times, 0.99):.1f} ms")
        row(f"  resident with {sum(rates) * seconds:,.0f} waiting", f"{daemon.resident_bytes() / MIB:.0f} MiB")
        listed = []
        for _ in range(100):
            begin = time.perf_counter()
            await daemon.request("GET", "/api/v1/downloads?limit=100")
            listed.append(time.perf_counter() - begin)
        row("  listing with limit=100, p50 / p99", f"{percentile(listed, 0.5):.1f} / {percentile(listed, 0.99):.1f} ms")


async def measure_trickles(folder: Path, count: int) -> None:
    port = free_port()
    origin = multiprocessing.Process(target=_run_origin, args=(port,), daemon=True)
    origin.start()
    config = make_config(max_concurrent=count, max_per_host=count)
    async with DaemonProcess(folder, config=config, may_fork=False) as daemon:
        url = f"http://127.0.0.1:{port}/trickle/10000000?rate=2000"
        batch = [{"url": url, "directory": "t", "timeout": 0} for _ in range(count)]
        status, _ = await daemon.request("POST", "/api/v1/downloads", json={"downloads": batch})
        assert status == 201

        async def all_run() -> bool:
            states = [entry["status"] for entry in await daemon.active()]
            return states.count("downloading") == count

        await wait_until(all_run, 60, 0.5)
        await asyncio.sleep(3)
        assert daemon.client is not None
        listed = []
        for _ in range(100):
            begin = time.perf_counter()
            async with daemon.client.get(f"{daemon.url}/api/v1/downloads") as response:
                await response.read()
            listed.append(time.perf_counter() - begin)
        assert daemon.process is not None
        used = cpu_seconds(daemon.process.pid)
        await asyncio.sleep(5)
        used = cpu_seconds(daemon.process.pid) - used
        row(f"resident with {count} trickles", f"{daemon.resident_bytes() / MIB:.0f} MiB")
        row("  CPU", f"{used / 5 * 100:.0f} % of a core")
        row("  listing of all, p50 / p99", f"{percentile(listed, 0.5):.1f} / {percentile(listed, 0.99):.1f} ms")
    origin.terminate()


async def measure_queue(folder: Path, lengths: Sequence[int]) -> None:
    """Measure the cost of a download while others, of an origin without a free slot, wait."""
    config = make_config(max_queued=2_000_000)
    with socket.create_server(("127.0.0.1", 0)) as silent, NginxOrigin(folder / "origin") as nginx:
        (nginx.www / "f").write_bytes(b"x" * 16_384)
        async with DaemonProcess(folder, config=config, may_fork=False) as daemon:
            await _fill_queue(daemon, silent.getsockname()[1], 16)
            waiting = 0
            for length in lengths:
                begin = time.perf_counter()
                await _fill_queue(daemon, silent.getsockname()[1], length - waiting)
                seconds, added, waiting = time.perf_counter() - begin, length - waiting, length
                row(f"{length:,} waiting: time of an accept in a batch", f"{seconds / added * 1e6:.0f} us")
                await _measure_beside_queue(daemon, f"{nginx.http}/f", length)


async def _fill_queue(daemon: DaemonProcess, port: int, count: int) -> None:
    for first in range(0, count, 10_000):
        items = [
            {"url": f"http://127.0.0.1:{port}/{number}", "directory": "waiting", "timeout": 0}
            for number in range(first, min(count, first + 10_000))
        ]
        status, answer = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
        assert status == 201, answer


async def _measure_beside_queue(daemon: DaemonProcess, url: str, length: int, *, files: int = 500) -> None:
    assert daemon.process is not None
    cpu, times = cpu_seconds(daemon.process.pid), []
    for _ in range(files):
        begin = time.perf_counter()
        status, _ = await daemon.fetch("d", url, conflict="overwrite")
        times.append(time.perf_counter() - begin)
        assert status == 201
    used = (cpu_seconds(daemon.process.pid) - cpu) / files * 1000
    row("  CPU of a download of 16 KiB", f"{used:.2f} ms")
    row("  its time p50 / p99", f"{percentile(times, 0.5):.1f} / {percentile(times, 0.99):.1f} ms")
    row("  resident", f"{daemon.resident_bytes() / MIB:.0f} MiB")


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def main() -> None:
    """Run all measurements and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5, help="of each round of accepts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trickles", type=int, default=1000)
    parser.add_argument("--queue", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000], help="lengths")
    parser.add_argument("--only", choices=["start", "accepts", "trickles", "queue"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        measures: dict[str, Callable[[Path], Awaitable[None]]] = {
            "start": measure_start,
            "accepts": lambda folder: measure_accepts(folder, arguments.clients, arguments.seconds, arguments.rounds),
            "trickles": lambda folder: measure_trickles(folder, arguments.trickles),
            "queue": lambda folder: measure_queue(folder, arguments.queue),
        }
        for name, measure in measures.items():
            if arguments.only in {None, name}:
                folder = Path(directory) / name
                folder.mkdir()
                await measure(folder)


if __name__ == "__main__":
    asyncio.run(main())
