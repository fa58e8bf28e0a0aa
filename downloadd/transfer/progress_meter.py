"""How much has come, how fast, and how long it will take.

Pure: no I/O and no clock; monotonic time is handed in.
"""

from collections import deque
from typing import Final

SPEED_WINDOW_SECONDS: Final = 5.0
"""Seconds that the speed is averaged over."""

SAMPLE_SECONDS: Final = 0.25
"""Seconds between two samples, so that a piece costs an addition and a comparison."""


class ProgressMeter:
    """The progress and the speed of one attempt.

    Attributes:
        received: bytes so far, those of earlier attempts included.
        total: the complete length in bytes; None while it is unknown.
    """

    __slots__ = ("_sampled_at", "_samples", "_started_at", "received", "total")

    def __init__(self) -> None:
        self.received = 0
        self.total: int | None = None
        self._samples: deque[tuple[float, int]] = deque()
        self._sampled_at = float("-inf")
        self._started_at: float | None = None

    def reset(self, received: int) -> None:
        """Sets the count anew and forgets the speed and the total: the transfer starts, or starts over."""
        self.received = received
        self.total = None
        self._samples.clear()
        self._sampled_at = float("-inf")
        self._started_at = None

    def add(self, nbytes: int, *, now: float) -> None:
        """Counts a piece that has just come."""
        if now - self._sampled_at >= SAMPLE_SECONDS:
            self._add_sample(nbytes, now)
        self.received += nbytes

    def speed(self, now: float) -> float | None:
        """Bytes a second over the last `SPEED_WINDOW_SECONDS`, or since the start; None until there is enough to tell.

        The first piece starts the watch and is not counted: nobody knows how long it took.
        """
        if self._started_at is None or now - self._started_at < SAMPLE_SECONDS:
            return None
        since = now - SPEED_WINDOW_SECONDS
        baseline = next((before for time, before in self._samples if time > since), self.received)
        return (self.received - baseline) / min(SPEED_WINDOW_SECONDS, now - self._started_at)

    def eta(self, speed: float | None) -> float | None:
        """Seconds until the last byte at `speed` (bytes a second); None when the total is unknown or nothing comes."""
        if self.total is None:
            return None
        missing = self.total - self.received
        if missing <= 0:
            return 0.0
        return missing / speed if speed else None

    def _add_sample(self, nbytes: int, now: float) -> None:
        # A sample holds the count before its piece: in a pause nothing comes, so that is the count of the whole pause.
        before = self.received
        if self._started_at is None:
            self._started_at = now
            before += nbytes
        samples = self._samples
        while samples and samples[0][0] <= now - SPEED_WINDOW_SECONDS:
            samples.popleft()
        samples.append((now, before))
        self._sampled_at = now
