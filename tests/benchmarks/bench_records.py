"""Benchmark of the records: durable accepts, claims and saves per second, and a history and a queue of a million rows.

Run it as `python tests/benchmarks/bench_records.py [--rows N] [--dir DIR]`; the directory should lie on a real disk.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec.structs import replace

from downloadd.clock import SystemClock
from downloadd.download import Download, Progress, Request, new_id
from downloadd.gid import make_gid
from downloadd.queue_move import TO_BOTTOM, TO_TOP, UP
from downloadd.records.protocol import HistoryFilter
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.waiting_list import ChunkRequest, QueueChunk
from downloadd.states import State


def resident_bytes() -> float:
    """Return the resident memory of this process in MiB."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def make_id() -> str:
    """Return an id as the manager makes it."""
    return new_id(time.time(), random.getrandbits(74))


def download(number: int, *, state: State = State.QUEUED) -> Download:
    """Return a download that a client might request."""
    url = f"https://files.example.com/releases/2024/package-{number:08}.tar.gz"
    return Download(
        id=make_id(),
        user="d26x6zSkaPSe5gCyy",
        request=Request(url=url, redacted_url=url, directory=f"Downloads/{number % 50}", timeout=300),
        progress=Progress(origin="https://files.example.com"),
        start_time=1_700_000_000 + number // 100,
        filename=f"package-{number:08}.tar.gz",
        state=state,
    )


def row(label: str, value: str) -> None:
    """Print a line of the table."""
    print(f"| {label:<50} | {value:>24} |", flush=True)


async def measure_accepts(records: SqliteRecords, clients: int, seconds: float) -> None:
    """Measure accepts; each client makes one after the other."""
    end = time.perf_counter() + seconds
    latencies: list[float] = []

    async def client(first: int) -> None:
        number = first
        while (begin := time.perf_counter()) < end:
            await records.accept([download(number)])
            latencies.append(time.perf_counter() - begin)
            number += clients

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for first in range(clients):
            group.create_task(client(first))
    elapsed = time.perf_counter() - begin
    latencies.sort()
    row(f"durable accepts a second, {clients} clients", f"{len(latencies) / elapsed:,.0f}")
    row(
        f"  latency p50 / p99, {clients} clients",
        f"{latencies[len(latencies) // 2] * 1e3:.1f} / {latencies[len(latencies) * 99 // 100] * 1e3:.1f} ms",
    )


async def measure_runs(records: SqliteRecords, clients: int) -> None:
    """Measure claims of 20,000 downloads, 64 at a time, and two saves of each, the second as completed."""
    seqs = [waiting.seq async for chunk in records.waiting() for waiting in chunk][:20_000]
    begin = time.perf_counter()
    claimed: list[Download] = []
    for start in range(0, len(seqs), 64):
        claimed += await records.claim(seqs[start : start + 64])
    row("claims a second, one caller, 64 at a time", f"{len(claimed) / (time.perf_counter() - begin):,.0f}")

    async def client(mine: list[Download]) -> None:
        for held in mine:
            received = held.with_progress(received=1000, total=1000)
            await records.save(replace(received, state=State.VERIFYING))
            ended = replace(received.with_result(end_time=1), state=State.COMPLETED)
            assert await records.save(ended) is not None

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for first in range(clients):
            group.create_task(client(claimed[first::clients]))
    row(f"saves a second, {clients} clients", f"{2 * len(claimed) / (time.perf_counter() - begin):,.0f}")


async def measure_pages(records: SqliteRecords, label: str, page_filter: HistoryFilter, count: int) -> None:
    """Measure repeated reads of a page."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        await records.history(page_filter)
        times.append(time.perf_counter() - begin)
    times.sort()
    row(label, f"{times[count // 2] * 1e3:.2f} / {times[count * 99 // 100] * 1e3:.2f} ms")


async def measure_history(state_dir: Path, rows: int) -> None:
    """Measure filling a history, opening it again and reading its pages."""
    clock = SystemClock()
    begin = time.perf_counter()
    async with SqliteRecords(state_dir, clock=clock) as records:
        for start in range(0, rows, 10_000):
            await records.accept(
                [
                    download(n, state=State.FAILED if n % 10 == 0 else State.COMPLETED)
                    for n in range(start, start + 10_000)
                ]
            )
    row(f"rows a second in batches of 10,000, up to {rows:,}", f"{rows / (time.perf_counter() - begin):,.0f}")
    row("size of the database", f"{(state_dir / 'records.db').stat().st_size / rows:,.0f} bytes a row")
    before = resident_bytes()
    begin = time.perf_counter()
    async with SqliteRecords(state_dir, clock=clock) as records:
        row(f"open with {rows:,} rows", f"{(time.perf_counter() - begin) * 1e3:.1f} ms")
        await measure_pages(records, "newest page of 100, p50 / p99", HistoryFilter(), 300)
        await measure_pages(records, "page in the middle, p50 / p99", HistoryFilter(before_ended_seq=rows // 2), 300)
        await measure_pages(records, "newest failed, p50 / p99", HistoryFilter(state=State.FAILED), 300)
        await measure_pages(records, "newest of a directory, p50 / p99", HistoryFilter(directory="Downloads/7"), 300)
        await measure_pages(records, "newest page of 1,000, p50 / p99", HistoryFilter(limit=1000), 50)
        await measure_pages(records, "search that finds nothing, p50 / p99", HistoryFilter(contains="no such name"), 3)
        row("resident memory, before and after reading", f"{before:.0f} / {resident_bytes():.0f} MiB")
        await measure_accepts(records, 256, 3)
        row("resident memory after accepts", f"{resident_bytes():.0f} MiB")


async def measure_calls(label: str, call: Callable[[int], Awaitable[object]], count: int) -> None:
    """Measure repeated calls, which get their number."""
    times = []
    for number in range(count):
        begin = time.perf_counter()
        await call(number)
        times.append(time.perf_counter() - begin)
    times.sort()
    row(label, f"{times[count // 2] * 1e3:.2f} / {times[-1] * 1e3:.2f} ms")


async def measure_chunks(label: str, change: Callable[[ChunkRequest], Awaitable[QueueChunk]]) -> None:
    """Measure a change of the whole queue."""
    begin, changed, longest = time.perf_counter(), 0, 0.0
    after: int | None = 0
    while after is not None:
        started = time.perf_counter()
        chunk = await change(ChunkRequest(after=after, until=2**40, with_rows=False))
        longest = max(longest, time.perf_counter() - started)
        changed += len(chunk.changed)
        after = chunk.last_seq
    row(f"{label}, rows a second", f"{changed / (time.perf_counter() - begin):,.0f}")
    row("  longest of its transactions", f"{longest * 1e3:.1f} ms")


async def measure_queue(state_dir: Path, rows: int) -> None:
    """Measure a long waiting list beside as many results."""
    async with SqliteRecords(state_dir, clock=SystemClock()) as records:
        for start in range(0, rows, 10_000):
            await records.accept([download(n) for n in range(start, start + 10_000)])
        begin = time.perf_counter()
        count = 0
        async for chunk in records.waiting():
            count += len(chunk)
        row(f"read {count:,} waiting downloads at the start", f"{time.perf_counter() - begin:.1f} s")
        queue, results, gids = records.queue, records.results, records.gids
        await measure_calls("first 1,000 of the queue, p50 / longest", lambda _: queue.page(0, 1000), 30)
        await measure_calls("last 1,000, backwards", lambda _: queue.page(-1, 1000), 30)
        await measure_calls("10 in the middle", lambda _: queue.page(rows // 2, 10), 30)
        await measure_calls("newest 1,000 results", lambda _: results.page(0, 1000), 30)
        await measure_calls("numbers of results and of ended", lambda _: records.ended_count(), 30)
        await measure_calls("numbers of active downloads by state", lambda _: records.counts(), 30)
        await measure_calls("by gid", lambda n: gids.find(make_gid(n + 1)), 100)
        await measure_calls("by six digits of a gid", lambda n: gids.find(make_gid(n + 1)[:6]), 30)
        ids = [one.id for one in await queue.page(0, 100)]
        middle = [one.id for one in await queue.page(rows // 2, 100)]
        last = [one.id for one in await queue.page(-1, 100)]
        moves = (("the last to the top", last, TO_TOP), ("one in the middle up", middle, UP))
        for label, moved, to in (*moves, ("the first to the bottom", ids, TO_BOTTOM)):
            await measure_calls(label, lambda n, m=moved, t=to: queue.move(m[n], t, lambda row: None), 30)  # type: ignore[misc]
        await measure_calls("accept one at index 0", lambda n: records.accept([download(n)], positions={0: 0}), 30)
        await measure_chunks("pause all", lambda request: queue.pause_chunk(request, lambda _: True))
        await measure_chunks("resume all", lambda request: queue.resume_chunk(request, lambda _: True))
        await measure_calls("clear all results", lambda _: results.clear_all(), 3)
        row("resident memory", f"{resident_bytes():.0f} MiB")


async def main() -> None:
    """Run all measurements and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of history")
    parser.add_argument("--dir", default=None, help="directory of the databases; default: the temporary directory")
    parser.add_argument("--seconds", type=float, default=5, help="how long to accept, for each number of clients")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.dir) as directory:
        row("resident memory at start", f"{resident_bytes():.0f} MiB")
        async with SqliteRecords(Path(directory) / "accepts", clock=SystemClock()) as records:
            for clients in (1, 64, 256):
                await measure_accepts(records, clients, arguments.seconds)
            await measure_runs(records, 256)
            row("resident memory", f"{resident_bytes():.0f} MiB")
        await measure_history(Path(directory) / "history", arguments.rows)
        await measure_queue(Path(directory) / "history", arguments.rows)


if __name__ == "__main__":
    asyncio.run(main())
