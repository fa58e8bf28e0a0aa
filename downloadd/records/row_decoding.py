"""Decoding of rows, of which some may be damaged: each damaged row is logged once, left out and not changed."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import structlog

from downloadd.errors import StorageError
from downloadd.records.rows import Row

T = TypeVar("T")

log = structlog.get_logger()

MAX_LOGGED_ROWS: Final = 1_000
"""Number of damaged rows that are logged."""


class RowDecoder:
    """Decoder that leaves out the rows that cannot be decoded."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def decode(
        self, rows: Iterable[Row], decode: Callable[[Row], T], fallback: Callable[[Row], T] | None = None
    ) -> Iterator[T]:
        """Yield the result of `decode` for each row, and of `fallback` for each damaged row.

        Args:
            rows: the rows.
            decode: raises `StorageError` for a damaged row.
            fallback: None to leave damaged rows out.
        """
        for row in rows:
            try:
                yield decode(row)
            except StorageError as error:
                self._log_once(error)
                if fallback is not None:
                    yield fallback(row)

    def _log_once(self, error: StorageError) -> None:
        # The detail names the row.
        if error.detail not in self._logged and len(self._logged) < MAX_LOGGED_ROWS:
            self._logged.add(error.detail)
            log.error("row_corrupt", detail=error.detail)
