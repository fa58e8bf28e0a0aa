"""Daemon with its records in PostgreSQL."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.postgres_server import PASSWORD, PASSWORD_USER, PostgresServer
from support.waiting import wait_until
from support.wire import Wire

QUOTED = PASSWORD.replace("/", "%2F")
SIZE = 300_000


async def test_a_daemon_on_postgresql_survives_kills_and_restarts_of_both(
    tmp_path: Path, postgres_server: PostgresServer, origin: Origin
) -> None:
    await postgres_server.add_password_user()
    name = await postgres_server.create_database(f"OWNER {PASSWORD_USER}")
    url = postgres_server.url(name, user=PASSWORD_USER, password=QUOTED)
    config = f"{DEFAULT_CONFIG}\n[cluster]\ndatabase = {json.dumps(url)}\n"
    whole = ScriptedResponse(size=SIZE, seed=1, etag='"1"')
    released = asyncio.Event()
    origin.script("/slow", [replace(whole, stall_after=100_000), replace(whole, body_event=released)])
    origin.script("/fast", ScriptedResponse(size=10, seed=2))
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    daemon = DaemonProcess(tmp_path / "one", config=config)
    async with daemon:
        status, body = await daemon.fetch("d", origin.url("/fast"))
        assert (status, body["message"]) == (201, "Download completed")
        slow = await daemon.start_download("d", origin.url("/slow"))
        await wait_until(lambda: any(part.stat().st_size > 10_000 for part in daemon.root.rglob(".*.part")))
        # A second one of the same name is refused, and says so in one sentence without the password.
        second = DaemonProcess(tmp_path / "two", config=config)
        with pytest.raises(AssertionError, match=r"(?s)ended with 1: .*the living node at http://.* has the name"):
            await second.start()
        await daemon.kill()
        await daemon.start()
        await wait_until(lambda: len(origin.requests("/slow")) == 2)
        # A restart of the server while the rest is received fails nothing.
        postgres_server.stop()
        postgres_server.start()
        released.set()
        await wait_until(lambda: _has_ended(daemon, 2))
        newest, _ = await daemon.history()
        assert (newest["id"], newest["status"]) == (slow["download_id"], "completed")
        assert daemon.files()["d/slow"] == expected_bytes(1, 0, SIZE)
        assert await daemon.stop() == 0
    for each in (daemon, second):
        assert PASSWORD not in each.log.read_text()
        assert QUOTED not in each.log.read_text()
    assert not (daemon.state / "records.db").exists()


async def test_a_node_loses_its_lease_with_the_database_or_when_it_is_stopped_and_goes_on_by_itself(
    tmp_path: Path, postgres_server: PostgresServer, origin: Origin
) -> None:
    name = await postgres_server.create_database()
    stalled = ScriptedResponse(size=SIZE, seed=1, etag='"1"', stall_after=1000)
    origin.script("/slow", [stalled, replace(stalled, stall_after=2000)])
    async with Wire(postgres_server.port) as wire:
        url = postgres_server.url(name, port=wire.port)
        cluster = f'[cluster]\ndatabase = {json.dumps(url)}\nnode = "alpha"\nlease = 1\n'
        daemon = DaemonProcess(tmp_path, config=f"{DEFAULT_CONFIG}\n{cluster}")
        async with daemon:
            id = (await daemon.start_download("d", origin.url("/slow")))["download_id"]
            await wait_until(lambda: daemon.has_received(id, 1000))
            node = await wait_until(lambda: _living_node(daemon))
            assert (node["node"], node["url"], node["running"]) == ("alpha", daemon.url, 1)
            # The database is away.
            wire.is_down = True
            wire.cut()
            status, body = await wait_until(lambda: _health(daemon, 503))
            assert (status, body["error"]) == (503, "STORE_UNAVAILABLE")
            assert body["detail"].startswith("the node alpha lost its lease")
            wire.is_down = False
            await wait_until(lambda: _health(daemon, 200))
            # The process stands still.
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGSTOP)
            try:
                await wait_until(lambda: _is_gone(postgres_server, name))
            finally:
                daemon.process.send_signal(signal.SIGCONT)
            await daemon.wait_for_log("lease_regained", 2)
            await daemon.wait_for_log("lease_lost", 2)
            # Another node might have taken over: the run ended, and continued from its bytes.
            await wait_until(lambda: len(origin.requests("/slow")) >= 2)
            assert all(one.field("Range") for one in origin.requests("/slow")[1:])
            # The successor need not wait for the end of the lease.
            await daemon.kill()
            await daemon.start()
            await wait_until(lambda: _health(daemon, 200))
            assert await daemon.stop() == 0
    assert await _nodes(postgres_server, name) == []


async def _living_node(daemon: DaemonProcess) -> dict[str, Any] | None:
    """Return the only node; None if it counts as gone, as it may for a moment on a slow machine."""
    [node] = (await daemon.request("GET", "/api/v1/nodes"))[1]["nodes"]
    return dict(node) if node["state"] == "up" else None


async def _health(daemon: DaemonProcess, expected: int) -> tuple[int, dict[str, str]] | None:
    status, body = await daemon.request("GET", "/api/v1/health")
    return (status, body) if status == expected else None


async def _nodes(server: PostgresServer, database: str) -> list[bool]:
    """Return for each node of a database if it is gone."""
    connection = await asyncpg.connect(server.socket_url(database))
    try:
        rows = await connection.fetch("SELECT last_seen + lease * interval '1 s' < clock_timestamp() FROM nodes")
        return [row[0] for row in rows]
    finally:
        await connection.close()


async def _is_gone(server: PostgresServer, database: str) -> bool:
    return await _nodes(server, database) == [True]


async def _has_ended(daemon: DaemonProcess, count: int) -> bool:
    status, body = await daemon.request("GET", "/?download_history=&limit=10")
    return status == 200 and len(body["history"]) == count
