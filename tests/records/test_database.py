"""State directory and database file: lock, permissions, damage and migrations."""

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from records.contract import NOW, ManualClock, added, ids, present, sample_download
from structlog.testing import capture_logs

from downloadd.errors.storage import StorageError
from downloadd.records.database import (
    DATABASE_FILE_NAME,
    RecordsError,
    RecordsLockedError,
    RecordsTooNewError,
    RecordsUnreadableError,
    StateDirectory,
)
from downloadd.records.schema import Migration, shipped_migrations
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State

PAGE = 4096
ADD_NOTES = Migration(version=len(shipped_migrations()) + 1, sql="CREATE TABLE notes (text TEXT);")
FAILING = Migration(version=ADD_NOTES.version, sql="CREATE TABLE notes (text TEXT); INSERT INTO nowhere VALUES (1);")


def version_of(path: Path) -> int:
    """Return the version of a database."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def assert_one_sentence(error: RecordsError, path: Path) -> None:
    """Check that the message is one line with the path."""
    assert str(path) in str(error)
    assert "\n" not in str(error)


async def refused(state: Path) -> RecordsError:
    """Return the error of opening the records."""
    with pytest.raises(RecordsError) as caught:
        async with SqliteRecords(state, clock=ManualClock()):
            pass
    assert_one_sentence(caught.value, state)
    return caught.value


async def test_a_second_daemon_is_refused_and_the_first_continues(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, clock=ManualClock()) as first:
        error = await refused(tmp_path)
        assert isinstance(error, RecordsLockedError)
        assert f"process {os.getpid()}" in str(error)
        (row,) = await added(first, sample_download())
    async with SqliteRecords(tmp_path, clock=ManualClock()) as second:
        assert await present(second, row.id) == row


async def test_a_failed_start_releases_the_lock(tmp_path: Path) -> None:
    database = tmp_path / DATABASE_FILE_NAME
    database.write_bytes(b"not a database" * 500)
    await refused(tmp_path)
    database.unlink()
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        assert await added(records, sample_download())


@pytest.mark.parametrize("content", [b"garbage " * 1000, b"x", b""], ids=["pages", "one-byte", "nothing"])
async def test_a_file_that_is_not_a_database_is_refused_and_not_changed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DATABASE_FILE_NAME).write_bytes(content)
    error = await refused(tmp_path)
    assert isinstance(error, RecordsUnreadableError)
    assert (tmp_path / DATABASE_FILE_NAME).read_bytes() == content


async def test_a_damaged_database_is_refused_and_not_changed(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        await records.accept([sample_download() for _ in range(100)])
    database = tmp_path / DATABASE_FILE_NAME
    content = database.read_bytes()
    damaged = content[:100] + b"\xff" * (len(content) - 100)
    database.write_bytes(damaged)
    error = await refused(tmp_path)
    assert isinstance(error, RecordsUnreadableError)
    assert "damaged" in str(error)
    assert database.read_bytes() == damaged


async def test_an_emptied_database_is_refused_and_its_log_is_not_changed(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path / "state", clock=ManualClock()) as records:
        await records.accept([sample_download()])
        shutil.copytree(tmp_path / "state", tmp_path / "killed")
    database, written = tmp_path / "killed" / DATABASE_FILE_NAME, tmp_path / "killed" / f"{DATABASE_FILE_NAME}-wal"
    content, log = database.read_bytes(), written.read_bytes()
    database.write_bytes(b"")
    error = await refused(tmp_path / "killed")
    assert "is damaged or not a database (the file is empty); restore a backup, or move it and" in str(error)
    assert (database.read_bytes(), written.read_bytes()) == (b"", log)
    database.write_bytes(content)
    async with SqliteRecords(tmp_path / "killed", clock=ManualClock()) as records:
        assert await records.counts() == {State.QUEUED: 1}


@pytest.mark.parametrize(
    "left",
    [
        f"{DATABASE_FILE_NAME}-wal",
        f"{DATABASE_FILE_NAME}-shm",
        f"{DATABASE_FILE_NAME}.v3.backup",
        "imports/23456789ABCDEFGHJ",
    ],
)
async def test_a_missing_database_is_noticed_by_the_files_of_an_earlier_one(tmp_path: Path, left: str) -> None:
    (tmp_path / "imports").mkdir()
    (tmp_path / left).write_bytes(b"of an earlier database")
    error = await refused(tmp_path)
    assert isinstance(error, RecordsUnreadableError)
    assert f"is missing, but {left.partition('/')[0]} of an earlier one exists; restore" in str(error)
    assert (tmp_path / left).read_bytes() == b"of an earlier database"
    assert not (tmp_path / DATABASE_FILE_NAME).exists()
    (tmp_path / left).unlink()
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        assert await added(records, sample_download())


async def test_a_link_is_followed_and_refused_if_its_target_is_missing(
    tmp_path: Path,
) -> None:
    database = tmp_path / "state" / DATABASE_FILE_NAME
    database.parent.mkdir()
    database.symlink_to(tmp_path / "disk" / DATABASE_FILE_NAME)
    error = await refused(database.parent)
    assert f"is a link to {tmp_path / 'disk' / DATABASE_FILE_NAME}, which does not exist" in str(error)
    async with SqliteRecords(tmp_path / "disk", clock=ManualClock()) as records:
        (row,) = await added(records, sample_download())
    async with SqliteRecords(database.parent, clock=ManualClock()) as records:
        assert await present(records, row.id) == row
    assert database.is_symlink()


async def test_a_new_database_is_complete_when_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, int]] = []
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        seen.append((target.exists(), version_of(source)))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    # Left by a first start that was killed.
    (tmp_path / f"{DATABASE_FILE_NAME}.unfinished").write_bytes(b"half a database")
    async with SqliteRecords(tmp_path, clock=ManualClock()):
        pass
    assert seen == [(False, len(shipped_migrations()))]
    assert not (tmp_path / f"{DATABASE_FILE_NAME}.unfinished").exists()


async def test_a_database_created_in_a_used_directory_is_logged(tmp_path: Path) -> None:
    logged: list[list[str]] = []
    for _ in range(2):
        with capture_logs() as lines:
            async with SqliteRecords(tmp_path, clock=ManualClock()):
                pass
        logged.append([line["event"] for line in lines])
    (tmp_path / DATABASE_FILE_NAME).unlink()
    with capture_logs() as lines:
        async with SqliteRecords(tmp_path, clock=ManualClock()):
            pass
    assert logged == [[], []]
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("records_created_empty", "warning")


async def test_damage_to_any_page_is_noticed_before_the_first_write(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        await records.accept([sample_download() for _ in range(300)])
    database = tmp_path / DATABASE_FILE_NAME
    content = database.read_bytes()
    pages = len(content) // PAGE
    assert pages > 40
    for page in range(pages):
        spoiled = content[: page * PAGE] + b"\xa5" * PAGE + content[(page + 1) * PAGE :]
        database.write_bytes(spoiled)
        error = await refused(tmp_path)
        assert isinstance(error, RecordsUnreadableError), page
        assert "is damaged" in str(error)
        assert database.read_bytes() == spoiled
    database.write_bytes(content)
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        assert await records.counts() == {State.QUEUED: 300}


async def test_a_schema_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        await records.accept([sample_download()])
    database = tmp_path / DATABASE_FILE_NAME
    database.write_bytes(database.read_bytes().replace(b"key TEXT NOT NULL", b"key TEXT NOT \xf3ULL", 1))
    error = await refused(tmp_path)
    assert isinstance(error, RecordsUnreadableError)
    assert "is damaged or not a database" in str(error)


async def test_a_database_that_is_too_large_to_check_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        rows = await added(records, *(sample_download() for _ in range(1000)))
    database = tmp_path / DATABASE_FILE_NAME
    content = database.read_bytes()
    middle = len(content) // PAGE // 2 * PAGE
    database.write_bytes(content[:middle] + b"\xa5" * PAGE + content[middle + PAGE :])
    await refused(tmp_path)
    monkeypatch.setattr("downloadd.records.database.MAX_CHECKED_BYTES", len(content) - 1)
    readable = []
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        for row in rows:
            # Which rows the damaged page holds or indexes differs from run to run.
            with contextlib.suppress(StorageError):
                readable.append(await present(records, row.id) == row)
    assert readable
    assert all(readable)


async def test_a_database_of_another_program_is_refused_and_not_changed(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE_FILE_NAME)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    content = (tmp_path / DATABASE_FILE_NAME).read_bytes()
    error = await refused(tmp_path)
    assert isinstance(error, RecordsUnreadableError)
    assert "another program" in str(error)
    assert (tmp_path / DATABASE_FILE_NAME).read_bytes() == content


@pytest.mark.parametrize(
    ("spoiling", "missing"),
    [
        pytest.param("DROP TABLE answers", "no index answers_created of created, no table answers", id="table"),
        pytest.param("ALTER TABLE downloads DROP COLUMN detail", "no column detail of downloads", id="column"),
        pytest.param(
            "ALTER TABLE deliveries RENAME COLUMN due TO late",
            "no column due of deliveries, no index deliveries_due of hook, due",
            id="renamed",
        ),
        pytest.param("DROP INDEX downloads_active", "no index downloads_active of seq, state", id="index"),
    ],
)
@pytest.mark.parametrize("added_since", [(), (ADD_NOTES,)], ids=["of-this-version", "to-be-migrated"])
async def test_a_database_with_an_incomplete_schema_is_refused_and_not_changed(
    tmp_path: Path, spoiling: str, missing: str, added_since: tuple[Migration, ...]
) -> None:
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        await records.accept([sample_download()])
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE_FILE_NAME)) as connection:
        connection.execute(spoiling)
    content = (tmp_path / DATABASE_FILE_NAME).read_bytes()
    with pytest.raises(RecordsUnreadableError) as caught:
        async with SqliteRecords(tmp_path, clock=ManualClock(), migrations=(*shipped_migrations(), *added_since)):
            pass
    assert_one_sentence(caught.value, tmp_path / DATABASE_FILE_NAME)
    assert "is damaged: it has " in str(caught.value)
    assert missing in str(caught.value)
    assert "restore a backup" in str(caught.value)
    assert (tmp_path / DATABASE_FILE_NAME).read_bytes() == content
    assert not list(tmp_path.glob("*.backup"))


async def test_further_tables_and_indexes_are_allowed(tmp_path: Path) -> None:
    for sql in ("CREATE TABLE mine (x)", "CREATE INDEX mine_too ON downloads (user)"):
        async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
            await records.accept([sample_download()])
        with contextlib.closing(sqlite3.connect(tmp_path / DATABASE_FILE_NAME)) as connection:
            connection.execute(sql)
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        assert await records.counts() == {State.QUEUED: 2}


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    migrations = (*shipped_migrations(), ADD_NOTES)
    async with SqliteRecords(tmp_path, clock=ManualClock(), migrations=migrations) as newer:
        await newer.accept([sample_download()])
    error = await refused(tmp_path)
    assert isinstance(error, RecordsTooNewError)
    assert version_of(tmp_path / DATABASE_FILE_NAME) == ADD_NOTES.version


async def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("x")
    assert isinstance(await refused(tmp_path / "state"), RecordsUnreadableError)


async def test_a_directory_in_place_of_the_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE_NAME).mkdir()
    assert isinstance(await refused(tmp_path), RecordsUnreadableError)


OPENING = """
import asyncio, sys
from downloadd.clock import SystemClock
from downloadd.records.database import RecordsError
from downloadd.records.sqlite import SqliteRecords

async def main():
    try:
        async with SqliteRecords(sys.argv[1], clock=SystemClock()):
            print("opened")
    except RecordsError as error:
        print(type(error).__name__, error)

asyncio.run(main())
"""


def test_a_directory_without_write_permission_is_refused(tmp_path: Path) -> None:
    # Root may write everywhere, but not without this capability; as another user it might not reach the directory.
    unprivileged = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    os.chmod(tmp_path, 0o500)
    try:
        done = subprocess.run(
            [*unprivileged, sys.executable, "-P", "-c", OPENING, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.chmod(tmp_path, 0o700)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("RecordsUnreadableError ")
    assert str(tmp_path) in done.stdout
    assert done.stdout.count("\n") == 1


async def test_a_migration_keeps_the_rows_and_makes_a_backup(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        rows = await added(records, sample_download(), sample_download())
    old = version_of(tmp_path / DATABASE_FILE_NAME)
    async with SqliteRecords(tmp_path, clock=ManualClock(), migrations=(*shipped_migrations(), ADD_NOTES)) as records:
        assert [await present(records, row.id) for row in rows] == rows
    assert version_of(tmp_path / DATABASE_FILE_NAME) == ADD_NOTES.version
    backup = tmp_path / f"{DATABASE_FILE_NAME}.v{old}.backup"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert version_of(backup) == old
    with contextlib.closing(sqlite3.connect(backup)) as connection:
        assert [row[0] for row in connection.execute("SELECT id FROM downloads ORDER BY seq")] == ids(rows)
    assert f"{DATABASE_FILE_NAME}.v{old}.backup.unfinished" not in os.listdir(tmp_path)


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, clock=ManualClock()) as records:
        (row,) = await added(records, sample_download())
    with pytest.raises(RecordsUnreadableError, match="nowhere"):
        async with SqliteRecords(tmp_path, clock=ManualClock(), migrations=(*shipped_migrations(), FAILING)):
            pass
    async with SqliteRecords(tmp_path, clock=ManualClock(), migrations=(*shipped_migrations(), ADD_NOTES)) as records:
        assert await present(records, row.id) == row


async def test_a_first_start_leaves_no_backup(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, clock=ManualClock()):
        pass
    assert sorted(os.listdir(tmp_path)) == ["downloadd.lock", DATABASE_FILE_NAME]


def test_a_reading_connection_cannot_write(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "odd ?#% name")
    directory.lock()
    with (
        contextlib.closing(directory.open_for_writing(shipped_migrations(), now=NOW)),
        contextlib.closing(directory.open_for_reading()) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("DELETE FROM downloads")
    directory.unlock()
