"""SQLite file of records as the source of a copy."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.clocks import NOW, ManualClock
from support.filled_records import fill
from support.stored_downloads import added, sample_download

from downloadd.errors import StorageError
from downloadd.records.boot import boot_id
from downloadd.records.database import (
    DATABASE_FILE_NAME,
    RecordsLockedError,
    RecordsTooNewError,
    RecordsUnreadableError,
)
from downloadd.records.rows import Row
from downloadd.records.schema import latest_version, shipped_migrations
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.sqlite_source import RecordsState, open_source


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    """Return open records in the state directory, the folder of the test."""
    async with SqliteRecords(tmp_path, ManualClock()) as opened:
        yield opened


async def test_what_the_records_keep_once_is_read(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as filled:
        await fill(filled)
        expected = RecordsState(
            created_at=NOW,
            boot=boot_id(),
            storage_root='{"marker":"m","path":"/ü","device":"8:1","filesystem":null}',
            cleared_until=5,
            last_seq=await filled.queue.last_seq(),
            last_ended_seq=await filled.last_removal(),
            last_removal=await filled.last_removal(),
        )
    with open_source(tmp_path, now=NOW) as source:
        found = source.read_state()
        assert found.storage_root is not None
        assert replace(found, storage_root=None) == replace(expected, storage_root=None)


async def test_rows_come_in_chunks_and_damaged_ones_are_counted(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as filled:
        await added(filled, *(sample_download() for _ in range(1_001)))

    def convert(row: Row) -> Row:
        if row[0] in {1, 1_001}:
            raise StorageError("damaged")
        return row

    with open_source(tmp_path, now=NOW) as source:
        chunks = list(source.read_rows("SELECT seq FROM downloads ORDER BY seq", convert))
        assert [(len(chunk.rows), chunk.damaged) for chunk in chunks] == [(999, 1), (0, 1)]
        assert chunks[0].rows[0] == (2,)
        (texts,) = source.read_rows("SELECT CAST(x'ff' AS TEXT), 'ä'", lambda row: row)
        assert texts.rows == [(b"\xff", "ä")]


async def test_a_directory_that_a_daemon_uses_is_refused(records: SqliteRecords, tmp_path: Path) -> None:
    with pytest.raises(RecordsLockedError, match=r"another downloadd \(process"), open_source(tmp_path, now=NOW):
        pass


async def test_a_directory_can_be_used_after_its_copy(tmp_path: Path) -> None:
    for _ in range(2):
        async with SqliteRecords(tmp_path, ManualClock()):
            pass
        with open_source(tmp_path, now=NOW), pytest.raises(RecordsLockedError):
            async with SqliteRecords(tmp_path, ManualClock()):
                pass


def test_records_that_do_not_exist_are_not_created(tmp_path: Path) -> None:
    with (
        pytest.raises(RecordsUnreadableError, match="does not exist; name the directory of the records"),
        open_source(tmp_path / "state", now=NOW),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_is_migrated_and_a_newer_one_refused(tmp_path: Path) -> None:
    file, latest = tmp_path / DATABASE_FILE_NAME, latest_version(shipped_migrations())
    create_older(file)
    with open_source(tmp_path, now=NOW) as source:
        assert source.read_state().created_at is None
    assert (tmp_path / f"{DATABASE_FILE_NAME}.v{latest - 1}.backup").exists()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {latest + 1}")
    with pytest.raises(RecordsTooNewError), open_source(tmp_path, now=NOW):
        pass


def create_older(file: Path) -> None:
    """Create a database of the version before, which does not record its creation."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    for migration in shipped_migrations()[:-1]:
        connection.executescript(migration.sql)
        connection.execute(f"PRAGMA user_version = {migration.version}")
    connection.close()
