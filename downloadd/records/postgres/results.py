"""Records of the list of results that aria2 clients show, in PostgreSQL."""

from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from downloadd.download import Download
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.download_queries import DownloadQueries
from downloadd.records.results import MAX_RESULTS

# The SQL is composed of constants of this module only.
# ruff: noqa: S608
SHOWN: Final = (
    "ended_seq IS NOT NULL AND cleared = 0 "
    "AND ended_seq > (SELECT coalesce(max(c.ended_seq), 0) FROM cleared_results AS c)"
)
"""Condition of the ended downloads that no user has cleared."""
_NEWEST: Final = f"SELECT seq FROM downloads WHERE {SHOWN} ORDER BY ended_seq DESC LIMIT $1"
_DELETE: Final = "DELETE FROM cleared_results"
# Ends that another transaction has numbered, but not committed, are not among them.
_CLEAR_ALL: Final = "INSERT INTO cleared_results SELECT ended_seq FROM counter"


class PostgresResults:
    """`ResultRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess, queries: DownloadQueries, read_revision: Callable[[], int]) -> None:
        self._access = access
        self._read_revision = read_revision
        self._queries = queries

    async def revision(self) -> int:
        """See `ResultRecords.revision`."""
        return self._read_revision()

    async def page(self, offset: int, limit: int) -> list[Download]:
        """See `ResultRecords.page`."""
        if offset < 0 or limit <= 0:
            return []

        async def read(connection: asyncpg.Connection) -> list[Download]:
            seqs = (await _newest(connection))[::-1][offset : offset + limit]
            rows = {row.seq: row for row in await self._queries.by_seqs(connection, seqs)}
            return [rows[seq] for seq in seqs if seq in rows]

        return await self._access.read(read)

    async def count(self) -> int:
        """See `ResultRecords.count`."""
        return len(await self._access.read(_newest))

    async def clear_all(self) -> None:
        """See `ResultRecords.clear_all`."""

        async def write(connection: asyncpg.Connection) -> None:
            await connection.execute(_DELETE)
            await connection.execute(_CLEAR_ALL)

        await self._access.write(write)


async def _newest(connection: asyncpg.Connection) -> Sequence[int]:
    """Return the `seq` of the downloads in the list, newest end first."""
    return [seq for (seq,) in await connection.fetch(_NEWEST, MAX_RESULTS)]
