"""Benchmark of several nodes: downloads, accepts and actions on up to 3 daemons; statements of a big cluster.

Run it as `python tests/benchmarks/bench_cluster.py`; it starts a PostgreSQL server, an origin and the daemons on this
machine. `--only statements --rows 10000000` measures the statements of 50 nodes with 10 million waiting downloads.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
from benchmarks.bench_daemon import _run_clients, percentile, row
from support.daemon_process import DaemonProcess, make_config
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.postgres_server import PostgresServer

from downloadd.clock import SystemClock
from downloadd.manager.queue_window import MAX_ROUTES
from downloadd.node import NodeReport
from downloadd.records.admission import BacklogRequest, ClaimRequest
from downloadd.records.postgres.admission import _GONE_SESSIONS, _NEXT_DUE, _ROUTES, _USED_BY_OTHERS
from downloadd.records.postgres.download_queries import _GONE_SESSIONS as _GONE_RUNNING
from downloadd.records.postgres.nodes import _BEAT
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.postgres.runs import _HELD

NODES = 50
RUNS_PER_NODE = 100
HOSTS = 1000
ORIGIN_PORT = 60_999

_FILL = """
INSERT INTO downloads (id, "user", start_time, state, filename, shown_url, directory, timeout, conflict, segments,
    desired, priority, speed_limit, origin)
SELECT 'id-' || n, 'ann', 1700000000, 'queued', 'f' || n, 'https://h' || n % $3 || '.example/f' || n, 'd', 0, 'rename',
    1, 'run', 0, 0, 'https://h' || n % $3 || '.example'
FROM generate_series($1::bigint, $2::bigint) AS n
"""


_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = 'downloads' AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""


class Daemons:
    """Daemons of one database and one storage root; without a database, one on SQLite."""

    def __init__(self, folder: Path, database: str | None, count: int, **downloads: Any) -> None:
        self.nodes = []
        for number in range(count):
            own = folder / f"n{number}"
            own.mkdir(parents=True)
            cluster = f'[cluster]\ndatabase = {json.dumps(database)}\nnode = "n{number}"\n' if database else ""
            node = DaemonProcess(own, config=f"{make_config(**downloads)}\n{cluster}", may_fork=False)
            node.root = folder / "files"
            self.nodes.append(node)

    async def __aenter__(self) -> Self:
        for node in self.nodes:
            await node.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        for node in self.nodes:
            if node.process is not None:
                await node.stop()

    async def run(self, urls: Sequence[str]) -> float:
        """Return the seconds until all have ended; they are accepted by all nodes in turn."""
        begin = time.perf_counter()

        async def accept(node: DaemonProcess, own: Sequence[str]) -> None:
            for start in range(0, len(own), 100):
                batch = [{"url": url, "directory": "d"} for url in own[start : start + 100]]
                status, body = await node.request("POST", "/api/v1/downloads", json={"downloads": batch})
                assert status in {201, 207}, body

        count = len(self.nodes)
        await asyncio.gather(*(accept(node, urls[number::count]) for number, node in enumerate(self.nodes)))
        while True:
            _, body = await self.nodes[0].request("GET", "/api/v1/downloads?limit=1")
            if not body["downloads"]:
                return time.perf_counter() - begin
            await asyncio.sleep(0.02)


async def measure_downloads(folder: Path, server: PostgresServer, small: int, big: int) -> None:
    async with Origin() as origin:
        origin.set_fallback(lambda request: ScriptedResponse(size=10_000))
        for count in (0, 1, 2, 3):
            database = None if count == 0 else server.url(await server.create_database())
            what = "on SQLite" if count == 0 else f"on {count} nodes"
            place = folder / f"small{count}"
            async with Daemons(place, database, max(1, count), max_concurrent=16, max_per_host=48) as daemons:
                seconds = await daemons.run([origin.url(f"/s/{n}") for n in range(small)])
            row(f"{small} files of 10 kB {what}", f"{small / seconds:.0f} files/s")
        origin.set_fallback(lambda request: ScriptedResponse(size=2_000_000, etag='"v"', rate=1_000_000))
        for count in (1, 2, 3):
            database = server.url(await server.create_database())
            place = folder / f"big{count}"
            async with Daemons(place, database, count, max_concurrent=4, max_per_host=12) as daemons:
                seconds = await daemons.run([origin.url(f"/b/{n}") for n in range(big)])
            row(f"{big} files of 2 MB at 1 MB/s, 4 at once, {count} nodes", f"{seconds:.1f} s")


async def measure_accepts(folder: Path, server: PostgresServer, seconds: float) -> None:
    # Nothing is downloaded: no starts.
    for count in (0, 1, 3):
        database = None if count == 0 else server.url(await server.create_database())
        async with Daemons(folder / f"accepts{count}", database, max(1, count), max_queued=1_000_000) as daemons:
            for node in daemons.nodes:
                await node.request("PATCH", "/api/v1/settings", json={"allow_starts": False})
            results: multiprocessing.Queue[Any] = multiprocessing.Queue()
            each = 48 // len(daemons.nodes)
            processes = [
                multiprocessing.Process(
                    target=_run_clients,
                    args=("127.0.0.1", int(node.url.rpartition(":")[2]), ORIGIN_PORT, each, seconds, results),
                )
                for node in daemons.nodes
            ]
            for process in processes:
                process.start()
            times: list[float] = []
            for _ in processes:
                times += await asyncio.to_thread(results.get)
            for process in processes:
                process.join()
        what = "one daemon on SQLite" if count == 0 else f"{count} nodes"
        row(f"accepts, 48 clients, {what}", f"{len(times) / seconds:.0f}/s, p99 {percentile(times, 0.99):.0f} ms")


async def measure_actions(folder: Path, server: PostgresServer, count: int = 20) -> None:
    """Measure cancel and pause, asked of nodes that do not run the downloads."""
    database = server.url(await server.create_database())
    async with (
        Origin() as origin,
        Daemons(folder / "actions", database, 3, max_concurrent=64, max_per_host=64) as daemons,
    ):
        origin.script("/f", ScriptedResponse(size=100_000, etag='"v"', stall_after=50_000))
        for action, method, path in (("cancel", "DELETE", ""), ("pause", "POST", "/pause")):
            started = [
                await daemons.nodes[number % 3].start_download("d", origin.url("/f"), filename=f"{action}{number}")
                for number in range(count)
            ]
            while origin.active("/f") < count:
                await asyncio.sleep(0.05)
            runners: dict[str, str | None] = {}
            while len(runners) < count or None in runners.values():
                _, body = await daemons.nodes[0].request("GET", "/api/v1/downloads")
                runners = {entry["id"]: entry["node"] for entry in body["downloads"] if entry["status"] != "paused"}
                await asyncio.sleep(0.05)
            times: list[float] = []
            closed: list[float] = []
            for each in started:
                id, active = each["download_id"], origin.active("/f")
                asked = daemons.nodes[(int(str(runners[id])[1:]) + 1) % 3]
                begin = time.perf_counter()
                status, _ = await asked.request(method, f"/api/v1/downloads/{id}{path}")
                times.append(time.perf_counter() - begin)
                assert status in {200, 204}
                while origin.active("/f") >= active:
                    await asyncio.sleep(0.001)
                closed.append(time.perf_counter() - begin)
            row(
                f"{count} times {action} on another node, of 3",
                f"p50 {percentile(times, 0.5):.0f} ms, at most {1000 * max(times):.0f} ms; "
                f"the connection to the origin is closed after {1000 * max(closed):.0f} ms at most",
            )


async def measure_statements(server: PostgresServer, rows: int) -> None:
    name = await server.create_database()
    url = server.socket_url(name)
    report = NodeReport(name="n0", session="s0", instance="i0", url="", version="1", boot="b", lease=60.0)
    async with PostgresRecords(url, SystemClock(), is_owner=False) as records:
        await records.nodes.register(report, is_start=True)
        connection = await asyncpg.connect(url, command_timeout=3600)
        begin = time.perf_counter()
        # Without indexes, and then with all of them: row by row it takes ten times as long.
        indexes = await connection.fetch(_INDEXES)
        for index, _ in indexes:
            await connection.execute(f"DROP INDEX {index}")
        for start in range(0, rows, 500_000):
            await connection.execute(_FILL, start, min(rows, start + 500_000) - 1, HOSTS)
        for _, definition in indexes:
            await connection.execute(definition)
        await _fill_runs(connection, rows)
        await connection.execute("ANALYZE")
        size = await connection.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
        row(f"{rows} waiting downloads of {HOSTS} hosts are inserted", f"{time.perf_counter() - begin:.0f} s, {size}")
        plans: dict[str, tuple[str, Sequence[Any]]] = {
            "the next downloads of 64 routes": (_ROUTES, ("", "", MAX_ROUTES, 8, [])),
            "the slots of other nodes": (_USED_BY_OTHERS, ("s0",)),
            "the next time that is due": (_NEXT_DUE, ()),
            "slots of gone nodes": (_GONE_SESSIONS, ()),
            "runs of this node": (_HELD, ("s0",)),
            "runs of gone nodes": (_GONE_RUNNING, ()),
            "a heartbeat": (_BEAT, ("n0", "s0", 60.0, "{}", None)),
        }
        for what, (sql, values) in plans.items():
            row(f"EXPLAIN ANALYZE: {what}", f"{await _explain(connection, sql, values):.2f} ms")
        await _measure_rate("reads of the queue", lambda: _read(records))
        claims = await _claim_requests(records)
        await _measure_rate("claims of 4 downloads", lambda: records.admission.claim(next(claims), _limits(), ()))
        await _measure_rate("heartbeats", lambda: records.nodes.beat(report))
        await connection.close()


async def _fill_runs(connection: asyncpg.Connection, rows: int) -> None:
    """Let the first downloads run on 50 nodes, with a slot each."""
    report = json.dumps(
        dict.fromkeys(("name", "session", "instance", "url", "version"), "x") | {"boot": None, "lease": 60}
    )
    for number in range(1, NODES):
        await connection.execute(
            "INSERT INTO nodes (name, session, instance, lease, last_seen, report) "
            "VALUES ($1, $2, $3, 3600, clock_timestamp(), $4)",
            f"n{number}",
            f"s{number}",
            f"i{number}",
            report,
        )
    count = min(NODES * RUNS_PER_NODE, rows // 10)
    await connection.execute(
        "UPDATE downloads SET state = 'downloading', epoch = 1, node = 'n' || seq % $2, session = 's' || seq % $2 "
        "WHERE seq <= $1",
        count,
        NODES,
    )
    await connection.execute("INSERT INTO slots SELECT origin, seq, session, 1 FROM downloads WHERE seq <= $1", count)


async def _explain(connection: asyncpg.Connection, sql: str, values: Sequence[Any]) -> float:
    times = []
    for _ in range(5):
        plan: str = (await connection.fetchrow(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *values))[0]
        [top] = json.loads(plan)
        times.append(top["Planning Time"] + top["Execution Time"])
    return float(sorted(times)[2])


async def _read(records: PostgresRecords) -> None:
    await records.admission.read_backlog(BacklogRequest(max_routes=MAX_ROUTES, per_route=8))


def _limits() -> dict[str, int]:
    return {f"https://h{n}.example": 1_000_000 for n in range(HOSTS)}


async def _claim_requests(records: PostgresRecords) -> Any:
    backlog = await records.admission.read_backlog(BacklogRequest(max_routes=HOSTS, per_route=8))
    ready = iter(backlog.ready)
    return iter(
        [
            ClaimRequest(seq=one.seq, slots={one.origin: 1})
            for one in (next(ready), next(ready), next(ready), next(ready))
        ]
        for _ in range(len(backlog.ready) // 4)
    )


async def _measure_rate(what: str, call: Callable[[], Coroutine[Any, Any, Any]], seconds: float = 3.0) -> None:
    """Measure how often a call of one node can be made, one after the other."""
    begin, times = time.perf_counter(), []
    while time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        await call()
        times.append(time.perf_counter() - start)
    row(what, f"{len(times) / seconds:.0f}/s, p50 {percentile(times, 0.5):.2f} ms")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("downloads", "accepts", "actions", "statements"))
    parser.add_argument("--small", type=int, default=5000)
    parser.add_argument("--big", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, PostgresServer(fsync=options.only != "statements") as server:
        if options.only in {None, "downloads"}:
            await measure_downloads(Path(folder), server, options.small, options.big)
        if options.only in {None, "accepts"}:
            await measure_accepts(Path(folder), server, options.seconds)
        if options.only in {None, "actions"}:
            await measure_actions(Path(folder), server)
        if options.only in {None, "statements"}:
            await measure_statements(server, options.rows)


if __name__ == "__main__":
    asyncio.run(main())
