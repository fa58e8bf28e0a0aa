"""Progress, speed and remaining time of a transfer.

Pure: no I/O and no clock; monotonic time is a parameter.
"""

from collections import deque
from typing import Final

SPEED_WINDOW_SECONDS: Final = 5.0
"""Seconds that the speed is averaged over."""

SAMPLE_SECONDS: Final = 0.25
"""Seconds between two samples, so that most pieces cost one addition and one comparison."""


class ProgressMeter:
    """Progress and speed of one attempt.

    Attributes:
        received: bytes so far, including those of earlier attempts.
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
        """Set the count and reset speed and total, when the transfer starts or starts over."""
        self.received = received
        self.total = None
        self._samples.clear()
        self._sampled_at = float("-inf")
        self._started_at = None

    def add(self, nbytes: int, *, now: float) -> None:
        """Count a received piece."""
        if now - self._sampled_at >= SAMPLE_SECONDS:
            self._add_sample(nbytes, now)
        self.received += nbytes

    def speed(self, now: float) -> float | None:
        """Return bytes a second over the last `SPEED_WINDOW_SECONDS`, or since the start; None while it is unknown.

        The first piece starts the measurement and is not counted, because its duration is unknown.
        """
        if self._started_at is None or now - self._started_at < SAMPLE_SECONDS:
            return None
        since = now - SPEED_WINDOW_SECONDS
        baseline = next((before for time, before in self._samples if time > since), self.received)
        return (self.received - baseline) / min(SPEED_WINDOW_SECONDS, now - self._started_at)

    def eta(self, speed: float | None) -> float | None:
        """Return the seconds until the last byte at `speed` (bytes a second); None if the total or speed is unknown."""
        if self.total is None:
            return None
        missing = self.total - self.received
        if missing <= 0:
            return 0.0
        return missing / speed if speed else None

    def _add_sample(self, nbytes: int, now: float) -> None:
        # A sample has the count before its piece, which was also the count during a pause before it.
        before = self.received
        if self._started_at is None:
            self._started_at = now
            before += nbytes
        samples = self._samples
        while samples and samples[0][0] <= now - SPEED_WINDOW_SECONDS:
            samples.popleft()
        samples.append((now, before))
        self._sampled_at = now
