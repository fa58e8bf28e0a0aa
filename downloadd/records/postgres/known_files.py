"""Records of the files that can be recognised, in PostgreSQL."""

from collections.abc import Sequence
from typing import Final

from downloadd.download import Download
from downloadd.records.known_files import MAX_KNOWN_FILES, NO_OTHER_FILE
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.download_queries import COLUMN_LIST
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.rows import decode

# The SQL is composed of the names in the table of columns only.
_BY_RESOURCE: Final = (
    f"SELECT {COLUMN_LIST} FROM downloads "  # noqa: S608
    f"WHERE resource = $1 AND ended_seq IS NOT NULL AND {NO_OTHER_FILE} ORDER BY ended_seq DESC LIMIT $2"
)


class PostgresKnownFiles:
    """`KnownFileRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def find(self, resource: str) -> Sequence[Download]:
        """See `KnownFileRecords.find`."""
        return await self._access.read(
            lambda connection: self._row_reader.page(connection, _BY_RESOURCE, (resource, MAX_KNOWN_FILES), decode)
        )
