"""Daemon with its records in PostgreSQL."""

import asyncio
import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.postgres_server import PASSWORD, PASSWORD_USER, PostgresServer
from support.waiting import wait_until

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
        # A second one is refused, and says so in one sentence without the password.
        second = DaemonProcess(tmp_path / "two", config=config)
        with pytest.raises(AssertionError, match=r"(?s)ended with 1: .*is used by another daemon"):
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


async def _has_ended(daemon: DaemonProcess, count: int) -> bool:
    status, body = await daemon.request("GET", "/?download_history=&limit=10")
    return status == 200 and len(body["history"]) == count
