"""`Records` in PostgreSQL: the contract, and what only this store promises."""

from collections.abc import AsyncIterator

import pytest
from records.contract import ManualClock, RecordsContract

from downloadd.records.postgres.records import PostgresRecords


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def records(database: str, clock: ManualClock) -> AsyncIterator[PostgresRecords]:
    async with PostgresRecords(database, clock) as records:
        yield records


class TestPostgresRecords(RecordsContract):
    """The contract."""
