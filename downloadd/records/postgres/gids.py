"""Lookup of downloads by their gids, in PostgreSQL."""

from typing import Final

import asyncpg

from downloadd.download import Download
from downloadd.gid import GID_DIGITS, GidFamily, family_of_prefix, is_gid, is_made, make_gid, seq_of_gid
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.download_queries import DownloadQueries, last_used_seq
from downloadd.records.postgres.results import SHOWN
from downloadd.records.results import MAX_RESULTS

# The SQL is composed of constants of this package only.
# ruff: noqa: S608
_VISIBLE: Final = f"(ended_seq IS NULL OR ({SHOWN}))"
_CHOSEN: Final = f"SELECT seq FROM downloads WHERE gid = $1 AND {_VISIBLE}"
_MADE: Final = f"SELECT seq FROM downloads WHERE seq = $1 AND gid IS NULL AND {_VISIBLE}"
_IS_TAKEN: Final = "SELECT EXISTS (SELECT 1 FROM downloads WHERE gid = $1)"
_ACTIVE_MADE: Final = (
    "SELECT seq FROM downloads WHERE ended_seq IS NULL AND seq % $1::bigint = $2::bigint AND gid IS NULL LIMIT 2"
)
_ACTIVE_AMONG: Final = (
    "SELECT seq FROM downloads WHERE seq = ANY($1::bigint[]) AND ended_seq IS NULL AND gid IS NULL LIMIT 2"
)
_ACTIVE_CHOSEN: Final = (
    "SELECT seq FROM downloads WHERE gid IS NOT NULL AND gid >= $1 AND gid < $2 AND ended_seq IS NULL LIMIT 2"
)
_RESULTS: Final = f"SELECT seq, gid FROM downloads WHERE {SHOWN} ORDER BY ended_seq DESC LIMIT $1"
_MAX_CANDIDATES: Final = 1_000
"""Numbers of one prefix that are looked up one by one; of a shorter prefix, two are found soon."""
_AFTER_ALL_DIGITS: Final = "g"
_MAX_SEQ: Final = 2**63 - 1


class PostgresGids:
    """`GidRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess, queries: DownloadQueries) -> None:
        self._access = access
        self._queries = queries

    async def find(self, gid: str) -> list[Download]:
        """See `GidRecords.find`."""
        family = family_of_prefix(gid)

        async def read(connection: asyncpg.Connection) -> list[Download]:
            is_whole = len(gid) == GID_DIGITS
            seqs = await (_find_gid(connection, gid) if is_whole else _find_prefix(connection, gid, family))
            return await self._queries.by_seqs(connection, sorted(seqs)[:2])

        return await self._access.read(read)

    async def is_taken(self, gid: str) -> bool:
        """See `GidRecords.is_taken`."""
        if is_made(gid):
            return True
        return bool(await self._access.read(lambda connection: connection.fetchval(_IS_TAKEN, gid)))


async def _find_gid(connection: asyncpg.Connection, gid: str) -> set[int]:
    rows = await connection.fetch(_CHOSEN, gid)
    if not rows and is_gid(gid) and is_made(gid) and seq_of_gid(gid) <= _MAX_SEQ:
        rows = await connection.fetch(_MADE, seq_of_gid(gid))
    return {seq for (seq,) in rows}


async def _find_prefix(connection: asyncpg.Connection, prefix: str, family: GidFamily) -> set[int]:
    numbers = range(family.residue, await last_used_seq(connection) + 1, family.modulus)
    if len(numbers) <= _MAX_CANDIDATES:
        rows = await connection.fetch(_ACTIVE_AMONG, list(numbers))
    else:
        rows = await connection.fetch(_ACTIVE_MADE, family.modulus, family.residue)
    rows += await connection.fetch(_ACTIVE_CHOSEN, prefix, prefix + _AFTER_ALL_DIGITS)
    results = await connection.fetch(_RESULTS, MAX_RESULTS)
    return {seq for (seq,) in rows} | {seq for seq, gid in results if (gid or make_gid(seq)).startswith(prefix)}
