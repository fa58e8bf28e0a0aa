"""Records of the list of results that aria2 clients show: the newest ended downloads that no user has cleared."""

import sqlite3
from collections.abc import Sequence
from typing import Final, Protocol

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.records.access import DatabaseAccess
from downloadd.records.cached_count import CachedCount
from downloadd.records.download_queries import DownloadQueries, last_used_ended_seq
from downloadd.records.known_rows import KnownRows
from downloadd.records.revisions import Revisions

MAX_RESULTS: Final = 1_000
"""Ended downloads that the list shows; aria2 keeps as many."""

# The SQL is composed of constants of this module only.
# ruff: noqa: S608
_CLEARED_UNTIL: Final = "(SELECT coalesce(max(ended_seq), 0) FROM cleared_results)"
SHOWN: Final = f"ended_seq IS NOT NULL AND cleared = 0 AND ended_seq > {_CLEARED_UNTIL}"
"""Condition of the ended downloads that no user has cleared."""
_NEWEST: Final = f"SELECT seq FROM downloads INDEXED BY downloads_results WHERE {SHOWN} ORDER BY ended_seq DESC LIMIT ?"
_CLEAR_ALL: Final = "UPDATE cleared_results SET ended_seq = max(ended_seq, ?)"


class ResultRecords(Protocol):
    """Queries and changes of the list of results. Every change is durable on return."""

    async def page(self, offset: int, limit: int) -> list[Download]:
        """Return a part of the list, oldest end first."""
        ...

    async def count(self) -> int:
        """Return the length of the list, at most `MAX_RESULTS`."""
        ...

    async def revision(self) -> int:
        """Return a number that grows with each durable change of an ended download, and of what is cleared.

        A page that is read afterwards is of this revision or a newer one.
        """
        ...

    async def clear_all(self) -> None:
        """Clear all downloads that have ended so far."""
        ...


class SqliteResults:
    """`ResultRecords` in the database of the records."""

    def __init__(
        self,
        access: DatabaseAccess,
        queries: DownloadQueries,
        revisions: Revisions,
        known_rows: KnownRows,
        clock: Clock,
    ) -> None:
        self._access = access
        self._queries = queries
        self._revisions = revisions
        self._known_rows = known_rows
        self._count = CachedCount(
            clock,
            lambda: access.read(lambda connection: len(_newest(connection))),
            int,
            lambda: revisions.results,
        )

    async def page(self, offset: int, limit: int) -> list[Download]:
        """See `ResultRecords.page`."""
        if offset < 0 or limit <= 0:
            return []

        def find(connection: sqlite3.Connection) -> Sequence[int]:
            return _newest(connection)[::-1][offset : offset + limit]

        page = await self._known_rows.page(self._access, find)
        if page is not None:
            return page
        # A damaged row is left out.
        return await self._access.read(lambda connection: self._queries.in_order(connection, find(connection)))

    async def revision(self) -> int:
        """See `ResultRecords.revision`."""
        return self._revisions.results

    async def count(self) -> int:
        """See `ResultRecords.count`."""
        return await self._count.get()

    async def clear_all(self) -> None:
        """See `ResultRecords.clear_all`."""

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(_CLEAR_ALL, (last_used_ended_seq(cursor.connection),))

        await self._access.write(write)


def _newest(connection: sqlite3.Connection) -> Sequence[int]:
    """Return the `seq` of the downloads in the list, newest end first."""
    return [seq for (seq,) in connection.execute(_NEWEST, (MAX_RESULTS,))]
