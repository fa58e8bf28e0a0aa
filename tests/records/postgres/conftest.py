"""The store that the contracts are tested with: PostgreSQL."""

from collections.abc import AsyncIterator

import pytest
from support.clocks import ManualClock
from support.stores import MakeDeliveries, OpenStore, no_deliveries

from downloadd.records.postgres.records import PostgresRecords


@pytest.fixture
def open_store(database: str, clock: ManualClock) -> OpenStore:
    """Return the function that opens the store."""

    def open(make_deliveries: MakeDeliveries = no_deliveries) -> PostgresRecords:
        return PostgresRecords(database, clock, make_deliveries=make_deliveries)

    return open


@pytest.fixture
async def stores(database: str, clock: ManualClock) -> AsyncIterator[tuple[PostgresRecords, PostgresRecords]]:
    """Open two stores on one database."""
    async with (
        PostgresRecords(database, clock, is_owner=False) as first,
        PostgresRecords(database, clock, is_owner=False) as second,
    ):
        yield first, second
