"""Reading of rows: those that another program has changed to something unreadable are logged and left out."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg
import structlog

from downloadd.errors import StorageError
from downloadd.records.corrupt_rows import MAX_LOGGED_ROWS
from downloadd.records.rows import Row

T = TypeVar("T")

log = structlog.get_logger()

_GROWTH: Final = 2


class RowReader:
    """Reader that leaves out the rows that cannot be decoded."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

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
        return self.decode(await connection.fetch(sql, *parameters), decode, fallback=fallback)

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
            page = self.decode(rows, decode)
            if len(page) >= limit or len(rows) < read:
                return page[:limit]
            read *= _GROWTH

    def decode(
        self,
        rows: Sequence[asyncpg.Record],
        decode: Callable[[Row], T],
        *,
        fallback: Callable[[Row], T] | None = None,
    ) -> list[T]:
        """Return the result of `decode` for each row; see `rows`."""
        decoded = []
        for row in rows:
            values = tuple(row)
            try:
                decoded.append(decode(values))
            except StorageError as error:
                self._log_once(error)
                if fallback is not None:
                    decoded.append(fallback(values))
        return decoded

    def _log_once(self, error: StorageError) -> None:
        # The detail names the row.
        if error.detail not in self._logged and len(self._logged) < MAX_LOGGED_ROWS:
            self._logged.add(error.detail)
            log.error("row_corrupt", detail=error.detail)
