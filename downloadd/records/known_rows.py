"""Decoded rows of the lists that clients poll, which are used again until they change."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from downloadd.download import Download
from downloadd.records.access import DatabaseAccess
from downloadd.records.download_queries import DownloadQueries

MAX_KNOWN_BYTES: Final = 4 * 1024 * 1024
"""Encoded bytes of the rows that are kept: about 5,000 rows with short URLs, which take some times as much memory."""

SizedRow = tuple[Download, int]
"""A row, and its encoded bytes."""


class KnownRows:
    """Rows by their `seq`, the ones that were not read for longest first. For the event loop."""

    def __init__(self, queries: DownloadQueries) -> None:
        self._queries = queries
        self._rows: dict[int, SizedRow] = {}
        self._bytes = 0
        # Rows that have changed since each read under way began.
        self._changed_since: dict[object, set[int]] = {}

    async def page(
        self, access: DatabaseAccess, find: Callable[[sqlite3.Connection], Sequence[int]]
    ) -> list[Download] | None:
        """Return the rows whose `seq` `find` returns, in its order, as one transaction sees them; decode new ones only.

        Return None if a row is damaged or missing.
        """
        read = object()
        changed = self._changed_since.setdefault(read, set())
        known = self._rows.copy()
        try:
            seqs, new = await access.read(lambda connection: self._read(connection, find, known))
        finally:
            del self._changed_since[read]
        rows = known | new
        self._keep({seq: rows[seq] for seq in seqs if seq in rows and seq not in changed})
        page = [rows[seq][0] for seq in seqs if seq in rows]
        return page if len(page) == len(seqs) else None

    def forget(self, seqs: frozenset[int]) -> None:
        """Forget rows that have changed, also those that a read under way returns."""
        for changed in self._changed_since.values():
            changed |= seqs
        for seq in seqs & self._rows.keys():
            self._bytes -= self._rows.pop(seq)[1]

    def _read(
        self,
        connection: sqlite3.Connection,
        find: Callable[[sqlite3.Connection], Sequence[int]],
        known: Mapping[int, SizedRow],
    ) -> tuple[Sequence[int], dict[int, SizedRow]]:
        connection.execute("BEGIN")
        try:
            seqs = find(connection)
            missing = [seq for seq in seqs if seq not in known]
            rows = self._queries.by_seqs(connection, missing) if missing else []
        finally:
            connection.execute("COMMIT")
        return seqs, {row.seq: (row, _measure(row)) for row in rows}

    def _keep(self, rows: Mapping[int, SizedRow]) -> None:
        """Keep the first rows that fit; they leave after those that were kept before."""
        nbytes = 0
        for seq, (row, size) in rows.items():
            if nbytes + size > MAX_KNOWN_BYTES:
                continue
            nbytes += size
            self._bytes += size - self._rows.pop(seq, (row, 0))[1]
            self._rows[seq] = row, size
        while self._bytes > MAX_KNOWN_BYTES:
            self._bytes -= self._rows.pop(next(iter(self._rows)))[1]


def _measure(row: Download) -> int:
    try:
        return len(msgspec.msgpack.encode(row))
    except UnicodeEncodeError:
        # Bytes that are not UTF-8 are in few rows: these are read anew each time.
        return MAX_KNOWN_BYTES + 1
