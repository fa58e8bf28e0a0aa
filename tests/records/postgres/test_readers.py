"""Connections that read the database."""

import asyncio

import asyncpg
import pytest
from support.clocks import ManualClock
from support.postgres_server import PostgresServer
from support.stored_downloads import added, sample_download
from support.waiting import wait_until

from downloadd.errors import ShuttingDownError, StorageError
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
