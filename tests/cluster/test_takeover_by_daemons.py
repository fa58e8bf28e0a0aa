"""Daemons that share a database and a storage root, and of which one ends, stands still or is replaced."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.daemon_cluster import MAX_RUNS, Cluster, open_cluster
from support.daemon_process import DaemonProcess
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.postgres_server import PostgresServer
from support.stopwatch import Stopwatch
from support.waiting import wait_until
from support.wire import Wire

pytestmark = pytest.mark.system

SIZE = 400_000
COUNT = MAX_RUNS


def script(origin: Origin, *, rate: int = 0, stall_after: int | None = None) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, seed=1, etag='"v"', rate=rate, stall_after=stall_after))


async def start_all(node: DaemonProcess, origin: Origin, count: int = COUNT) -> list[str]:
    """Start downloads on a node; return their ids."""
    started = [await node.start_download(f"d{n}", origin.url("/f")) for n in range(count)]
    return [body["download_id"] for body in started]


async def assert_complete(cluster: Cluster, ids: Sequence[str]) -> None:
    """Assert that each download completes, once, with its whole file, and that its slots are free."""
    await wait_until(lambda: cluster.has_ended(len(ids)))
    [node, *_] = [node for node in cluster.nodes if node.process is not None]
    history = await node.history()
    assert sorted(entry["id"] for entry in history) == sorted(ids)
    assert {entry["status"] for entry in history} == {"completed"}
    content = expected_bytes(1, 0, SIZE)
    files = node.files()
    assert sorted(files) == sorted(f"d{n}/f" for n in range(len(ids)))
    assert all(bytes == content for bytes in files.values())

    async def is_clean() -> bool:
        return await cluster.count("SELECT count(*) FROM slots") == 0 and node.part_files() == []

    await wait_until(is_clean)


async def test_what_a_killed_node_ran_continues_elsewhere_within_five_seconds(
    tmp_path: Path, postgres_server: PostgresServer, origin: Origin
) -> None:
    script(origin, rate=20_000)
    async with open_cluster(tmp_path, postgres_server, lease=3) as cluster:
        alpha = await cluster.start("alpha")
        ids = await start_all(alpha, origin)
        beta, gamma = await cluster.start("beta"), await cluster.start("gamma")

        async def have_recorded_most() -> bool:
            recorded = await cluster.count("SELECT sum(received) FROM downloads")
            count = await cluster.count("SELECT count(*) FROM downloads WHERE received > 0")
            return count == COUNT and recorded > 0.6 * origin.bytes_sent("/f")

        # What a node has not recorded yet is received again. Each transfer has recorded half of its time at least.
        await wait_until(have_recorded_most)
        script(origin, rate=400_000)
        await alpha.kill()
        sent = origin.bytes_sent("/f")
        stopwatch = Stopwatch(*(node.process.pid for node in (beta, gamma) if node.process is not None))
        await wait_until(lambda: len(origin.requests("/f")) == 2 * COUNT)
        assert stopwatch.seconds < 5.0
        assert all(request.field("Range") for request in origin.requests("/f")[COUNT:])
        await assert_complete(cluster, ids)
        assert origin.max_active("/f") <= COUNT
        assert origin.bytes_sent("/f") - COUNT * SIZE <= sent / 2
        assert [await node.stop() for node in (beta, gamma)] == [0, 0]


async def test_a_node_that_stood_still_past_its_lease_harms_nothing_and_is_one_of_them_again(
    tmp_path: Path, postgres_server: PostgresServer, origin: Origin
) -> None:
    script(origin, stall_after=SIZE - 1000)
    async with open_cluster(tmp_path, postgres_server, lease=1.5) as cluster:
        alpha = await cluster.start("alpha")
        ids = await start_all(alpha, origin, 3)
        await cluster.start("beta")
        # The part file may be made only when the node goes on.
        await wait_until(lambda: cluster.have_parts(3))
        script(origin)
        assert alpha.process is not None
        alpha.process.send_signal(signal.SIGSTOP)
        try:
            await wait_until(lambda: cluster.has_ended(3))
        finally:
            alpha.process.send_signal(signal.SIGCONT)
        await alpha.wait_for_log("run_fenced", 3)
        await assert_complete(cluster, ids)
        [_, body] = await alpha.fetch("d3", origin.url("/f"))
        assert body["message"] == "Download completed"


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGINT, id="restarts", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGQUIT, id="crashes"),
        pytest.param(signal.SIGKILL, id="is killed", marks=pytest.mark.exhaustive),
    ],
)
async def test_the_limit_of_a_host_holds_over_nodes_while_the_database_restarts(
    tmp_path: Path, postgres_server: PostgresServer, origin: Origin, how: signal.Signals
) -> None:
    script(origin, rate=2_000_000)
    # A lease that no load ends: then a transfer would be interrupted, and continue.
    async with open_cluster(tmp_path, postgres_server, lease=15) as cluster:
        nodes = [await cluster.start(name, max_per_host=2) for name in ("alpha", "beta", "gamma")]
        started = [await nodes[n % 3].start_download(f"d{n}", origin.url("/f")) for n in range(COUNT)]
        await wait_until(lambda: cluster.has_ended(2))
        await asyncio.to_thread(postgres_server.stop, how)
        postgres_server.start()
        await assert_complete(cluster, [body["download_id"] for body in started])
        assert origin.max_active("/f") == 2
        assert len(origin.requests("/f")) == COUNT


async def test_a_rolling_restart_begins_no_transfer_from_the_first_byte(
    tmp_path: Path, postgres_server: PostgresServer, origin: Origin
) -> None:
    script(origin, rate=40_000)
    async with open_cluster(tmp_path, postgres_server, lease=3) as cluster:
        alpha = await cluster.start("alpha")
        ids = await start_all(alpha, origin, 3)
        beta = await cluster.start("beta")
        await wait_until(lambda: origin.bytes_sent("/f") > 60_000)
        loop = asyncio.get_running_loop()
        for requests, node in ((6, alpha), (9, beta)):
            stopped_at = loop.time()
            assert await node.stop() == 0
            assert loop.time() - stopped_at < 10
            # The others continue before the node has started again.
            await wait_until(lambda requests=requests: len(origin.requests("/f")) >= requests)
            if node is alpha:
                await wait_until(lambda: origin.bytes_sent("/f") > 200_000)
                await node.start()
                script(origin)
        await assert_complete(cluster, ids)
        assert all(request.field("Range") for request in origin.requests("/f")[3:])


async def test_a_database_that_is_away_for_three_leases_fails_nothing(
    tmp_path: Path, postgres_server: PostgresServer, origin: Origin
) -> None:
    script(origin, rate=50_000)
    async with (
        Wire(postgres_server.port) as wire,
        open_cluster(tmp_path, postgres_server, lease=1, port=wire.port) as cluster,
    ):
        alpha, beta = await cluster.start("alpha"), await cluster.start("beta")
        ids = await start_all(alpha, origin, 4)
        await wait_until(lambda: cluster.have_parts(4))
        script(origin)
        wire.is_down = True
        wire.cut()
        away_since = asyncio.get_running_loop().time()
        for node in (alpha, beta):
            await node.wait_for_log("lease_lost")
            status, body = await node.request("GET", "/d9", params={"download": origin.url("/f")})
            assert (status, body["error"]) == (503, "STORE_UNAVAILABLE")
        # Each has closed its connections by itself, before another node may take its downloads over.
        await wait_until(lambda: not origin.active("/f"))
        await asyncio.sleep(max(0.0, away_since + 3 - asyncio.get_running_loop().time()))
        wire.is_down = False
        await assert_complete(cluster, ids)
