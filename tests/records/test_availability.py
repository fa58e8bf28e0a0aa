"""Retries while another program holds the lock of a real database."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
from records.contract import ManualClock, added, sample_download

from downloadd.errors import StorageError
from downloadd.records.availability import once_available
from downloadd.records.database import DATABASE_FILE_NAME
from downloadd.records.protocol import ActiveFilter
from downloadd.records.sqlite import SqliteRecords


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path, clock=ManualClock(), lock_timeout=0.01) as opened:
        yield opened


@pytest.fixture
def lock(tmp_path: Path, records: SqliteRecords) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE_FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def test_an_operation_that_was_refused_takes_place_once(records: SqliteRecords, lock: sqlite3.Connection) -> None:
    refusals = 0

    def refused() -> None:
        nonlocal refusals
        refusals += 1
        if refusals == 3:
            lock.execute("ROLLBACK")

    download = sample_download()
    accepted = await once_available(partial(records.accept, [download]), refused=refused)
    assert refusals == 3
    assert [(row.id, row.seq) for row in await records.active(ActiveFilter())] == [(download.id, accepted.seqs[0])]


async def test_other_errors_are_raised_at_once(records: SqliteRecords) -> None:
    (known,) = await added(records, sample_download())
    with pytest.raises(StorageError, match="UNIQUE"):
        await once_available(partial(records.accept, [known]))


async def test_the_callback_can_end_the_retries(records: SqliteRecords, lock: sqlite3.Connection) -> None:
    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await once_available(partial(records.accept, [sample_download()]), refused=stop)
