"""Rows that cannot be read: told apart from the others, said once each, and left alone.

A flipped bit inside a cell is no damage that SQLite could notice. It must cost its own row, and not the page, the
listing or the start that comes by it.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import structlog

from downloadd.errors import StorageError
from downloadd.records.rows import Row

T = TypeVar("T")

log = structlog.get_logger()

MAX_LOGGED_ROWS: Final = 1_000
"""Damaged rows that are said in the log: more of them are one disaster, and not news."""


class RowReader:
    """Reads rows, and leaves out those that cannot be read."""

    def __init__(self) -> None:
        """Nothing has been said yet."""
        self._logged: set[str] = set()

    def rows(
        self,
        connection: sqlite3.Connection,
        sql: str,
        parameters: Sequence[Any],
        decode: Callable[[Row], T],
        *,
        fallback: Callable[[Row], T] | None = None,
    ) -> list[T]:
        """What `decode` makes of each row, or `fallback` of one that cannot be read.

        `decode` raises `StorageError` for such a row, and takes text as bytes too.
        """
        try:
            return [decode(row) for row in connection.execute(sql, parameters)]
        except (StorageError, sqlite3.OperationalError) as error:
            _require_undecodable(error)
            with _raw(connection):
                return list(self._decode_readable(connection.execute(sql, parameters), decode, fallback))

    def page(
        self, connection: sqlite3.Connection, sql: str, parameters: Sequence[Any], decode: Callable[[Row], T]
    ) -> list[T]:
        """The same, of a query whose last parameter is its limit: in place of a damaged row comes the next one.

        So a page that is shorter than its limit is the last one, whatever is damaged.
        """
        try:
            return [decode(row) for row in connection.execute(sql, parameters)]
        except (StorageError, sqlite3.OperationalError) as error:
            _require_undecodable(error)
            *others, limit = parameters
            found: list[T] = []
            with _raw(connection):
                for decoded in self._decode_readable(connection.execute(sql, (*others, -1)), decode, None):
                    found.append(decoded)
                    if len(found) == limit:
                        break
            return found

    def _decode_readable(
        self, rows: sqlite3.Cursor, decode: Callable[[Row], T], fallback: Callable[[Row], T] | None
    ) -> Iterator[T]:
        for row in rows:
            try:
                yield decode(row)
            except StorageError as error:
                self._log_once(error)
                if fallback is not None:
                    yield fallback(row)

    def _log_once(self, error: StorageError) -> None:
        # The sentence names the row.
        if error.detail not in self._logged and len(self._logged) < MAX_LOGGED_ROWS:
            self._logged.add(error.detail)
            log.error("row_corrupt", detail=error.detail)


def read_one(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[Any], decode: Callable[[Row], T]
) -> T | None:
    """What `decode` makes of the one row, None where there is none.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        row = connection.execute(sql, parameters).fetchone()
    except sqlite3.OperationalError as error:
        _require_undecodable(error)
        with _raw(connection):
            row = connection.execute(sql, parameters).fetchone()
    return None if row is None else decode(row)


def is_undecodable(error: sqlite3.Error) -> bool:
    """Whether a text was no UTF-8; the message of such an error holds the text, which may be a secret."""
    # Only errors that SQLite itself reports have a code.
    return isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode")


def _require_undecodable(error: StorageError | sqlite3.OperationalError) -> None:
    if isinstance(error, sqlite3.Error) and not is_undecodable(error):
        raise error


@contextmanager
def _raw(connection: sqlite3.Connection) -> Iterator[None]:
    """Text comes as bytes, so that one that is no UTF-8 does not end the walk over the rows."""
    connection.text_factory = bytes
    try:
        yield
    finally:
        connection.text_factory = str
