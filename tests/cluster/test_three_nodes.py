"""Three daemons, set up and used by the commands of the page about several nodes."""

import asyncio
import hashlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from docs.pages import blocks, read
from msgspec.structs import replace
from support.event_reader import EventReader, open_event_stream
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.ports import free_port
from support.postgres_server import USER, PostgresServer
from support.shell import Shell
from support.waiting import wait_until

PAGE = read("docs/how-to/cluster.md")
TOKEN = "0123456789abcdef0123456789abcdef"
NODES = ("alpha", "beta", "gamma")
SIZE = 300_000
STALL_AFTER = 100_000


class Cluster:
    """The nodes of the page, in a folder.

    Attributes:
        ports: the port of each node.
        shell: the shell that has started them.
    """

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in NODES}
        [config] = blocks(PAGE, "toml")
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        (folder / "cluster.toml").write_text(config.replace("sha256:…", f"sha256:{digest}"))
        environment = {
            "HOME": str(folder),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "PGHOST": str(server.folder),
            "PGPORT": str(server.port),
            "PGUSER": USER,
            "DOWNLOADD_TOKEN": TOKEN,
            "DOWNLOADD_CLUSTER__LEASE": "3",
            "DOWNLOADD_DOWNLOADS__ALLOWED_NETWORKS": "127.0.0.0/8",
            "DOWNLOADD_STORAGE__MIN_FREE": "0",
        }
        self.shell = Shell(folder, environment)

    async def run(self, command: str) -> str:
        """Return what a command of the page prints, with the ports of this cluster."""
        for name, port in zip(NODES, (8081, 8082, 8083), strict=True):
            command = command.replace(f":{port}", f":{self.ports[name]}").replace(
                f"--port {port}", f"--port {self.ports[name]}"
            )
        return await asyncio.to_thread(self.shell.run, command)

    async def get(self, name: str, path: str) -> tuple[int, Any]:
        """Return status and body of an answer of a node."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"http://127.0.0.1:{self.ports[name]}{path}") as answer,
        ):
            return answer.status, await answer.json()

    @asynccontextmanager
    async def events(self, name: str, last_id: str = "") -> AsyncIterator[EventReader]:
        """Connect a reader of the events of a node."""
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            node = SimpleNamespace(client=client, url=f"http://127.0.0.1:{self.ports[name]}")
            async with open_event_stream(cast(Any, node), last_id) as reader:
                yield reader

    async def states(self, name: str) -> dict[str, str] | None:
        """Return the states of the nodes as one of them sees them; None before it answers."""
        try:
            _, body = await self.get(name, "/api/v1/nodes")
        except aiohttp.ClientError:
            return None
        return {node["node"]: node["state"] for node in body["nodes"]}

    async def active(self, name: str) -> list[dict[str, Any]]:
        """Return the active downloads as a node shows them."""
        return list((await self.get(name, "/api/v1/downloads"))[1]["downloads"])

    def process(self, name: str) -> int:
        """Return the number of the process of a node."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().decode().split("\0")
                except OSError:
                    continue
                if words[-1:] == [""] and str(self.ports[name]) in words and "bash" not in words[0]:
                    return int(entry.name)
        raise AssertionError(f"{name} does not run")


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """Start a server of its own, whose database has the name on the page."""
    with PostgresServer() as server:
        yield server


@asynccontextmanager
async def running(folder: Path, server: PostgresServer) -> AsyncIterator[Cluster]:
    """Start the nodes by the commands of the page; end them."""
    cluster = Cluster(folder, server)
    with cluster.shell:
        try:
            await cluster.run(f"{{\n{commands()[0]}\n}} > log 2>&1")
            all_up = dict.fromkeys(NODES, "up")
            for name in NODES:

                async def is_up(name: str = name) -> bool:
                    return await cluster.states(name) == all_up

                await wait_until(is_up)
            yield cluster
        finally:
            await cluster.run("kill -9 $(jobs -p) 2> /dev/null")


def commands() -> list[str]:
    """Return the blocks of commands on the page."""
    return [block.rstrip() for block in blocks(PAGE, "sh")]


@pytest.mark.system
@pytest.mark.timeout(120)
async def test_the_page_sets_up_three_nodes_and_a_kill_loses_nothing(
    tmp_path: Path, own_server: PostgresServer, origin: Origin
) -> None:
    released = asyncio.Event()
    whole = ScriptedResponse(size=SIZE, seed=1, etag='"1"')
    origin.script("/debian.iso", [replace(whole, stall_after=STALL_AFTER), replace(whole, body_event=released)])
    async with running(tmp_path, own_server) as cluster:
        add, listing, status = commands()[1].splitlines()
        added = await cluster.run(add.replace("https://files.example.com", origin.url("")))
        assert "isos/debian.iso" in added or re.search(r"[0-9a-f]{8}", added)

        async def has_received() -> dict[str, Any] | None:
            entries = await cluster.active("beta")
            return entries[0] if entries and entries[0]["current_size"] >= STALL_AFTER else None

        # Each node shows the same, with the node that runs it.
        entry = await wait_until(has_received)
        holder = entry["node"]
        assert holder in NODES
        assert holder in await cluster.run(listing)
        assert all(name in printed for printed in [await cluster.run(status)] for name in NODES)
        others = [name for name in NODES if name != holder]
        async with cluster.events(others[1]) as reader:
            last_id = reader.last_id
        os.kill(cluster.process(holder), signal.SIGKILL)

        async def runs_elsewhere() -> bool:
            entries = await cluster.active(others[0])
            return bool(entries) and entries[0]["node"] in others and len(origin.requests("/debian.iso")) == 2

        await wait_until(runs_elsewhere)
        assert (await cluster.states(others[1]) or {})[holder] == "gone"
        released.set()

        async def has_ended() -> list[dict[str, Any]]:
            return list((await cluster.get(others[1], "/?download_history=&limit=10"))[1]["history"])

        [ended] = await wait_until(has_ended)
        assert (ended["id"], ended["status"]) == (entry["id"], "completed")
        assert (tmp_path / "files/isos/debian.iso").read_bytes() == expected_bytes(1, 0, SIZE)
        # A reader of events that changes its node misses no end; it may receive one twice.
        async with cluster.events(others[0], last_id) as reader:
            await reader.wait_until(lambda: set(reader.finished_ids()) == {entry["id"]})
        # A node with another folder is refused in one sentence, without a word of the database's password.
        refused = await cluster.run(
            "DOWNLOADD_STORAGE__ROOT=$PWD/other DOWNLOADD_CLUSTER__NODE=delta "
            "downloadd --config cluster.toml --state-dir delta --port 0; echo status $?"
        )
        assert re.search(r"storage root .* is not that of the database", refused.replace("\n", " "))
        assert re.search(r"status [12]$", refused)
        assert "delta" not in (await cluster.states(others[0]) or {})
