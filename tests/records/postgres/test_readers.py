"""Connections that read the database."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from support.clocks import ManualClock
from support.postgres_server import PostgresServer
from support.stored_downloads import added, sample_download
from support.waiting import wait_until
from support.wire import Wire

from downloadd.errors import ShuttingDownError, StorageError, StoreUnavailableError
from downloadd.records.postgres.address import DatabaseAddress
from downloadd.records.postgres.readers import ReaderPool
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State

LOCK = 77


async def searches(connection: asyncpg.Connection) -> int:
    """Return the number of searches that the server runs."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%strpos(folded%'"
    count: int = await connection.fetchval(f"{sql} AND pid <> pg_backend_pid()")
    return count


async def test_a_read_after_a_restart_of_the_server_does_not_fail(
    postgres_server: PostgresServer, database: str
) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        (row,) = await added(records, sample_download())
        await asyncio.to_thread(postgres_server.stop)
        postgres_server.start()
        assert await asyncio.gather(*(records.get(row.id) for _ in range(10))) == [row] * 10


async def test_a_slow_search_delays_no_lookup_and_ends_with_its_caller(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        (row,) = await added(records, sample_download(state=State.COMPLETED))
        other = await asyncpg.connect(database)
        watch = await asyncpg.connect(database)
        try:
            async with other.transaction():
                # The searches wait for it; a lookup of another table does not.
                await other.execute("LOCK TABLE downloads")
                tasks = [asyncio.ensure_future(records.history(HistoryFilter(contains="x"))) for _ in range(5)]
                await wait_until(lambda: searches(watch))
                assert await records.created_at() is not None
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                assert {type(result) for result in results} == {asyncio.CancelledError}

                async def is_over() -> bool:
                    return not await searches(watch)

                await wait_until(is_over)
        finally:
            await other.close()
            await watch.close()
        assert await records.history(HistoryFilter(contains="EXAMPLE")) == [row]


@pytest.fixture
async def reader_behind_wire(
    postgres_server: PostgresServer, reused_databases: list[str], database: str
) -> AsyncIterator[tuple[ReaderPool, Wire]]:
    """Open a pool with one connection behind a wire."""
    async with Wire(postgres_server.port) as wire:
        address = DatabaseAddress(postgres_server.url(reused_databases[0], port=wire.port))
        pool = ReaderPool(address, 1, timeout=60.0, cancel_timeout=0.1)
        await pool.open()
        try:
            assert await pool.run(lambda connection: connection.fetchval("SELECT 1")) == 1
            wire.silent = b"SELECT 2"
            yield pool, wire
        finally:
            await pool.close()


async def test_a_read_of_a_silent_server_fails_in_time_and_frees_its_connection(
    reader_behind_wire: tuple[ReaderPool, Wire],
) -> None:
    pool, _ = reader_behind_wire
    pool._timeout = 0.1
    async with asyncio.timeout(30):
        with pytest.raises(StoreUnavailableError, match="the database server does not answer"):
            await pool.run(lambda connection: connection.fetchval("SELECT 2"))
        pool._timeout = 30.0
        assert await pool.run(lambda connection: connection.fetchval("SELECT 3")) == 3


async def test_a_read_of_a_silent_server_ends_with_its_caller_and_frees_its_connection(
    reader_behind_wire: tuple[ReaderPool, Wire],
) -> None:
    pool, wire = reader_behind_wire
    reading = asyncio.ensure_future(pool.run(lambda connection: connection.fetchval("SELECT 2")))
    await wait_until(lambda: wire.silenced)
    reading.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await pool.run(lambda connection: connection.fetchval("SELECT 3")) == 3


async def test_no_read_hangs_when_the_records_close(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        (row,) = await added(records, sample_download(state=State.COMPLETED))
        reading = asyncio.gather(
            *(records.get(row.id) for _ in range(50)),
            *(records.history(HistoryFilter(contains="x")) for _ in range(10)),
            return_exceptions=True,
        )
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        for result in await reading:
            assert isinstance(result, ShuttingDownError) or result in (row, [])


async def test_closed_records_refuse_reads(database: str) -> None:
    records = PostgresRecords(database, ManualClock())
    with pytest.raises(ShuttingDownError):
        await records.get("x")


async def test_a_reading_connection_writes_nothing(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        with pytest.raises(Exception, match="read-only transaction") as raised:
            await records.read(lambda connection: connection.execute("DELETE FROM downloads"))
        assert not isinstance(raised.value, asyncpg.PostgresError | StorageError)
