"""Responses kept under an Idempotency-Key, of several nodes."""

import asyncio

import asyncpg
from records.contract import DAY, NOW
from support.clocks import ManualClock
from support.stored_downloads import make_response, sample_download

from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import ActiveFilter


async def test_the_same_key_on_several_nodes_writes_once(stores: tuple[PostgresRecords, PostgresRecords]) -> None:
    first, second = stores
    results = await asyncio.gather(
        *(store.accept([sample_download()], make_response()) for _ in range(10) for store in (first, second))
    )
    assert sum(result.replayed is None for result in results) == 1
    assert len(await second.active(ActiveFilter())) == 1


async def test_expired_responses_are_deleted_by_later_ones(database: str) -> None:
    clock = ManualClock()
    async with PostgresRecords(database, clock) as records:
        for number in range(10):
            await records.accept([], make_response(f"old {number}\0"))
        clock.now = NOW + DAY + 1
        await records.accept([], make_response("new", created=clock.now))

        async def keys(connection: asyncpg.Connection) -> list[str]:
            return [key for (key,) in await connection.fetch("SELECT key FROM answers")]

        assert await records.read(keys) == ["new"]
