"""Time in which the daemon, and not the origin, delays a transfer: by its speed limits, its records or its disk."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from downloadd.clock import Clock


class OwnDelays:
    """Clock of the delays of one transfer; delays of several connections at the same time count once."""

    def __init__(self, clock: Clock, *, is_needed: bool = True) -> None:
        """Make a clock; it stands still if it is not needed, because its blocks surround each read."""
        self._clock = clock
        self._is_needed = is_needed
        self._count = 0
        self._since = 0.0
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        """Return the seconds so far, those of a delay under way included."""
        return self._seconds + (self._clock.monotonic() - self._since if self._count else 0.0)

    def counted(self) -> AbstractContextManager[None]:
        """Return a context that counts the time of its block."""
        return self._counted() if self._is_needed else nullcontext()

    def counted_after(self, seconds: float) -> AbstractContextManager[None]:
        """Return a context that counts the time of its block after `seconds`, which it may take without a delay."""
        return self._counted_after(seconds) if self._is_needed else nullcontext()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._begin()
        try:
            yield
        finally:
            self._end()

    @contextmanager
    def _counted_after(self, seconds: float) -> Iterator[None]:
        has_begun = False

        def begin() -> None:
            nonlocal has_begun
            has_begun = True
            self._begin()

        timer = asyncio.get_running_loop().call_later(seconds, begin)
        try:
            yield
        finally:
            timer.cancel()
            if has_begun:
                self._end()

    def _begin(self) -> None:
        if not self._count:
            self._since = self._clock.monotonic()
        self._count += 1

    def _end(self) -> None:
        self._count -= 1
        if not self._count:
            self._seconds += self._clock.monotonic() - self._since
