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

# Inodes are used again, and files that are published at different times may have one modification time: the origin's.
NO_OTHER_FILE: Final = (
    "NOT EXISTS (SELECT 1 FROM downloads AS later WHERE later.file_identity IS NOT NULL "
    "AND later.file_identity = downloads.file_identity AND later.seq <> downloads.seq "
    "AND (later.ended_seq IS NULL OR later.ended_seq > downloads.ended_seq))"
)
"""SQL condition that no later download has published a file with the same identity.

The ctime in the identity tells most files apart; two that are published within one tick of the clock can have the same.
"""

# The SQL is composed of the names in the table of columns only.
_BY_RESOURCE: Final = (
    f"SELECT {names(COLUMNS)} FROM downloads INDEXED BY downloads_resource "  # noqa: S608
    f"WHERE resource IS NOT NULL AND resource = ? AND ended_seq IS NOT NULL AND {NO_OTHER_FILE} "
    "ORDER BY ended_seq DESC LIMIT ?"
)


class KnownFileRecords(Protocol):
    """Query for the files of a resource."""

    async def find(self, resource: str) -> Sequence[Download]:
        """Return up to `MAX_KNOWN_FILES` completed downloads of a resource, newest end first.

        Those whose file has the identity of a later one, of any resource, are left out: that one may be on the disk.
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
