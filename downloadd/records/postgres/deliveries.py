"""Records of hook deliveries in PostgreSQL, in the database of the downloads.

Leases are measured by the clock of the database, so that all nodes agree on their ends.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg
import msgspec
from msgspec.structs import replace

from downloadd.delivery import Delivery
from downloadd.records.postgres.access import PostgresAccess, execute_counted
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.postgres.statements import array_of_texts, arrays, transpose
from downloadd.records.rows import Row, corrupt_row_error

_TYPES: Final = {
    "event_id": "text",
    "hook": "text",
    "download_id": "text",
    "body": "bytea",
    "created": "double precision",
    "tries": "bigint",
    "due": "double precision",
}
"""Columns that an insertion writes, with their types."""
_FIELDS: Final = tuple(_TYPES)
# The SQL is composed of the names in the list of columns only.
# ruff: noqa: S608
_INSERT: Final = f"INSERT INTO deliveries ({', '.join(_FIELDS)}) SELECT * FROM {arrays(_TYPES.values())}"
_NOW: Final = "extract(epoch FROM clock_timestamp())::double precision"
# A delivery that is due later than the longest delay was scheduled before the clock was set back.
_IS_DUE: Final = f"""
FROM deliveries WHERE hook = $1 AND (due <= $2 OR due > $3) AND (taken_until IS NULL OR taken_until <= {_NOW})
"""
_HAS_DUE: Final = f"SELECT EXISTS (SELECT 1 {_IS_DUE})"
# Another node may be taking some of them.
_TAKE: Final = f"""
WITH found AS (
    SELECT number, due {_IS_DUE} ORDER BY due, number LIMIT $5 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE deliveries AS d SET taken_until = {_NOW} + $4 FROM found WHERE d.number = found.number
    RETURNING d.number, {", ".join(f"d.{name}" for name in _FIELDS)}, d.taken_until
)
SELECT * FROM taken ORDER BY due, number
"""
_NEXT_DUE: Final = """
SELECT least(
    (SELECT min(due) FROM deliveries WHERE hook = $1 AND due > $2),
    (SELECT min(taken_until) FROM deliveries WHERE hook = $1 AND taken_until IS NOT NULL AND taken_until > $2)
)
"""
_EXTEND: Final = f"""
UPDATE deliveries SET taken_until = {_NOW} + $1 WHERE number = $2 AND taken_until IS NOT DISTINCT FROM $3
RETURNING taken_until
"""
_RESCHEDULE: Final = (
    "UPDATE deliveries SET tries = $1, due = $2, taken_until = NULL "
    "WHERE number = $3 AND taken_until IS NOT DISTINCT FROM $4"
)
_REMOVE: Final = "DELETE FROM deliveries WHERE number = $1"
_REMOVE_OTHERS: Final = "DELETE FROM deliveries WHERE hook <> ALL($1::text[])"
_MAKE_DUE: Final = "UPDATE deliveries SET due = $1 WHERE due > $1 AND hook = ANY($2::text[])"
_RELEASE: Final = "UPDATE deliveries SET taken_until = NULL WHERE taken_until IS NOT NULL AND hook = ANY($1::text[])"
_WAITING: Final = "SELECT hook, count(*) FROM deliveries GROUP BY hook"


class PostgresDeliveries:
    """`DeliveryRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def take(self, hook: str, *, now: float, latest: float, limit: int, lease: float) -> list[Delivery]:
        """See `DeliveryRecords.take`."""
        due = (hook, now, latest)
        # A commit that takes nothing would wake the worker, which would try to take again.
        if not await self._access.read(lambda connection: connection.fetchval(_HAS_DUE, *due)):
            return []

        async def write(connection: asyncpg.Connection) -> list[Delivery]:
            return await self._row_reader.rows(connection, _TAKE, (*due, lease, limit), _decode_delivery)

        return await self._access.write(write, rows=limit)

    async def next_due(self, hook: str, *, now: float) -> float | None:
        """See `DeliveryRecords.next_due`."""
        due: float | None = await self._access.read(lambda connection: connection.fetchval(_NEXT_DUE, hook, now))
        return due

    async def extend(self, delivery: Delivery, *, lease: float) -> Delivery:
        """See `DeliveryRecords.extend`."""
        parameters = (lease, delivery.number, delivery.taken_until)
        end = await self._access.write(lambda connection: connection.fetchval(_EXTEND, *parameters))
        return delivery if end is None else replace(delivery, taken_until=end)

    async def reschedule(self, delivery: Delivery, *, tries: int, due: float) -> None:
        """See `DeliveryRecords.reschedule`."""
        await self._access.execute(_RESCHEDULE, tries, due, delivery.number, delivery.taken_until)

    async def remove(self, number: int) -> None:
        """See `DeliveryRecords.remove`."""
        await self._access.execute(_REMOVE, number)

    async def release(self, hooks: Iterable[str]) -> None:
        """See `DeliveryRecords.release`."""
        await self._access.execute(_RELEASE, array_of_texts(hooks))

    async def make_due(self, hooks: Iterable[str], *, now: float) -> None:
        """See `DeliveryRecords.make_due`."""
        await self._access.execute(_MAKE_DUE, now, array_of_texts(hooks))

    async def remove_others(self, hooks: Iterable[str]) -> int:
        """See `DeliveryRecords.remove_others`."""
        known = array_of_texts(hooks)
        return await self._access.write(lambda connection: execute_counted(connection, _REMOVE_OTHERS, known))

    async def waiting(self) -> dict[str, int]:
        """See `DeliveryRecords.waiting`."""
        rows = await self._access.read(lambda connection: connection.fetch(_WAITING))
        return dict(rows)


async def add_deliveries(connection: asyncpg.Connection, deliveries: Sequence[Delivery]) -> None:
    """Insert deliveries in the transaction of a connection."""
    if deliveries:
        rows = [tuple(getattr(each, field) for field in _FIELDS) for each in deliveries]
        await connection.execute(_INSERT, *transpose(rows, tuple(_TYPES.values())))


def _decode_delivery(row: Row) -> Delivery:
    values = zip(("number", *_FIELDS, "taken_until"), row, strict=True)
    try:
        return msgspec.convert(dict(values), Delivery)
    except msgspec.ValidationError as error:
        raise corrupt_row_error("delivery", row[1], "a value has another type") from error
