"""Records of hook deliveries, in the database of the downloads.

A delivery is inserted in the transaction that finishes its download, so that neither exists without the other.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.delivery import Delivery
from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.rows import Row, corrupt_row_error, decode_texts

_FIELDS: Final = ("event_id", "hook", "download_id", "body", "created", "tries", "due")
# The SQL is composed of the names in the list of columns only.
# ruff: noqa: S608
_INSERT: Final = f"INSERT INTO deliveries ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"
# A delivery that is due later than the longest delay was scheduled before the clock was set back. A lease that lasts
# longer than one that begins now began before that, too.
_IS_DUE: Final = """
FROM deliveries WHERE hook = ?1 AND (due <= ?2 OR due > ?3)
    AND (taken_until IS NULL OR taken_until <= ?4 OR taken_until > ?4 + ?5)
"""
_DUE: Final = f"SELECT number, {', '.join(_FIELDS)} {_IS_DUE} ORDER BY due, number LIMIT ?6"
_TAKE: Final = "UPDATE deliveries SET taken_until = ? WHERE number = ?"
_NEXT_DUE: Final = """
SELECT min(time) FROM (
    SELECT min(due) AS time FROM deliveries WHERE hook = ?1 AND due > ?2
    UNION ALL
    SELECT min(taken_until) FROM deliveries INDEXED BY deliveries_taken
    WHERE hook = ?1 AND taken_until IS NOT NULL AND taken_until > ?2
)
"""
_EXTEND: Final = "UPDATE deliveries SET taken_until = ? WHERE number = ? AND taken_until IS ?"
_RESCHEDULE: Final = (
    "UPDATE deliveries SET tries = ?, due = ?, taken_until = NULL WHERE number = ? AND taken_until IS ?"
)
_REMOVE: Final = "DELETE FROM deliveries WHERE number = ?"
_REMOVE_OTHERS: Final = "DELETE FROM deliveries WHERE hook NOT IN (SELECT value FROM json_each(?))"
_MAKE_DUE: Final = "UPDATE deliveries SET due = ?1 WHERE due > ?1 AND hook IN (SELECT value FROM json_each(?2))"
_RELEASE: Final = """
UPDATE deliveries SET taken_until = NULL
WHERE taken_until IS NOT NULL AND hook IN (SELECT value FROM json_each(?))
"""
_WAITING: Final = "SELECT hook, count(*) FROM deliveries GROUP BY hook"


class DeliveryRecords(Protocol):
    """Durable records of deliveries; each call that changes them returns after the change is durable."""

    async def take(self, hook: str, *, now: float, latest: float, limit: int, lease: float) -> list[Delivery]:
        """Take up to `limit` deliveries of a hook that are due, in order of their times; durable on return.

        No other call takes one of them while the lease lasts, or until it is rescheduled or released. One whose taker
        died is due again at the end of the lease.

        Args:
            hook: name of the hook.
            now: Unix time.
            latest: the latest time that a delivery can be scheduled for (Unix time); later ones are due too.
            limit: number of deliveries.
            lease: seconds, by the clock of the store.
        """
        ...

    async def next_due(self, hook: str, *, now: float) -> float | None:
        """Return the time after `now` at which a hook's next delivery is due, or the next lease ends (Unix times).

        None if there is none.
        """
        ...

    async def extend(self, delivery: Delivery, *, lease: float) -> Delivery:
        """Let a lease end in `lease` seconds, and return the delivery with it; durable on return.

        Nothing is changed if it has ended and another call has taken the delivery.
        """
        ...

    async def reschedule(self, delivery: Delivery, *, tries: int, due: float) -> None:
        """End the lease of a delivery that failed, and schedule its next try; durable on return.

        Nothing is changed if its lease has ended and another call has taken it.
        """
        ...

    async def remove(self, number: int) -> None:
        """Delete a delivery that succeeded or will not be tried again; durable on return."""
        ...

    async def release(self, hooks: Iterable[str]) -> None:
        """End the leases of these hooks that this process or an earlier one of it holds; durable on return."""
        ...

    async def make_due(self, hooks: Iterable[str], *, now: float) -> None:
        """Make all deliveries of these hooks due at `now` (Unix time); durable on return."""
        ...

    async def remove_others(self, hooks: Iterable[str]) -> int:
        """Delete the deliveries of all other hooks; durable on return. Returns their number."""
        ...

    async def waiting(self) -> dict[str, int]:
        """Return the number of deliveries by hook; hooks without deliveries are left out."""
        ...


class SqliteDeliveries:
    """`DeliveryRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._row_reader = RowReader()

    async def take(self, hook: str, *, now: float, latest: float, limit: int, lease: float) -> list[Delivery]:
        """See `DeliveryRecords.take`."""
        clock = self._clock.wall()
        parameters = (hook, now, latest, clock, lease)
        # A commit that takes nothing would wake the worker, which would try to take again. Damaged rows are not taken.
        if not await self._access.read(
            lambda connection: self._row_reader.page(connection, _DUE, (*parameters, 1), _decode_delivery)
        ):
            return []

        def write(cursor: sqlite3.Cursor) -> list[Delivery]:
            found = self._row_reader.page(cursor.connection, _DUE, (*parameters, limit), _decode_delivery)
            cursor.executemany(_TAKE, [(clock + lease, delivery.number) for delivery in found])
            return [replace(delivery, taken_until=clock + lease) for delivery in found]

        return await self._access.write(write, rows=limit)

    async def next_due(self, hook: str, *, now: float) -> float | None:
        """See `DeliveryRecords.next_due`."""

        def read(connection: sqlite3.Connection) -> float | None:
            due: float | None = connection.execute(_NEXT_DUE, (hook, now)).fetchone()[0]
            return due

        return await self._access.read(read)

    async def extend(self, delivery: Delivery, *, lease: float) -> Delivery:
        """See `DeliveryRecords.extend`."""
        end = self._clock.wall() + lease
        changed = await self._execute(_EXTEND, (end, delivery.number, delivery.taken_until))
        return replace(delivery, taken_until=end) if changed else delivery

    async def reschedule(self, delivery: Delivery, *, tries: int, due: float) -> None:
        """See `DeliveryRecords.reschedule`."""
        await self._execute(_RESCHEDULE, (tries, due, delivery.number, delivery.taken_until))

    async def remove(self, number: int) -> None:
        """See `DeliveryRecords.remove`."""
        await self._execute(_REMOVE, (number,))

    async def release(self, hooks: Iterable[str]) -> None:
        """See `DeliveryRecords.release`."""
        await self._execute(_RELEASE, (_to_json(hooks),))

    async def make_due(self, hooks: Iterable[str], *, now: float) -> None:
        """See `DeliveryRecords.make_due`."""
        await self._execute(_MAKE_DUE, (now, _to_json(hooks)))

    async def remove_others(self, hooks: Iterable[str]) -> int:
        """See `DeliveryRecords.remove_others`."""
        return await self._execute(_REMOVE_OTHERS, (_to_json(hooks),))

    async def waiting(self) -> dict[str, int]:
        """See `DeliveryRecords.waiting`."""
        return await self._access.read(lambda connection: dict(connection.execute(_WAITING).fetchall()))

    async def _execute(self, sql: str, parameters: Row) -> int:
        """Run a statement, and return the number of rows that it changed."""
        return await self._access.write(lambda cursor: cursor.execute(sql, parameters).rowcount)


def _to_json(hooks: Iterable[str]) -> str:
    return msgspec.json.encode(list(hooks)).decode()


def _decode_delivery(row: Row) -> Delivery:
    number, event_id, hook, download_id, body, created, tries, due = row
    # The body is bytes.
    event_id, hook, download_id = decode_texts((event_id, hook, download_id), 0, "delivery")
    values = zip(_FIELDS, (event_id, hook, download_id, body, created, tries, due), strict=True)
    try:
        return msgspec.convert({"number": number, **dict(values)}, Delivery)
    except msgspec.ValidationError as error:
        raise corrupt_row_error("delivery", event_id, "a value has another type") from error


def add_deliveries(cursor: sqlite3.Cursor, deliveries: Sequence[Delivery]) -> None:
    """Insert deliveries in the transaction of `cursor`."""
    if deliveries:
        cursor.executemany(_INSERT, [tuple(getattr(each, field) for field in _FIELDS) for each in deliveries])
