"""What hooks are still to be told, beside the downloads in the same database.

A delivery is written in the transaction that ends its download, so neither can be there without the other.
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
# The SQL is put together from the one list of columns, never from anything foreign.
# ruff: noqa: S608
_INSERT: Final = f"INSERT INTO deliveries ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"
# What is due later than anything is ever put off was written down before the clock was set back.
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
    """The durable truth about deliveries. Every call that changes something returns after the change is durable."""

    async def due(self, hook: str, *, now: float, latest: float, limit: int) -> list[Delivery]:
        """Those of a hook whose time has come, in the order of their times.

        `latest` is the furthest that any can have been put off (Unix time): those beyond are due too.
        """
        ...

    async def next_due(self, hook: str, *, now: float) -> float | None:
        """When the next one of a hook is due after `now` (Unix times); None when none is."""
        ...

    async def reschedule(self, number: int, *, tries: int, due: float) -> None:
        """A try has failed; the next one comes later."""
        ...

    async def remove(self, number: int) -> None:
        """The hook has been told, or will not be."""
        ...

    async def reset(self, hooks: Iterable[str], *, now: float) -> int:
        """Makes all that waits for these hooks due now (Unix time), and removes the rest; says how much that was."""
        ...

    async def waiting(self) -> dict[str, int]:
        """How many wait, by hook; hooks that none wait for are left out."""
        ...


class SqliteDeliveries:
    """The `DeliveryRecords` in the database of the downloads."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def due(self, hook: str, *, now: float, latest: float, limit: int) -> list[Delivery]:
        """See `DeliveryRecords.due`."""

        def read(connection: sqlite3.Connection) -> list[Delivery]:
            return self._row_reader.page(connection, _DUE, (hook, now, latest, limit), _delivery)

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


def _delivery(row: Row) -> Delivery:
    number, event_id, hook, download_id, body, created, tries, due = row
    # Not the body, which is bytes.
    event_id, hook, download_id = decode_texts((event_id, hook, download_id), 0, "hook's message")
    values = zip(_FIELDS, (event_id, hook, download_id, body, created, tries, due), strict=True)
    try:
        return msgspec.convert({"number": number, **dict(values)}, Delivery)
    except msgspec.ValidationError as error:
        raise corrupt_row_error("hook's message", event_id, "a value is of another type") from error


def add_deliveries(cursor: sqlite3.Cursor, deliveries: Sequence[Delivery]) -> None:
    """Writes deliveries down in the transaction that is open."""
    if deliveries:
        cursor.executemany(_INSERT, [tuple(getattr(each, field) for field in _FIELDS) for each in deliveries])
