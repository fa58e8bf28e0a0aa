"""Copy of an SQLite file of records into PostgreSQL, compared by what the protocols of both stores read."""

import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from msgspec.structs import replace
from support.clocks import NOW, ManualClock
from support.fake_imports import make_operation
from support.filled_records import RESPONSE, fill, make_deliveries, read_all
from support.postgres_server import PASSWORD, PASSWORD_USER, PostgresServer
from support.stored_downloads import added, sample_download

from downloadd.errors import StartupError
from downloadd.import_operation import Driver, FileLink, SkippedEntry, SkipReason
from downloadd.manager import lifecycle
from downloadd.records.database import DATABASE_FILE_NAME
from downloadd.records.deliveries import DeliveryRecords
from downloadd.records.import_protocol import ContentItem
from downloadd.records.postgres.address import DatabaseAddress
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.postgres.sqlite_copy import CopyResult, copy_records
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.sqlite_source import open_source
from downloadd.records.store import Store

ACTIVE: Final = ActiveFilter()
HISTORY: Final = HistoryFilter()


async def add_import(store: Store) -> None:
    """Add rows of all tables with numbers of their own."""
    await store.imports.operations.create(make_operation(id="later", started_at=9))
    items: list[ContentItem] = [
        FileLink(file_id="F", url="http://h/"),
        SkippedEntry(reason=SkipReason.DELETED, detail="gone"),
    ]
    await store.imports.contents.add(Driver("later", 0), items)
    assert [number for number, _ in await store.imports.contents.skipped("later", 0, 9)] == [2]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return the directory of the SQLite file."""
    return tmp_path / "state"


async def copied(state_dir: Path, database: str) -> CopyResult:
    with open_source(state_dir, now=NOW) as source:
        return await copy_records(source, DatabaseAddress(database))


async def test_a_copy_has_all_that_the_file_has_and_goes_on_with_its_numbers(state_dir: Path, database: str) -> None:
    clock = ManualClock()
    async with SqliteRecords(state_dir, clock, make_deliveries=make_deliveries) as source:
        await fill(source)
    # A daemon was started with the database before.
    async with PostgresRecords(database, ManualClock(NOW - 1)):
        pass
    content = (state_dir / DATABASE_FILE_NAME).read_bytes()
    result = await copied(state_dir, database)
    assert (state_dir / DATABASE_FILE_NAME).read_bytes() == content
    assert not result.was_copied_before
    assert all(rows.copied > 0 and rows.damaged == 0 for rows in result.rows)

    async with (
        SqliteRecords(state_dir, clock, make_deliveries=make_deliveries) as source,
        PostgresRecords(database, clock, make_deliveries=make_deliveries) as target,
    ):
        expected, found = await read_all(source), await read_all(target)
        assert all(expected.values())
        for name, value in expected.items():
            assert found[name] == value, name
        assert await taken(target.deliveries) == await taken(source.deliveries)
        stores: tuple[Store, Store] = (source, target)
        for store in stores:
            assert (await store.accept([sample_download()], RESPONSE)).replayed == RESPONSE
        rows = [(await added(store, sample_download()))[0] for store in stores]
        assert rows[1].seq == rows[0].seq
        # As the last download and the newest end were removed.
        assert rows[1].seq > max(row.seq for row in (*expected["active"], *expected["history"])) + 1
        ends = []
        for store, row in zip(stores, rows, strict=True):
            amended = await store.amend(row.id, lambda row: lifecycle.cancel(row, now=NOW))
            assert amended is not None
            ends.append(amended[1].result.ended_seq)
            await add_import(store)
        assert ends[1] == ends[0] == expected["last removal"] + 1


async def taken(deliveries: DeliveryRecords) -> list[object]:
    found = await deliveries.take("one", now=NOW + 2, latest=NOW + 9, limit=99, lease=60.0)
    assert found
    return [replace(delivery, taken_until=None) for delivery in found]


async def test_a_second_copy_changes_nothing_even_after_the_database_was_used(state_dir: Path, database: str) -> None:
    async with SqliteRecords(state_dir, ManualClock()) as source:
        await fill(source)
    await copied(state_dir, database)
    async with PostgresRecords(database, ManualClock()) as target:
        await added(target, sample_download())
        await target.remove_ended(await target.ended_rows(HISTORY))
        before = await read_all(target)
    assert await copied(state_dir, database) == CopyResult(was_copied_before=True)
    async with PostgresRecords(database, ManualClock()) as target:
        after = await read_all(target)
    # Each start of a daemon raises the epochs of imports.
    for name in ("operations", "unfinished", "sources"):
        assert [replace(one, epoch=0) for one in after.pop(name)] == [replace(one, epoch=0) for one in before.pop(name)]
    assert after == before


async def test_a_database_with_other_records_or_with_a_daemon_is_refused(state_dir: Path, database: str) -> None:
    async with SqliteRecords(state_dir, ManualClock()) as source:
        await added(source, sample_download())
    async with PostgresRecords(database, ManualClock(NOW - 1)) as target:
        with pytest.raises(StartupError, match="is used by a daemon") as refused:
            await copied(state_dir, database)
        assert "\n" not in refused.value.message
        rows = await added(target, sample_download())
    with pytest.raises(StartupError, match="has other records already; choose one without downloads"):
        await copied(state_dir, database)
    async with PostgresRecords(database, ManualClock()) as target:
        assert await target.active(ACTIVE) == rows


async def test_missing_rights_are_refused_with_what_to_do(state_dir: Path, postgres_server: PostgresServer) -> None:
    await postgres_server.add_password_user()
    async with SqliteRecords(state_dir, ManualClock()):
        pass
    url = postgres_server.url("postgres", user=PASSWORD_USER, password=quote(PASSWORD, safe=""))
    with pytest.raises(StartupError, match=r"the user lacks a right .* make it the owner of the database"):
        await copied(state_dir, url)


async def test_damaged_rows_are_left_out_and_counted(state_dir: Path, database: str) -> None:
    async with SqliteRecords(state_dir, ManualClock(), make_deliveries=make_deliveries) as source:
        await fill(source)
    database_file = sqlite3.connect(state_dir / DATABASE_FILE_NAME, isolation_level=None)
    for sql in (
        "UPDATE downloads SET state = 'odd' WHERE seq = (SELECT max(seq) FROM downloads WHERE ended_seq IS NULL)",
        "UPDATE downloads SET filename = CAST(x'ff' AS TEXT) WHERE ended_seq = (SELECT max(ended_seq) FROM downloads)",
        "UPDATE answers SET body = 'text'",
        "UPDATE operations SET status = 'odd' WHERE id = 'f'",
        "UPDATE import_people SET person = '{' WHERE user_id = 'U2'",
        "UPDATE import_channels SET channel = '{' WHERE channel_id = 'C0'",
        "UPDATE import_files SET link = '{' WHERE number = 2",
        "UPDATE import_skipped SET entry = '{'",
        "UPDATE schedules SET body = '{' WHERE name = 'a'",
        "UPDATE deliveries SET due = 'odd' WHERE number = 1",
        "UPDATE origins SET failures = 'odd' WHERE origin LIKE '%h1%'",
        "UPDATE object_uploads SET size = 'odd' WHERE download_id = 'b'",
        "UPDATE object_parts SET etag = CAST(x'ff' AS TEXT)",
        "UPDATE user_days SET received = 'odd'",
        "UPDATE user_files SET size = 'odd'",
        "UPDATE storage_root SET identity = '{'",
    ):
        assert database_file.execute(sql).rowcount == 1, sql
    database_file.close()
    result = await copied(state_dir, database)
    assert [rows.damaged for rows in result.rows] == [1] * len(result.rows)
    async with SqliteRecords(state_dir, ManualClock()) as source, PostgresRecords(database, ManualClock()) as target:
        assert await target.active(ACTIVE) == await source.active(ACTIVE)
        assert await target.history(HISTORY) == await source.history(HISTORY)
        assert await target.storage_root.load() is None


async def test_a_copy_that_fails_in_the_middle_changes_nothing(
    state_dir: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqliteRecords(state_dir, ManualClock()) as source:
        await fill(source)
    monkeypatch.setattr("downloadd.records.postgres.sqlite_copy._ANALYZE", "SELECT 1 / 0")
    with pytest.raises(StartupError, match=r"the records were not copied to .*; run the command again"):
        await copied(state_dir, database)
    monkeypatch.undo()
    async with PostgresRecords(database, ManualClock(NOW - 1)) as target:
        assert await target.active(ACTIVE) == []
    assert not (await copied(state_dir, database)).was_copied_before
