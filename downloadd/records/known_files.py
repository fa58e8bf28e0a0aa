"""Records of the files that completed downloads have published and that can be recognised."""

import sqlite3
from collections.abc import Sequence
from typing import Final, Protocol

from downloadd.download import Download
from downloadd.records.access import DatabaseAccess
from downloadd.records.columns import COLUMNS, names
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.rows import decode

MAX_KNOWN_FILES: Final = 16
"""Downloads of one resource that are returned; older ones are probably of other versions."""

# The SQL is composed of the names in the table of columns only.
_BY_RESOURCE: Final = (
    f"SELECT {names(COLUMNS)} FROM downloads INDEXED BY downloads_resource "  # noqa: S608
    "WHERE resource IS NOT NULL AND resource = ? AND ended_seq IS NOT NULL ORDER BY ended_seq DESC LIMIT ?"
)


class KnownFileRecords(Protocol):
    """Query for the files of a resource."""

    async def find(self, resource: str) -> Sequence[Download]:
        """Return up to `MAX_KNOWN_FILES` completed downloads of a resource, newest end first.

        `resource` is a `Result.resource`.
        """
        ...


class SqliteKnownFiles:
    """`KnownFileRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def find(self, resource: str) -> Sequence[Download]:
        """See `KnownFileRecords.find`."""

        def read(connection: sqlite3.Connection) -> list[Download]:
            return self._row_reader.page(connection, _BY_RESOURCE, (resource, MAX_KNOWN_FILES), decode)

        return await self._access.read(read)
