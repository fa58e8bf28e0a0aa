"""A database that the daemon cannot use: it reports the reason, ends, and changes no byte.

`tests/records/test_database.py` tests the detection of each defect, and the backup before a migration.
"""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support.daemon_process import DaemonProcess
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

from downloadd.records.database import DATABASE_FILE_NAME
from downloadd.records.schema import shipped_migrations


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
    ("corrupt", "sentence"),
    [
        (truncate, "is damaged"),
        (empty, "(the file is empty)"),
        (overwrite, "is damaged"),
        (make_newer, "was written by a newer downloadd"),
    ],
)
async def test_an_unusable_database_is_reported_and_not_changed(
    restartable: DaemonProcess, origin: Origin, corrupt: Callable[[Path], None], sentence: str
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    await restartable.start()
    items = [{"url": origin.url("/f"), "directory": "d"} for _ in range(200)]
    assert (await restartable.request("POST", "/api/v1/downloads", json={"downloads": items}))[0] == 201
    await restartable.stop()
    database = restartable.state / DATABASE_FILE_NAME
    corrupt(database)
    content = database.read_bytes()
    written = len(restartable.log.read_text())
    with pytest.raises(AssertionError, match="the daemon ended with 1"):
        await restartable.start()
    message = restartable.log.read_text()[written:]
    assert sentence in message
    assert str(database) in message
    assert "Traceback" not in message
    assert len(message.splitlines()) == 1
    assert database.read_bytes() == content


async def test_part_files_of_lost_records_are_kept_and_continued_after_a_restore(
    restartable: DaemonProcess, origin: Origin
) -> None:
    size = 4_000_000
    origin.script(
        "/f", [ScriptedResponse(size=size, etag='"v"', stall_after=1_000_000), ScriptedResponse(size=size, etag='"v"')]
    )
    await restartable.start()
    id = (await restartable.start_download("d", origin.url("/f")))["download_id"]
    await wait_until(lambda: [part for part in restartable.part_files() if part.stat().st_size == 1_000_000])
    assert (await restartable.control(id, "pause"))[0] == 200
    await restartable.stop()
    database = restartable.state / DATABASE_FILE_NAME
    lost = database.rename(restartable.folder / DATABASE_FILE_NAME)
    for _ in range(2):
        written = len(restartable.log.read_text())
        await restartable.start()
        await wait_until(lambda written=written: "foreign_parts_kept" in restartable.log.read_text()[written:])
        assert await restartable.active() == []
        await restartable.stop()
    assert restartable.log.read_text().count('"records_created_empty"') == 1
    assert len(restartable.part_files()) == 1
    lost.replace(database)
    await restartable.start()
    assert (await restartable.control(id, "resume"))[0] == 200
    assert (await restartable.wait_until_finished(id))["status"] == "completed"
    assert restartable.files() == {"d/f": expected_bytes(0, 0, size)}
    assert origin.requests("/f")[-1].field("Range") == "bytes=1000000-"


async def test_a_damaged_row_affects_no_other_download_and_is_not_changed(
    restartable: DaemonProcess, origin: Origin
) -> None:
    size = 1_000_000
    origin.script("/f", ScriptedResponse(size=10))
    origin.script(
        "/half",
        [ScriptedResponse(size=size, etag='"v"', stall_after=500_000)] * 2 + [ScriptedResponse(size=size, etag='"v"')],
    )
    await restartable.start()
    past = [(await restartable.fetch("d", origin.url("/f")))[1]["download_id"] for _ in range(3)]
    active = [(await restartable.start_download("d", origin.url("/half")))["download_id"] for _ in range(2)]
    await wait_until(lambda: [part.stat().st_size for part in restartable.part_files()] == [500_000] * 2)
    await restartable.kill()
    with contextlib.closing(
        sqlite3.connect(restartable.state / DATABASE_FILE_NAME, isolation_level=None)
    ) as connection:
        for id in (past[1], active[0]):
            connection.execute("UPDATE downloads SET state = 'nonsense' WHERE id = ?", (id,))
    await restartable.start()
    assert (await restartable.wait_until_finished(active[1]))["status"] == "completed"
    assert [entry["id"] for entry in await restartable.history()] == [active[1], past[2], past[0]]
    assert await restartable.active() == []
    for method, path in (
        ("GET", f"/api/v1/downloads/{past[1]}"),
        ("GET", f"/api/v1/downloads/{active[0]}"),
        ("POST", f"/api/v1/downloads/{active[0]}/pause"),
        ("DELETE", f"/api/v1/downloads/{active[0]}"),
        ("POST", f"/api/v1/downloads/{past[1]}/retry"),
    ):
        status, answer = await restartable.request(method, path)
        assert (status, answer["error"]) == (500, "STORAGE_ERROR"), path
        assert "is damaged (unknown word 'nonsense'); it is not changed: repair it, or restore" in answer["detail"]
    await wait_until(lambda: any(line["event"] == "row_corrupt" for line in restartable.log_lines()))
    await restartable.stop()
    assert "Traceback" not in restartable.log.read_text()
    assert [part.stat().st_size for part in restartable.part_files()] == [500_000]
    with contextlib.closing(
        sqlite3.connect(restartable.state / DATABASE_FILE_NAME, isolation_level=None)
    ) as connection:
        connection.execute("UPDATE downloads SET state = 'queued' WHERE id = ?", (active[0],))
    await restartable.start()
    assert (await restartable.wait_until_finished(active[0]))["status"] == "completed"
    await wait_until(lambda: restartable.part_files() == [])


async def test_no_download_is_accepted_while_the_state_directory_is_missing(
    restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=10))
    await restartable.start()
    before = (await restartable.fetch("d", origin.url("/f")))[1]["download_id"]
    away = restartable.state.rename(restartable.folder / "away")
    body = {"downloads": [{"url": origin.url("/f"), "directory": "d"}] * 100}
    for _ in range(3):
        status, answer = await restartable.request("POST", "/api/v1/downloads", json=body)
        assert (status, answer["error"]) == (503, "STORE_UNAVAILABLE")
        assert "put its state directory back as it was, or restart the daemon" in answer["detail"]
    away.rename(restartable.state)
    after = (await restartable.fetch("d", origin.url("/f"), filename="g"))[1]["download_id"]
    shutil.rmtree(restartable.state)
    status, answer = await restartable.fetch("d", origin.url("/f"), filename="h")
    assert (status, answer["error"]) == (503, "STORE_UNAVAILABLE")
    assert {entry["id"] for entry in await restartable.history()} == {before, after}
    assert await restartable.stop() == 0
    events = [line["event"] for line in restartable.log_lines()]
    assert (events.count("records_missing"), events.count("records_restored")) == (2, 1)
    assert "Traceback" not in restartable.log.read_text()
    assert set(restartable.files()) == {"d/f", "d/g"}


@contextlib.contextmanager
def locked(daemon: DaemonProcess) -> Iterator[None]:
    """Lock the database as another program may."""
    with contextlib.closing(sqlite3.connect(daemon.state / DATABASE_FILE_NAME, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def moved_away(daemon: DaemonProcess) -> Iterator[None]:
    """Move the state directory away within the context."""
    away = daemon.state.rename(daemon.folder / "away")
    try:
        yield
    finally:
        away.rename(daemon.state)


async def wait_until_received(daemon: DaemonProcess, origin: Origin, paths: Sequence[str]) -> None:
    """Wait until the download of each path has to wait for the records."""
    for path in paths:
        await origin.wait_sent(path, 10)

    async def all_wait() -> bool:
        # A download waits before its first bytes are written if the process for small files has no CPU for seconds.
        return {entry["status"] for entry in await daemon.active()} <= {"verifying", "downloading"}

    await wait_until(all_wait)


AWAY = pytest.mark.parametrize("away", [locked, moved_away])


@AWAY
async def test_unavailable_records_fail_no_download_and_start_none_twice(
    restartable: DaemonProcess, origin: Origin, away: Callable[[DaemonProcess], contextlib.AbstractContextManager[None]]
) -> None:
    release = asyncio.Event()
    paths = [f"/{number}" for number in range(4)]
    for path in paths:
        origin.script(path, ScriptedResponse(size=10, body_event=release))
    origin.script("/later", ScriptedResponse(size=10))
    await restartable.start()
    ids = {(await restartable.start_download("d", origin.url(path)))["download_id"] for path in paths}
    for path in paths:
        await origin.wait_requested(path)
    assert restartable.client is not None
    with away(restartable):
        release.set()
        await wait_until_received(restartable, origin, paths)
        for _ in range(2):
            async with restartable.client.get(
                f"{restartable.url}/d", params={"download": origin.url("/later")}
            ) as response:
                answer = await response.json()
                assert (response.status, answer["success"], answer["error"]) == (503, False, "STORE_UNAVAILABLE")
                assert int(response.headers["Retry-After"]) > 0
        # Read requests are not delayed.
        assert {entry["id"] for entry in await restartable.active()} == ids
        assert await restartable.history() == []
    for id in ids:
        assert (await restartable.wait_until_finished(id))["status"] == "completed"
    assert (await restartable.fetch("d", origin.url("/later")))[0] == 201
    assert set(restartable.files()) == {f"d{path}" for path in (*paths, "/later")}
    assert len(await restartable.history()) == len(paths) + 1
    assert [len(origin.requests(path)) for path in (*paths, "/later")] == [1] * (len(paths) + 1)


@AWAY
async def test_the_daemon_stops_in_time_while_its_records_are_unavailable(
    restartable: DaemonProcess, origin: Origin, away: Callable[[DaemonProcess], contextlib.AbstractContextManager[None]]
) -> None:
    release = asyncio.Event()
    origin.script("/f", ScriptedResponse(size=10, body_event=release))
    await restartable.start()
    id = (await restartable.start_download("d", origin.url("/f")))["download_id"]
    await origin.wait_requested("/f")
    with away(restartable):
        release.set()
        await wait_until_received(restartable, origin, ["/f"])
        # A stop that exceeds its time limit would be logged.
        assert await restartable.stop() == 0
    await restartable.start()
    assert (await restartable.wait_until_finished(id))["status"] == "completed"
    assert set(restartable.files()) == {"d/f"}
    assert "Traceback" not in restartable.log.read_text()
