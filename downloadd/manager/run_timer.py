"""The time of a download's timeout that its runs have spent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from downloadd.clock import Clock


class RunTimer:
    """Measures the time of one run against the download's timeout; time spent on writing rows is not counted."""

    def __init__(self, clock: Clock, *, timeout: float, spent_before: float) -> None:
        """Start the timer.

        Args:
            clock: the clock.
            timeout: seconds that all runs of the download may take; 0 for no limit.
            spent_before: seconds that earlier runs took.
        """
        self._clock = clock
        self._timeout = timeout
        self._spent_before = spent_before
        self._started = clock.monotonic()
        self._limit: asyncio.Timeout | None = None
        self._time_left: float | None = None
        self._pauses = 0
        self._paused_since = 0.0
        self._seconds_paused = 0.0

    @property
    def spent(self) -> float:
        """Return the seconds of the timeout that are spent."""
        return self._spent_before + self._clock.monotonic() - self._started - self._seconds_paused

    @property
    def time_left(self) -> float | None:
        """Return the seconds that are left, perhaps less than 0; None without a timeout."""
        return self._timeout - self.spent if self._timeout else None

    @property
    def is_paused(self) -> bool:
        """Return True inside of a `paused` block."""
        return self._pauses > 0

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """Limit the block to the time that was left when the run started.

        Raises:
            TimeoutError: the time is spent.
        """
        left = max(0.0, self._timeout - self._spent_before) if self._timeout else None
        try:
            async with asyncio.timeout(left) as self._limit:
                yield
        finally:
            self._limit = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the timer inside of the block; blocks may overlap."""
        if not self._pauses:
            self._pause()
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._continue()

    def _pause(self) -> None:
        self._paused_since = self._clock.monotonic()
        limit = self._limit
        if limit is not None and not limit.expired() and (end := limit.when()) is not None:
            self._time_left = end - asyncio.get_running_loop().time()
            limit.reschedule(None)

    def _continue(self) -> None:
        self._seconds_paused += self._clock.monotonic() - self._paused_since
        left, self._time_left = self._time_left, None
        if self._limit is not None and left is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + left)
