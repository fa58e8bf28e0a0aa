"""Reading of rows: those that another program has changed to something unreadable are logged and left out."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg

from downloadd.records.row_decoding import RowDecoder
from downloadd.records.rows import Row

T = TypeVar("T")

_GROWTH: Final = 2


class RowReader(RowDecoder):
    """Reader that leaves out the rows that cannot be decoded."""

    async def rows(
        self,
        connection: asyncpg.Connection,
        sql: str,
        parameters: Sequence[Any],
        decode: Callable[[Row], T],
        *,
        fallback: Callable[[Row], T] | None = None,
    ) -> list[T]:
        """Return the result of `decode` for each row of a query, and of `fallback` for each damaged row.

        Args:
            connection: the connection to read with.
            sql: the query.
            parameters: of the query.
            decode: raises `StorageError` for a damaged row.
            fallback: None to leave damaged rows out.
        """
        return list(self.decode(map(tuple, await connection.fetch(sql, *parameters)), decode, fallback))

    async def page(
        self, connection: asyncpg.Connection, sql: str, parameters: Sequence[Any], decode: Callable[[Row], T]
    ) -> list[T]:
        """Return the rows of a query whose last parameter is its limit; the next row takes a damaged row's place.

        A page that is shorter than its limit is therefore the last one.
        """
        *others, limit = parameters
        read = limit
        while True:
            rows = await connection.fetch(sql, *others, read)
            page = list(self.decode(map(tuple, rows), decode))
            if len(page) >= limit or len(rows) < read:
                return page[:limit]
            read *= _GROWTH
