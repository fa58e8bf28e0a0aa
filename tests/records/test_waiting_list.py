"""Records of the waiting list."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from records.contracts.queue import QueueContract, anywhere, everything, pages
from support.clocks import ManualClock
from support.stored_downloads import added, present, sample_download

from downloadd.download import Desired
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path, ManualClock()) as opened:
        yield opened


class TestSqliteQueue(QueueContract):
    """The contract, kept by SQLite."""


async def test_a_damaged_row_is_left_out_of_a_page(records: SqliteRecords, tmp_path: Path) -> None:
    await added(records, *(sample_download() for _ in range(3)))
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection, connection:
        connection.execute("UPDATE downloads SET attempt = 'x' WHERE seq = 1")
    assert await pages(records, (0, 1), (0, 9)) == [[2], [2, 3]]


async def test_a_damaged_row_does_not_stop_a_chunk(records: SqliteRecords, tmp_path: Path) -> None:
    rows = await added(records, *(sample_download(state=State.PAUSED, desired=Desired.PAUSE) for _ in range(3)))
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection, connection:
        connection.execute("UPDATE downloads SET priority = 'x', directory = x'FF' WHERE seq = 1")
        connection.execute("UPDATE downloads SET origin = x'FF' WHERE seq = 2")
    chunk = await records.queue.resume_chunk(everything(), anywhere)
    assert [one.waiting.seq for one in chunk.changed] == [3]
    assert (await present(records, rows[2].id)).state is State.QUEUED
