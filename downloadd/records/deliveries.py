"""Records of hook deliveries, in the database of the downloads.

A delivery is inserted in the transaction that finishes its download, so that neither exists without the other.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from downloadd.delivery import Delivery
from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.rows import Row, corrupt_row_error, decode_texts

_FIELDS: Final = ("event_id", "hook", "download_id", "body", "created", "tries", "due")
# The SQL is composed of the names in the list of columns only.
# ruff: noqa: S608
_INSERT: Final = f"INSERT INTO deliveries ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"
# A delivery that is due later than the longest delay was scheduled before the clock was set back.
_DUE: Final = (
    f"SELECT number, {', '.join(_FIELDS)} FROM deliveries "
    "WHERE hook = ? AND (due <= ? OR due > ?) ORDER BY due, number LIMIT ?"
)
_NEXT_DUE: Final = "SELECT min(due) FROM deliveries WHERE hook = ? AND due > ?"
_RESCHEDULE: Final = "UPDATE deliveries SET tries = ?, due = ? WHERE number = ?"
_REMOVE: Final = "DELETE FROM deliveries WHERE number = ?"
_REMOVE_OTHERS: Final = "DELETE FROM deliveries WHERE hook NOT IN (SELECT value FROM json_each(?))"
_MAKE_DUE: Final = "UPDATE deliveries SET due = ? WHERE due > ?"
_WAITING: Final = "SELECT hook, count(*) FROM deliveries GROUP BY hook"


class DeliveryRecords(Protocol):
    """Durable records of deliveries; each call that changes them returns after the change is durable."""

    async def due(self, hook: str, *, now: float, latest: float, limit: int) -> list[Delivery]:
        """Return the deliveries of a hook that are due at `now`, in order of their times.

        `latest` is the latest time that a delivery can be scheduled for (Unix time): later ones are due too.
        """
        ...

    async def next_due(self, hook: str, *, now: float) -> float | None:
        """Return the time of a hook's next delivery after `now` (Unix times); None if there is none."""
        ...

    async def reschedule(self, number: int, *, tries: int, due: float) -> None:
        """Schedule the next try of a delivery that failed; durable on return."""
        ...

    async def remove(self, number: int) -> None:
        """Delete a delivery that succeeded or will not be tried again; durable on return."""
        ...

    async def reset(self, hooks: Iterable[str], *, now: float) -> int:
        """Make the deliveries of these hooks due at `now` (Unix time) and delete those of all other hooks.

        Both changes are durable on return. Returns the number of deleted deliveries.
        """
        ...

    async def waiting(self) -> dict[str, int]:
        """Return the number of deliveries by hook; hooks without deliveries are left out."""
        ...


class SqliteDeliveries:
    """`DeliveryRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def due(self, hook: str, *, now: float, latest: float, limit: int) -> list[Delivery]:
        """See `DeliveryRecords.due`."""

        def read(connection: sqlite3.Connection) -> list[Delivery]:
            return self._row_reader.page(connection, _DUE, (hook, now, latest, limit), _decode_delivery)

        return await self._access.read(read)

    async def next_due(self, hook: str, *, now: float) -> float | None:
        """See `DeliveryRecords.next_due`."""

        def read(connection: sqlite3.Connection) -> float | None:
            due: float | None = connection.execute(_NEXT_DUE, (hook, now)).fetchone()[0]
            return due

        return await self._access.read(read)

    async def reschedule(self, number: int, *, tries: int, due: float) -> None:
        """See `DeliveryRecords.reschedule`."""

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(_RESCHEDULE, (tries, due, number))

        await self._access.write(write)

    async def remove(self, number: int) -> None:
        """See `DeliveryRecords.remove`."""

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(_REMOVE, (number,))

        await self._access.write(write)

    async def reset(self, hooks: Iterable[str], *, now: float) -> int:
        """See `DeliveryRecords.reset`."""
        known = msgspec.json.encode(list(hooks)).decode()

        def write(cursor: sqlite3.Cursor) -> int:
            cursor.execute(_MAKE_DUE, (now, now))
            return cursor.execute(_REMOVE_OTHERS, (known,)).rowcount

        return await self._access.write(write)

    async def waiting(self) -> dict[str, int]:
        """See `DeliveryRecords.waiting`."""
        return await self._access.read(lambda connection: dict(connection.execute(_WAITING).fetchall()))


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
