"""Lookup of downloads by their gids."""

import sqlite3
from typing import Final, Protocol

import msgspec

from downloadd.download import Download
from downloadd.gid import GID_DIGITS, GidFamily, family_of_prefix, is_gid, is_made, make_gid, seq_of_gid
from downloadd.records.access import DatabaseAccess
from downloadd.records.download_queries import DownloadQueries, last_used_seq
from downloadd.records.results import MAX_RESULTS, SHOWN

# The SQL is composed of constants of this package only.
# ruff: noqa: S608
_VISIBLE: Final = f"(ended_seq IS NULL OR ({SHOWN}))"
_CHOSEN: Final = f"SELECT seq FROM downloads INDEXED BY downloads_gid WHERE gid = ? AND {_VISIBLE}"
_MADE: Final = f"SELECT seq FROM downloads WHERE seq = ? AND gid IS NULL AND {_VISIBLE}"
_IS_TAKEN: Final = "SELECT EXISTS (SELECT 1 FROM downloads INDEXED BY downloads_gid WHERE gid = ?)"
_ACTIVE_MADE: Final = (
    "SELECT seq FROM downloads INDEXED BY downloads_active WHERE ended_seq IS NULL AND seq % ? = ? AND gid IS NULL "
    "LIMIT 2"
)
_ACTIVE_AMONG: Final = (
    "SELECT seq FROM downloads WHERE seq IN (SELECT value FROM json_each(?)) AND ended_seq IS NULL AND gid IS NULL "
    "LIMIT 2"
)
_ACTIVE_CHOSEN: Final = (
    "SELECT seq FROM downloads INDEXED BY downloads_gid "
    "WHERE gid IS NOT NULL AND gid >= ? AND gid < ? AND ended_seq IS NULL LIMIT 2"
)
_RESULTS: Final = (
    f"SELECT seq, gid FROM downloads INDEXED BY downloads_results WHERE {SHOWN} ORDER BY ended_seq DESC LIMIT ?"
)
_MAX_CANDIDATES: Final = 1_000
"""Numbers of one prefix that are looked up one by one; of a shorter prefix, two are found soon in the index."""
_AFTER_ALL_DIGITS: Final = "g"


class GidRecords(Protocol):
    """Queries by gid."""

    async def find(self, gid: str) -> list[Download]:
        """Return the download of a gid, or up to two whose gids begin with a prefix; [] if there is none.

        Cleared results are left out. A prefix is searched among the active downloads and the list of results.

        Raises:
            ValueError: it is neither a gid nor the prefix of one.
        """
        ...

    async def is_taken(self, gid: str) -> bool:
        """Return True if a request has chosen this gid, or if it is one of those that are made from a `seq`."""
        ...


class SqliteGids:
    """`GidRecords` in the database of the records."""

    def __init__(self, access: DatabaseAccess, queries: DownloadQueries) -> None:
        self._access = access
        self._queries = queries

    async def find(self, gid: str) -> list[Download]:
        """See `GidRecords.find`."""
        family = family_of_prefix(gid)

        def read(connection: sqlite3.Connection) -> list[Download]:
            is_whole = len(gid) == GID_DIGITS
            seqs = _find_gid(connection, gid) if is_whole else _find_prefix(connection, gid, family)
            return self._queries.by_seqs(connection, sorted(seqs)[:2])

        return await self._access.read(read)

    async def is_taken(self, gid: str) -> bool:
        """See `GidRecords.is_taken`."""
        if is_made(gid):
            return True
        return await self._access.read(lambda connection: bool(connection.execute(_IS_TAKEN, (gid,)).fetchone()[0]))


def _find_gid(connection: sqlite3.Connection, gid: str) -> set[int]:
    rows = connection.execute(_CHOSEN, (gid,)).fetchall()
    if not rows and is_gid(gid) and is_made(gid):
        rows = connection.execute(_MADE, (seq_of_gid(gid),)).fetchall()
    return {seq for (seq,) in rows}


def _find_prefix(connection: sqlite3.Connection, prefix: str, family: GidFamily) -> set[int]:
    numbers = range(family.residue, last_used_seq(connection) + 1, family.modulus)
    if len(numbers) <= _MAX_CANDIDATES:
        rows = connection.execute(_ACTIVE_AMONG, (msgspec.json.encode(list(numbers)).decode(),)).fetchall()
    else:
        rows = connection.execute(_ACTIVE_MADE, (family.modulus, family.residue)).fetchall()
    rows += connection.execute(_ACTIVE_CHOSEN, (prefix, prefix + _AFTER_ALL_DIGITS)).fetchall()
    results = connection.execute(_RESULTS, (MAX_RESULTS,))
    return {seq for (seq,) in rows} | {seq for seq, gid in results if (gid or make_gid(seq)).startswith(prefix)}
