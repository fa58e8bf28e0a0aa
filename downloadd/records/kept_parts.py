"""Records of what is kept of ended downloads for a retry: part files, and the secrets of requests."""

import sqlite3
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from downloadd.download import Download
from downloadd.metrics import KeptUsage
from downloadd.records.access import DatabaseAccess
from downloadd.records.columns import COLUMNS, PART_DIRECTORY, names
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.rows import Row, decode, decode_struct

PAGE_ROWS: Final = 500
"""Rows of one page."""


class KeptPart(msgspec.Struct, frozen=True, kw_only=True):
    """The part file of an ended download."""

    id: str
    """Id of the download."""
    ended_seq: int
    end_time: int
    """Unix time."""
    directory: str
    """That of the part file."""
    part_name: str
    received: int
    """Bytes in it."""


# The SQL is composed of the names in the table of columns and in the struct only.
# ruff: noqa: S608
_KEPT: Final = "FROM downloads INDEXED BY downloads_kept WHERE ended_seq IS NOT NULL AND part_name IS NOT NULL"
_FIELDS: Final = ", ".join(PART_DIRECTORY if name == "directory" else name for name in KeptPart.__struct_fields__)
_PARTS: Final = f"SELECT {_FIELDS} {_KEPT} AND ended_seq > ? ORDER BY ended_seq LIMIT ?"
_USAGE: Final = f"SELECT count(*), coalesce(sum(received), 0) {_KEPT}"
_WITH_SECRETS: Final = (
    f"SELECT {names(COLUMNS)} FROM downloads INDEXED BY downloads_ended_secrets "
    "WHERE ended_seq IS NOT NULL AND (secret_url IS NOT NULL OR mirrors IS NOT NULL OR request_fields IS NOT NULL) "
    "AND (end_time, ended_seq) > (?, ?) AND end_time <= ? ORDER BY end_time, ended_seq LIMIT ?"
)


class KeptPartRecords(Protocol):
    """Queries for what is kept of ended downloads."""

    async def page(self, *, after_ended_seq: int = 0) -> Sequence[KeptPart]:
        """Return up to `PAGE_ROWS` part files, oldest end first; a shorter page is the last."""
        ...

    async def usage(self) -> KeptUsage:
        """Return the number and size of all part files."""
        ...

    async def with_secrets(self, *, after: tuple[int, int], until: int) -> Sequence[Download]:
        """Return up to `PAGE_ROWS` ended downloads whose request may have secrets; a shorter page is the last.

        They are in the order of end time and `ended_seq`. Downloads with mirrors that have no secrets are among them.

        Args:
            after: end time (Unix time) and `ended_seq`; only later downloads are returned.
            until: the latest end time (Unix time).
        """
        ...


class SqliteKeptParts:
    """`KeptPartRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def page(self, *, after_ended_seq: int = 0) -> Sequence[KeptPart]:
        """See `KeptPartRecords.page`."""

        def read(connection: sqlite3.Connection) -> list[KeptPart]:
            return self._row_reader.page(connection, _PARTS, (after_ended_seq, PAGE_ROWS), _decode_part)

        return await self._access.read(read)

    async def usage(self) -> KeptUsage:
        """See `KeptPartRecords.usage`."""

        def read(connection: sqlite3.Connection) -> KeptUsage:
            count, size = connection.execute(_USAGE).fetchone()
            return KeptUsage(parts=count, size=int(size))

        return await self._access.read(read)

    async def with_secrets(self, *, after: tuple[int, int], until: int) -> Sequence[Download]:
        """See `KeptPartRecords.with_secrets`."""

        def read(connection: sqlite3.Connection) -> list[Download]:
            return self._row_reader.page(connection, _WITH_SECRETS, (*after, until, PAGE_ROWS), decode)

        return await self._access.read(read)


def _decode_part(row: Row) -> KeptPart:
    return decode_struct(row, KeptPart, name=0, kind="download")
