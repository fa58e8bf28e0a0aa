"""Daemons that share a database and a storage root, and of which one ends, stands still or is replaced."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.postgres_server import PostgresServer
from support.waiting import wait_until

pytestmark = pytest.mark.system

LEASE = 3.0
SIZE = 400_000
RATE = 40_000
COUNT = 12
HOST_SLOTS = 12


class Cluster:
    """Daemons of one database.

    Attributes:
        nodes: the daemons.
    """

    def __init__(self, folder: Path, server: PostgresServer, database: str) -> None:
        self.nodes: list[DaemonProcess] = []
        self._folder = folder
        self._server = server
        self._database = database

    async def start(self, name: str, **downloads: object) -> DaemonProcess:
        """Start a further node."""
        (self._folder / name).mkdir()
        cluster = {"database": self._server.url(self._database), "node": name, "lease": LEASE}
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in cluster.items())
        config = make_config(max_per_host=HOST_SLOTS, max_concurrent=COUNT, **downloads)
        node = DaemonProcess(self._folder / name, config=f"{config}\n[cluster]\n{lines}")
        node.root = self._folder / "files"
        self.nodes.append(node)
        await node.start()
        return node

    async def count(self, sql: str) -> int:
        """Return the number that a query returns."""
        connection = await asyncpg.connect(self._server.socket_url(self._database))
        try:
            return int(await connection.fetchval(sql))
        finally:
            await connection.close()

    async def running_on(self, name: str) -> int:
        """Return the number of downloads that receive content on a node."""
        return await self.count(f"SELECT count(*) FROM downloads WHERE node = '{name}' AND state = 'downloading'")

    async def recorded(self, nbytes: int) -> bool:
        """Return True if each running download has so many bytes in its row."""
        sql = f"SELECT count(*) FROM downloads WHERE received >= {nbytes} AND state = 'downloading'"
        return await self.count(sql) == COUNT

    async def has_ended(self, count: int) -> bool:
        return await self.count("SELECT count(*) FROM downloads WHERE ended_seq IS NOT NULL") == count


@asynccontextmanager
async def open_cluster(folder: Path, server: PostgresServer) -> AsyncIterator[Cluster]:
    """Open a cluster without nodes; its nodes end with it."""
    cluster = Cluster(folder, server, await server.create_database())
    try:
        yield cluster
    except BaseException:
        for node in cluster.nodes:
            print(node.folder.name, *node.log.read_text().splitlines()[-15:], sep="\n")
        raise
    finally:
        for node in cluster.nodes:
            if node.process is not None:
                node.process.send_signal(signal.SIGCONT)
                await node.kill()


def script(origin: Origin, *, rate: int = RATE) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, seed=1, etag='"v"', rate=rate))


async def start_all(node: DaemonProcess, origin: Origin) -> list[str]:
    """Start the downloads on a node; return their ids."""
    started = [await node.start_download(f"d{n}", origin.url("/f")) for n in range(COUNT)]
    return [body["download_id"] for body in started]


def assert_complete(node: DaemonProcess, history: Sequence[dict[str, object]], ids: Sequence[str]) -> None:
    """Assert that each download has completed, once, and that its file is whole."""
    assert sorted(str(entry["id"]) for entry in history) == sorted(ids)
    assert {entry["status"] for entry in history} == {"completed"}
    content = expected_bytes(1, 0, SIZE)
    files = node.files()
    assert sorted(files) == sorted(f"d{n}/f" for n in range(COUNT))
    assert all(bytes == content for bytes in files.values())
    assert node.part_files() == []


async def test_what_a_killed_node_ran_continues_elsewhere_within_five_seconds(
    tmp_path: Path, postgres_server: PostgresServer, origin: Origin
) -> None:
    script(origin)
    async with open_cluster(tmp_path, postgres_server) as cluster:
        alpha = await cluster.start("alpha")
        ids = await start_all(alpha, origin)
        beta, gamma = await cluster.start("beta"), await cluster.start("gamma")
        await wait_until(lambda: cluster.recorded(20_000))
        assert await cluster.running_on("alpha") == COUNT
        loop = asyncio.get_running_loop()
        killed_at = loop.time()
        await alpha.kill()

        async def run_elsewhere() -> bool:
            return await cluster.running_on("beta") + await cluster.running_on("gamma") == COUNT

        await wait_until(run_elsewhere)
        seconds = loop.time() - killed_at
        script(origin, rate=0)
        await wait_until(lambda: cluster.has_ended(COUNT))
        assert_complete(beta, await gamma.history(), ids)
        assert origin.max_active("/f") <= HOST_SLOTS
        again = origin.requests("/f")[COUNT:]
        assert len(again) >= COUNT
        assert all(request.field("Range") for request in again)
        print(f"{seconds:.2f} s")
        assert seconds < 5.0
        # A slot is free with its run.
        await wait_until(lambda: cluster.has_ended(COUNT))
        assert await cluster.count("SELECT count(*) FROM slots") == 0
        assert [await node.stop() for node in (beta, gamma)] == [0, 0]
