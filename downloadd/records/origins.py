"""Records of origins that are not healthy, so that a restart does not ask them before their time."""

import sqlite3
from typing import Final, Protocol

import msgspec

from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.rows import Row, decode_struct, to_bindable

MAX_ORIGINS: Final = 10_000
"""Origins that are loaded; those with the latest times are preferred."""


class OriginRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Health of an origin that is not healthy. The times are Unix times."""

    origin: str
    backoff_until: float
    """0 without a backoff."""
    is_open: bool
    """True while the circuit is open."""
    probe_at: float
    failures: int
    failing_since: float | None = None
    has_answered: bool
    error: str | None = None


_FIELDS: Final = OriginRecord.__struct_fields__
# The SQL is composed of the names in the struct only.
# ruff: noqa: S608
_LOAD: Final = f"SELECT {', '.join(_FIELDS)} FROM origins ORDER BY max(backoff_until, probe_at) DESC LIMIT ?"
_SAVE: Final = f"INSERT OR REPLACE INTO origins ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"
_REMOVE: Final = "DELETE FROM origins WHERE origin = ?"


class OriginRecords(Protocol):
    """Durable records of origins; each call that changes them returns after the change is durable."""

    async def load(self) -> list[OriginRecord]:
        """Return the recorded origins, at most `MAX_ORIGINS`; damaged rows are left out."""
        ...

    async def save(self, record: OriginRecord) -> None:
        """Write the record of an origin in place of the one before."""
        ...

    async def remove(self, origin: str) -> None:
        """Remove the record of an origin, if there is one."""
        ...


class SqliteOrigins:
    """`OriginRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def load(self) -> list[OriginRecord]:
        """See `OriginRecords.load`."""

        def read(connection: sqlite3.Connection) -> list[OriginRecord]:
            return self._row_reader.page(connection, _LOAD, (MAX_ORIGINS,), _decode)

        return await self._access.read(read)

    async def save(self, record: OriginRecord) -> None:
        """See `OriginRecords.save`."""
        values = to_bindable(msgspec.structs.astuple(record))

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(_SAVE, values)

        await self._access.write(write)

    async def remove(self, origin: str) -> None:
        """See `OriginRecords.remove`."""

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(_REMOVE, (origin,))

        await self._access.write(write)


def _decode(row: Row) -> OriginRecord:
    return decode_struct(row, OriginRecord, name=0, kind="origin", strict=False)
