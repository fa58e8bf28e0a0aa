"""Number of the waiting downloads of all nodes, counted at most twice a second."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from downloadd.clock import Clock
from downloadd.states import WAITING, State

COUNT_SECONDS: Final = 0.5
"""Seconds for which a count is used, corrected by what this node has changed."""


class WaitingCount:
    """Number of waiting downloads; what other nodes change counts after less than a second."""

    def __init__(self, read_counts: Callable[[], Awaitable[Mapping[State, int]]], clock: Clock) -> None:
        """Take `read_counts`, which returns the number of downloads in each state."""
        self._read_counts = read_counts
        self._clock = clock
        self._number = 0
        self._counted_at: float | None = None

    def add(self, number: int) -> None:
        """Count downloads that wait on this node since now, or wait no more if it is negative."""
        self._number += number

    async def get(self) -> int:
        """Return the number."""
        now = self._clock.monotonic()
        if self._counted_at is None or now - self._counted_at >= COUNT_SECONDS:
            self._counted_at = now
            self._number = 0
            counts = await self._read_counts()
            self._number += sum(counts.get(state, 0) for state in WAITING)
        return max(0, self._number)
