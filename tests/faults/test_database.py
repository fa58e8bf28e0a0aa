"""A database that the daemon cannot use: it says so in one sentence, ends, and leaves every byte as it was.

What each of these is recognised by is tested in `tests/records/test_database.py`, with the backup before a migration.
"""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess, until
from origin.answer import Answer
from origin.content import expected_bytes
from origin.origin import Origin

from downloadd.records.database import DATABASE_NAME, shipped_migrations


def truncate(database: Path) -> None:
    database.write_bytes(database.read_bytes()[: 3 * 4096 + 100])


def empty(database: Path) -> None:
    database.write_bytes(b"")


def overwrite(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


def make_newer(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {len(shipped_migrations()) + 1}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (truncate, "is damaged"),
        (empty, "(the file is empty)"),
        (overwrite, "is damaged"),
        (make_newer, "was written by a newer downloadd"),
    ],
)
async def test_a_database_that_cannot_be_used_is_said_so_and_left_alone(
    mortal: DaemonProcess, origin: Origin, spoil: Callable[[Path], None], sentence: str
) -> None:
    origin.script("/f", Answer(size=10))
    await mortal.start()
    items = [{"url": origin.url("/f"), "directory": "d"} for _ in range(200)]
    assert (await mortal.ask("POST", "/api/v1/downloads", json={"downloads": items}))[0] == 201
    await mortal.stop()
    database = mortal.state / DATABASE_NAME
    spoil(database)
    content = database.read_bytes()
    written = len(mortal.log.read_text())
    with pytest.raises(AssertionError, match="the daemon ended with 1"):
        await mortal.start()
    said = mortal.log.read_text()[written:]
    assert sentence in said
    assert str(database) in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    assert database.read_bytes() == content


async def test_bytes_that_lost_records_knew_of_are_left_and_go_on_once_the_records_are_restored(
    mortal: DaemonProcess, origin: Origin
) -> None:
    size = 4_000_000
    origin.script("/f", [Answer(size=size, etag='"v"', stall_after=1_000_000), Answer(size=size, etag='"v"')])
    await mortal.start()
    id = (await mortal.start_download("d", origin.url("/f")))["download_id"]
    await until(lambda: [part for part in mortal.parts() if part.stat().st_size == 1_000_000])
    assert (await mortal.verb(id, "pause"))[0] == 200
    await mortal.stop()
    database = mortal.state / DATABASE_NAME
    lost = database.rename(mortal.folder / DATABASE_NAME)
    for _ in range(2):
        written = len(mortal.log.read_text())
        await mortal.start()
        await until(lambda written=written: "parts_of_other_records_left" in mortal.log.read_text()[written:])
        assert await mortal.active() == []
        await mortal.stop()
    assert mortal.log.read_text().count('"records_begun_anew"') == 1
    assert len(mortal.parts()) == 1
    lost.replace(database)
    await mortal.start()
    assert (await mortal.verb(id, "resume"))[0] == 200
    assert (await mortal.ended(id))["status"] == "completed"
    assert mortal.files() == {"d/f": expected_bytes(0, 0, size)}
    assert origin.requests("/f")[-1].field("Range") == "bytes=1000000-"


async def test_a_damaged_row_costs_no_other_download_and_is_left_as_it_is(
    mortal: DaemonProcess, origin: Origin
) -> None:
    size = 1_000_000
    origin.script("/f", Answer(size=10))
    origin.script("/half", [Answer(size=size, etag='"v"', stall_after=500_000)] * 2 + [Answer(size=size, etag='"v"')])
    await mortal.start()
    past = [(await mortal.fetch("d", origin.url("/f")))[1]["download_id"] for _ in range(3)]
    active = [(await mortal.start_download("d", origin.url("/half")))["download_id"] for _ in range(2)]
    await until(lambda: [part.stat().st_size for part in mortal.parts()] == [500_000] * 2)
    await mortal.kill()
    with contextlib.closing(sqlite3.connect(mortal.state / DATABASE_NAME, isolation_level=None)) as connection:
        for id in (past[1], active[0]):
            connection.execute("UPDATE downloads SET state = 'nonsense' WHERE id = ?", (id,))
    await mortal.start()
    assert (await mortal.ended(active[1]))["status"] == "completed"
    assert [entry["id"] for entry in await mortal.history()] == [active[1], past[2], past[0]]
    assert await mortal.active() == []
    for method, path in (
        ("GET", f"/api/v1/downloads/{past[1]}"),
        ("GET", f"/api/v1/downloads/{active[0]}"),
        ("POST", f"/api/v1/downloads/{active[0]}/pause"),
        ("DELETE", f"/api/v1/downloads/{active[0]}"),
        ("POST", f"/api/v1/downloads/{past[1]}/retry"),
    ):
        status, answer = await mortal.ask(method, path)
        assert (status, answer["error"]) == (500, "STORAGE_ERROR"), path
        assert "is damaged (nothing is called 'nonsense'); it is left as it is: mend it, or restore" in answer["detail"]
    await until(lambda: any(line["event"] == "row_not_readable" for line in mortal.log_lines()))
    await mortal.stop()
    assert "Traceback" not in mortal.log.read_text()
    assert [part.stat().st_size for part in mortal.parts()] == [500_000]
    with contextlib.closing(sqlite3.connect(mortal.state / DATABASE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE downloads SET state = 'queued' WHERE id = ?", (active[0],))
    await mortal.start()
    assert (await mortal.ended(active[0]))["status"] == "completed"
    assert mortal.parts() == []


async def test_no_download_is_accepted_while_the_state_directory_is_gone(mortal: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", Answer(size=10))
    await mortal.start()
    before = (await mortal.fetch("d", origin.url("/f")))[1]["download_id"]
    away = mortal.state.rename(mortal.folder / "away")
    body = {"downloads": [{"url": origin.url("/f"), "directory": "d"}] * 100}
    for _ in range(3):
        status, answer = await mortal.ask("POST", "/api/v1/downloads", json=body)
        assert (status, answer["error"]) == (503, "STORE_UNAVAILABLE")
        assert "put its state directory back as it was, or restart the daemon" in answer["detail"]
    away.rename(mortal.state)
    after = (await mortal.fetch("d", origin.url("/f"), filename="g"))[1]["download_id"]
    shutil.rmtree(mortal.state)
    status, answer = await mortal.fetch("d", origin.url("/f"), filename="h")
    assert (status, answer["error"]) == (503, "STORE_UNAVAILABLE")
    assert {entry["id"] for entry in await mortal.history()} == {before, after}
    assert await mortal.stop() == 0
    events = [line["event"] for line in mortal.log_lines()]
    assert (events.count("records_gone"), events.count("records_back")) == (2, 1)
    assert "Traceback" not in mortal.log.read_text()
    assert set(mortal.files()) == {"d/f", "d/g"}


@contextlib.contextmanager
def held(daemon: DaemonProcess) -> Iterator[None]:
    """Holds the database as another program may, one that changes something or lets a table be looked at in peace."""
    with contextlib.closing(sqlite3.connect(daemon.state / DATABASE_NAME, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def moved_away(daemon: DaemonProcess) -> Iterator[None]:
    """Moves the state directory away, and back."""
    away = daemon.state.rename(daemon.folder / "away")
    try:
        yield
    finally:
        away.rename(daemon.state)


AWAY = pytest.mark.parametrize("away", [held, moved_away])


@AWAY
async def test_records_that_are_away_for_a_while_fail_no_download_and_start_none_twice(
    mortal: DaemonProcess, origin: Origin, away: Callable[[DaemonProcess], contextlib.AbstractContextManager[None]]
) -> None:
    gate = asyncio.Event()
    paths = [f"/{number}" for number in range(4)]
    for path in paths:
        origin.script(path, Answer(size=10, gate=gate))
    origin.script("/later", Answer(size=10))
    await mortal.start()
    ids = {(await mortal.start_download("d", origin.url(path)))["download_id"] for path in paths}
    for path in paths:
        await origin.requested(path)
    assert mortal.client is not None
    with away(mortal):
        gate.set()
        await until(lambda: len(mortal.parts()) == len(paths))
        for _ in range(2):
            async with mortal.client.get(f"{mortal.url}/d", params={"download": origin.url("/later")}) as response:
                answer = await response.json()
                assert (response.status, answer["success"], answer["error"]) == (503, False, "STORE_UNAVAILABLE")
                assert int(response.headers["Retry-After"]) > 0
        # Whoever only reads is not held up.
        assert {entry["id"] for entry in await mortal.active()} == ids
        assert await mortal.history() == []
    for id in ids:
        assert (await mortal.ended(id))["status"] == "completed"
    assert (await mortal.fetch("d", origin.url("/later")))[0] == 201
    assert set(mortal.files()) == {f"d{path}" for path in (*paths, "/later")}
    assert len(await mortal.history()) == len(paths) + 1
    assert [len(origin.requests(path)) for path in (*paths, "/later")] == [1] * (len(paths) + 1)


@AWAY
async def test_the_daemon_stops_in_time_while_its_records_are_away(
    mortal: DaemonProcess, origin: Origin, away: Callable[[DaemonProcess], contextlib.AbstractContextManager[None]]
) -> None:
    gate = asyncio.Event()
    origin.script("/f", Answer(size=10, gate=gate))
    await mortal.start()
    id = (await mortal.start_download("d", origin.url("/f")))["download_id"]
    await origin.requested("/f")
    with away(mortal):
        gate.set()
        await until(mortal.parts)
        # One that came to the end of its time would say so.
        assert await mortal.stop() == 0
    await mortal.start()
    assert (await mortal.ended(id))["status"] == "completed"
    assert set(mortal.files()) == {"d/f"}
    assert "Traceback" not in mortal.log.read_text()
