"""Records of the files of imports."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from records.contracts.import_files import (
    FILES,
    ImportFileContract,
    add_pending_files,
    counts,
    finish,
    finished_run,
    outcomes,
    start,
)
from support.clocks import ManualClock
from support.stored_downloads import sample_download

from downloadd.import_operation import FileCounts
from downloadd.records.database import DATABASE_FILE_NAME
from downloadd.records.protocol import HistoryFilter
from downloadd.records.schema import shipped_migrations
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path, ManualClock()) as opened:
        await add_pending_files(opened)
        yield opened


class TestSqliteImportFiles(ImportFileContract):
    """The contract, kept by SQLite."""


OLDER_SCHEMA = """
DROP TABLE user_days; DROP TABLE user_files;
DROP INDEX downloads_resource; DROP INDEX downloads_file_identity;
ALTER TABLE downloads DROP COLUMN skip_same; ALTER TABLE downloads DROP COLUMN resource;
DROP TABLE object_uploads; DROP TABLE object_parts;
DROP INDEX downloads_gid; DROP INDEX downloads_queue; DROP INDEX downloads_results; DROP TABLE cleared_results;
ALTER TABLE downloads DROP COLUMN gid; ALTER TABLE downloads DROP COLUMN place;
ALTER TABLE downloads DROP COLUMN cleared; ALTER TABLE downloads DROP COLUMN attempt_options;
ALTER TABLE downloads DROP COLUMN cause; ALTER TABLE downloads DROP COLUMN origin_status;
ALTER TABLE downloads DROP COLUMN part_directory; ALTER TABLE downloads DROP COLUMN start_after;
ALTER TABLE downloads DROP COLUMN condition; ALTER TABLE downloads DROP COLUMN pending_rules; DROP TABLE schedules;
ALTER TABLE operations DROP COLUMN not_before;
DROP INDEX import_files_retried; DROP INDEX import_channels_directory;
ALTER TABLE operations DROP COLUMN epoch; DROP INDEX deliveries_taken; ALTER TABLE deliveries DROP COLUMN taken_until;
ALTER TABLE import_channels DROP COLUMN directory; PRAGMA user_version = 19;
"""


async def test_retried_files_of_an_older_database_are_completed(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        await add_pending_files(records)
        first, _ = await finished_run(records, State.FAILED, State.FAILED)
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE_NAME)) as connection:
        connection.executescript(OLDER_SCHEMA)
        connection.execute("UPDATE import_channels SET channel = 'damaged'")
        # The daemon was killed before it recorded the run.
        connection.execute("UPDATE import_files SET run = 'lost' WHERE number = ?", (FILES,))
        connection.execute("""UPDATE import_files SET link = json_set(link, '$.request_fields', json('{}'))""")
        connection.execute("UPDATE downloads SET state = 'completed', error = NULL WHERE id = ?", (first,))
        connection.commit()
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        expected = FileCounts(total=FILES, completed=1, failed=1)
        assert await counts(records) == expected
        assert await records.imports.files.count("run") == replace(expected, total=FILES - 1)
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE_NAME)) as connection:
        rows = connection.execute("SELECT status, saved_path, error, link FROM import_files ORDER BY number").fetchall()
    sample = sample_download()
    assert [row[:3] for row in rows[:2]] == [
        ("completed", f"{sample.request.directory}/{sample.filename}", None),
        ("failed", None, "NETWORK_ERROR"),
    ]
    assert ["request_fields" in row[3] for row in rows[:2]] == [False, True]
    assert [row[0] for row in rows[2:]] == ["reserved", "pending"]


async def test_files_of_an_older_database_keep_what_their_downloads_knew(
    records: SqliteRecords, tmp_path: Path
) -> None:
    completed, *_ = await start(records)
    await finish(records, completed, State.COMPLETED, total=7, checksum="md5=0", directory="d", filename="f")
    await records.imports.files.apply_outcomes()
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE_NAME)) as connection:
        connection.execute("UPDATE import_files SET saved_path = NULL, saved_size = NULL, saved_checksum = NULL")
        connection.commit()
        connection.executescript(shipped_migrations()[16].sql)
    await records.remove_ended(await records.ended_rows(HistoryFilter()))
    assert (await outcomes(records.imports.files))[0] == ("completed", "d/f", 7, "md5=0", None)
