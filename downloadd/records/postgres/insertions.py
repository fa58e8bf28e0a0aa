"""Insertion of downloads, many rows in a statement."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from downloadd.download import Download
from downloadd.records.columns import INITIAL_COLUMNS, WRITTEN_COLUMNS, Column
from downloadd.records.postgres.statements import FOLDED, arrays, fold, names, sql_type, transpose
from downloadd.records.rows import Row, encode, encode_initial
from downloadd.states import FINISHED

MAX_STATEMENT_ROWS: Final = 1000
"""Rows that one statement inserts."""


class _Insertion:
    """Statement that inserts rows of some columns and of the column for searches."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._types = ("bigint", *(sql_type(column) for column in columns), "text")
        # The SQL is composed of the names in the table of columns only.
        self._sql = (
            f"INSERT INTO downloads (seq, {names(columns)}, {FOLDED}) "  # noqa: S608
            f"SELECT * FROM {arrays(self._types)}"
        )

    async def insert(self, connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
        """Insert rows of `seq`, the columns and the text for searches."""
        await connection.execute(self._sql, *transpose(rows, self._types))


# Most new downloads have values in a third of the columns only.
_INITIAL: Final = _Insertion(INITIAL_COLUMNS)
_ALL: Final = _Insertion(WRITTEN_COLUMNS)
_NEXT_SEQS: Final = "SELECT nextval('downloads_seq_seq') FROM generate_series(1, $1)"


async def next_seqs(connection: asyncpg.Connection, count: int) -> list[int]:
    """Return the numbers of the next downloads, in order."""
    return [seq for (seq,) in await connection.fetch(_NEXT_SEQS, count)]


async def insert_downloads(connection: asyncpg.Connection, downloads: Sequence[Download], seqs: Sequence[int]) -> None:
    """Insert downloads with these `seq`; those that are finished get no `ended_seq`.

    Raises:
        asyncpg.UniqueViolationError: an id is known.
    """
    # To encode many rows at once would block the event loop.
    for start in range(0, len(downloads), MAX_STATEMENT_ROWS):
        end = start + MAX_STATEMENT_ROWS
        await _insert(connection, downloads[start:end], seqs[start:end])


async def _insert(connection: asyncpg.Connection, downloads: Sequence[Download], seqs: Sequence[int]) -> None:
    initial: list[Row] = []
    others: list[Row] = []
    for seq, download in zip(seqs, downloads, strict=True):
        is_ended = download.state in FINISHED
        values = None if is_ended else encode_initial(download)
        if values is None:
            others.append((seq, *encode(download, None), fold(download) if is_ended else None))
        else:
            initial.append((seq, *values, None))
    for insertion, rows in ((_INITIAL, initial), (_ALL, others)):
        if rows:
            await insertion.insert(connection, rows)
