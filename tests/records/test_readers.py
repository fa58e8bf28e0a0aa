"""Reading threads."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.waiting import CONDITION_TIMEOUT

from downloadd.errors import ShuttingDownError, StorageError
from downloadd.records.readers import ReaderPool


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[ReaderPool]:
    pool = ReaderPool("test", 2)
    await pool.open(lambda: sqlite3.connect(tmp_path / "a.db", check_same_thread=False))
    yield pool
    await pool.close()


def select_one(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT 1").fetchone()[0]
    return number


async def test_reads_run_in_the_threads_of_the_pool(pool: ReaderPool) -> None:
    assert await pool.run(select_one) == 1
    assert (await pool.run(lambda connection: threading.current_thread().name)).startswith("test")


async def test_two_reads_run_at_once_and_the_third_waits(pool: ReaderPool) -> None:
    together, release = threading.Barrier(3), threading.Event()

    def read(connection: sqlite3.Connection) -> sqlite3.Connection:
        together.wait(CONDITION_TIMEOUT)
        release.wait(CONDITION_TIMEOUT)
        return connection

    reads = [asyncio.create_task(pool.run(read)) for _ in range(2)]
    await asyncio.to_thread(together.wait, CONDITION_TIMEOUT)
    third = asyncio.create_task(pool.run(select_one))
    await asyncio.sleep(0)
    assert not third.done()
    release.set()
    first, second = await asyncio.gather(*reads)
    assert first is not second
    assert await third == 1


async def test_an_error_of_sqlite_is_a_storage_error_and_the_pool_continues(pool: ReaderPool) -> None:
    with pytest.raises(StorageError, match="no such table"):
        await pool.run(lambda connection: connection.execute("SELECT * FROM missing"))
    assert await pool.run(select_one) == 1


async def test_a_cancelled_read_is_interrupted_and_the_next_one_is_not(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    pool, began = ReaderPool("test", 1), threading.Event()
    await pool.open(lambda: sqlite3.connect(tmp_path / "a.db", check_same_thread=False))

    def read(connection: sqlite3.Connection) -> None:
        began.set()
        connection.execute(endless).fetchone()

    reading = asyncio.create_task(pool.run_cancellable(read))
    assert await asyncio.to_thread(began.wait, CONDITION_TIMEOUT)
    reading.cancel()
    assert await pool.run_cancellable(select_one) == 1
    await pool.close()


async def test_a_closed_pool_refuses_reads(tmp_path: Path) -> None:
    pool = ReaderPool("test", 1)
    with pytest.raises(ShuttingDownError):
        await pool.run(select_one)
    await pool.open(lambda: sqlite3.connect(tmp_path / "a.db", check_same_thread=False))
    await pool.close()
    await pool.close()
    with pytest.raises(ShuttingDownError):
        await pool.run(select_one)


async def test_a_connection_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    pool = ReaderPool("test", 1)
    with pytest.raises(sqlite3.OperationalError):
        await pool.open(lambda: sqlite3.connect(tmp_path / "no" / "a.db"))
    await pool.close()
