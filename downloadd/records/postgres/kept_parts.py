"""Records of what is kept of ended downloads for a retry, in PostgreSQL."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from downloadd.download import Download
from downloadd.metrics import KeptUsage
from downloadd.records.columns import PART_DIRECTORY
from downloadd.records.kept_parts import PAGE_ROWS, KeptPart
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.download_queries import COLUMN_LIST
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.rows import Row, decode, decode_struct

# The SQL is composed of the names in the table of columns and in the struct only.
# ruff: noqa: S608
_KEPT: Final = "FROM downloads WHERE ended_seq IS NOT NULL AND part_name IS NOT NULL"
_FIELDS: Final = ", ".join(PART_DIRECTORY if name == "directory" else name for name in KeptPart.__struct_fields__)
_PARTS: Final = f"SELECT {_FIELDS} {_KEPT} AND ended_seq > $1 ORDER BY ended_seq LIMIT $2"
_USAGE: Final = f"SELECT count(*), coalesce(sum(received), 0) {_KEPT}"
_WITH_SECRETS: Final = (
    f"SELECT {COLUMN_LIST} FROM downloads "
    "WHERE ended_seq IS NOT NULL AND (secret_url IS NOT NULL OR mirrors IS NOT NULL OR request_fields IS NOT NULL) "
    "AND (end_time, ended_seq) > ($1::bigint, $2::bigint) AND end_time <= $3 ORDER BY end_time, ended_seq LIMIT $4"
)


class PostgresKeptParts:
    """`KeptPartRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def page(self, *, after_ended_seq: int = 0) -> Sequence[KeptPart]:
        """See `KeptPartRecords.page`."""
        return await self._access.read(
            lambda connection: self._row_reader.page(connection, _PARTS, (after_ended_seq, PAGE_ROWS), _decode_part)
        )

    async def usage(self) -> KeptUsage:
        """See `KeptPartRecords.usage`."""

        async def read(connection: asyncpg.Connection) -> KeptUsage:
            count, size = await connection.fetchrow(_USAGE)
            return KeptUsage(parts=count, size=int(size))

        return await self._access.read(read)

    async def with_secrets(self, *, after: tuple[int, int], until: int) -> Sequence[Download]:
        """See `KeptPartRecords.with_secrets`."""
        return await self._access.read(
            lambda connection: self._row_reader.page(connection, _WITH_SECRETS, (*after, until, PAGE_ROWS), decode)
        )


def _decode_part(row: Row) -> KeptPart:
    return decode_struct(row, KeptPart, name=0, kind="download")
