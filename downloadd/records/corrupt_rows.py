"""Reading of tables that hold damaged rows: each damaged row is logged once, left out and not changed.

SQLite does not notice a flipped bit within a value. Such a row must not fail the page, the listing or the start that
reads it.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from downloadd.errors import StorageError
from downloadd.records.row_decoding import RowDecoder
from downloadd.records.rows import Row
from downloadd.records.sqlite_errors import is_undecodable

T = TypeVar("T")


class RowReader(RowDecoder):
    """Reader that leaves out the rows that cannot be decoded."""

    def rows(
        self,
        connection: sqlite3.Connection,
        sql: str,
        parameters: Sequence[Any],
        decode: Callable[[Row], T],
        *,
        fallback: Callable[[Row], T] | None = None,
    ) -> list[T]:
        """Return the result of `decode` for each row, and of `fallback` for each damaged row.

        Args:
            connection: the connection to read with.
            sql: the query.
            parameters: of the query.
            decode: raises `StorageError` for a damaged row; it takes text as bytes too.
            fallback: None to leave damaged rows out.
        """
        try:
            return [decode(row) for row in connection.execute(sql, parameters)]
        except (StorageError, sqlite3.OperationalError) as error:
            _require_damage(error)
            with _text_as_bytes(connection):
                return list(self.decode(connection.execute(sql, parameters), decode, fallback))

    def page(
        self, connection: sqlite3.Connection, sql: str, parameters: Sequence[Any], decode: Callable[[Row], T]
    ) -> list[T]:
        """Return the rows of a query whose last parameter is its limit; the next row takes a damaged row's place.

        A page that is shorter than its limit is therefore the last one.
        """
        try:
            return [decode(row) for row in connection.execute(sql, parameters)]
        except (StorageError, sqlite3.OperationalError) as error:
            _require_damage(error)
            *others, limit = parameters
            page: list[T] = []
            with _text_as_bytes(connection):
                for decoded in self.decode(connection.execute(sql, (*others, -1)), decode):
                    page.append(decoded)
                    if len(page) == limit:
                        break
            return page


def read_one(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[Any], decode: Callable[[Row], T]
) -> T | None:
    """Return the result of `decode` for the only row; None if there is no row.

    Raises:
        StorageError: the row is damaged.
    """
    try:
        row = connection.execute(sql, parameters).fetchone()
    except sqlite3.OperationalError as error:
        _require_damage(error)
        with _text_as_bytes(connection):
            row = connection.execute(sql, parameters).fetchone()
    return None if row is None else decode(row)


def _require_damage(error: StorageError | sqlite3.OperationalError) -> None:
    """Raise `error` if it is not about the values of a row."""
    if isinstance(error, sqlite3.Error) and not is_undecodable(error):
        raise error


@contextmanager
def _text_as_bytes(connection: sqlite3.Connection) -> Iterator[None]:
    """Return text as bytes, so that one text that is not UTF-8 does not end the iteration over the rows."""
    connection.text_factory = bytes
    try:
        yield
    finally:
        connection.text_factory = str
