"""The store that the contracts are tested with: SQLite."""

from pathlib import Path

import pytest
from support.clocks import ManualClock
from support.stores import MakeDeliveries, OpenStore, no_deliveries

from downloadd.records.sqlite import SqliteRecords


@pytest.fixture
def clock() -> ManualClock:
    """Return the clock of the store."""
    return ManualClock()


@pytest.fixture
def open_store(tmp_path: Path, clock: ManualClock) -> OpenStore:
    """Return the function that opens the store."""

    def open(make_deliveries: MakeDeliveries = no_deliveries) -> SqliteRecords:
        return SqliteRecords(tmp_path / "state", clock, make_deliveries=make_deliveries)

    return open
