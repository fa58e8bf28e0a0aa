"""Counts of many rows, which clients ask for every second."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from downloadd.clock import Clock

T = TypeVar("T")

MIN_CACHED_ROWS: Final = 50_000
"""Rows that are counted after each change; counting more of them takes several milliseconds."""
SECONDS_PER_ROW: Final = 3e-6
"""Seconds, for each row that was counted, in which the result is used again: so counting takes a tenth of the time."""


class CachedCount(Generic[T]):
    """A result of counting that is used again until it may have changed, and for a while if many rows were counted."""

    def __init__(
        self,
        clock: Clock,
        count: Callable[[], Awaitable[T]],
        rows_of: Callable[[T], int],
        read_revision: Callable[[], int],
    ) -> None:
        """Make a count that is not known yet.

        Args:
            clock: the clock.
            count: counts.
            rows_of: returns the number of rows of a result.
            read_revision: returns a number that grows when the result may have changed.
        """
        self._clock = clock
        self._count = count
        self._rows_of = rows_of
        self._read_revision = read_revision
        # The result, the revision before it was counted, and the time until which it is used in any case.
        self._known: tuple[T, int, float] | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> T:
        """Return the result, of now or of a moment ago."""
        known = self._recent()
        if known is not None:
            return known
        async with self._lock:
            # Another caller may have counted meanwhile.
            known = self._recent()
            return await self._measure() if known is None else known

    def _recent(self) -> T | None:
        if self._known is None:
            return None
        result, revision, until = self._known
        return result if revision == self._read_revision() or self._clock.monotonic() < until else None

    async def _measure(self) -> T:
        revision = self._read_revision()
        result = await self._count()
        rows = self._rows_of(result)
        seconds = rows * SECONDS_PER_ROW if rows >= MIN_CACHED_ROWS else 0.0
        self._known = result, revision, self._clock.monotonic() + seconds
        return result
