"""Contract of `DatabaseAccess`, for each implementation."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from support.clocks import ManualClock
from support.protocol_methods import differences

from downloadd.errors import NotFoundError
from downloadd.records.access import DatabaseAccess
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.writer import Rejection


@pytest.fixture
async def access(tmp_path: Path) -> AsyncIterator[DatabaseAccess]:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        await records.write(lambda cursor: cursor.execute("CREATE TABLE numbers (number INTEGER)").rowcount)
        yield records


def select(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT number FROM numbers")]


def test_an_implementation_has_the_methods_of_the_interface() -> None:
    assert list(differences(DatabaseAccess, SqliteRecords)) == []


async def test_a_write_returns_its_result_and_reads_see_it(access: DatabaseAccess) -> None:
    assert await access.write(lambda cursor: cursor.execute("INSERT INTO numbers VALUES (7)").rowcount, rows=1) == 1
    assert await access.read(select) == [7]


async def test_a_rejection_raises_its_error_and_other_operations_stand(access: DatabaseAccess) -> None:
    def reject(cursor: sqlite3.Cursor) -> int | Rejection:
        return Rejection(NotFoundError("none"))

    rejected: Awaitable[int] = access.write(reject)
    written = access.write(lambda cursor: cursor.execute("INSERT INTO numbers VALUES (7)").rowcount)
    results = await asyncio.gather(rejected, written, return_exceptions=True)
    assert [type(result) for result in results] == [NotFoundError, int]
    assert await access.read(select) == [7]


async def test_an_error_of_an_operation_is_raised_and_its_changes_are_undone(access: DatabaseAccess) -> None:
    def insert_and_fail(cursor: sqlite3.Cursor) -> int:
        cursor.execute("INSERT INTO numbers VALUES (7)")
        raise KeyError("defect")

    with pytest.raises(KeyError, match="defect"):
        await access.write(insert_and_fail)
    assert await access.read(select) == []
