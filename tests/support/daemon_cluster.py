"""Daemons of one database and one storage root, as processes."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
from support.daemon_process import DaemonProcess, make_config
from support.postgres_server import PostgresServer

MAX_RUNS: Final = 12
"""Downloads that run at once on a node, and at a host."""


class Cluster:
    """Daemons of one database.

    Attributes:
        nodes: the daemons.
    """

    def __init__(
        self, folder: Path, server: PostgresServer, database: str, *, lease: float, port: int | None = None
    ) -> None:
        self.nodes: list[DaemonProcess] = []
        self._folder = folder
        self._server = server
        self._database = database
        self._lease = lease
        self._port = port

    async def start(self, name: str, *, rest: str = "", **downloads: object) -> DaemonProcess:
        """Start a further node; `rest` are more tables of its configuration."""
        (self._folder / name).mkdir()
        cluster = {"database": self._server.url(self._database, port=self._port), "node": name, "lease": self._lease}
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in cluster.items())
        config = make_config(**{"max_per_host": MAX_RUNS, "max_concurrent": MAX_RUNS, **downloads})
        node = DaemonProcess(self._folder / name, config=f"{config}\n[cluster]\n{lines}{rest}")
        node.root = self._folder / "files"
        self.nodes.append(node)
        await node.start()
        return node

    async def count(self, sql: str) -> int:
        """Return the number that a query returns."""
        return int(str(await self.query(sql)))

    async def query(self, sql: str, *parameters: object) -> object:
        """Return the first value that a statement returns."""
        connection = await asyncpg.connect(self._server.socket_url(self._database))
        try:
            value: object = await connection.fetchval(sql, *parameters)
            return value
        finally:
            await connection.close()

    async def have_parts(self, count: int) -> bool:
        """Return True if so many rows name their part file."""
        return await self.count("SELECT count(*) FROM downloads WHERE part_name IS NOT NULL") == count

    async def has_ended(self, count: int) -> bool:
        return await self.count("SELECT count(*) FROM downloads WHERE ended_seq IS NOT NULL") >= count


@asynccontextmanager
async def open_cluster(
    folder: Path, server: PostgresServer, *, lease: float, port: int | None = None
) -> AsyncIterator[Cluster]:
    """Open a cluster without nodes; its nodes end with it."""
    cluster = Cluster(folder, server, await server.create_database(), lease=lease, port=port)
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
