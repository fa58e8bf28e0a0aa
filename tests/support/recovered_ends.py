"""Reconciliation at the start, with the ends that it records."""

from downloadd.clock import Clock
from downloadd.manager.recovery import reconcile
from downloadd.records.ends import RecordedEnd
from downloadd.records.sqlite import SqliteRecords
from downloadd.storage.destination import Destination


async def reconciled(records: SqliteRecords, destination: Destination, clock: Clock) -> list[RecordedEnd]:
    """Reconcile records and disk; return the ends that this recorded."""
    ends: list[RecordedEnd] = []
    records.set_end_listener(ends.extend)
    await reconcile(records, destination, clock)
    return ends
