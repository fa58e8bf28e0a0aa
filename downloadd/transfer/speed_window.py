"""Average speed of a transfer over its last seconds.

Pure: no I/O and no clock.
"""

from collections import deque


class SpeedWindow:
    """Counts of received bytes over the last seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, received: int, *, now: float) -> float | None:
        """Add a count and return the bytes a second over the last seconds; None while it covers fewer.

        Args:
            received: bytes so far.
            now: seconds of a clock that may stand still.
        """
        samples = self._samples
        if samples and samples[-1][0] >= now:
            return None
        samples.append((now, received))
        while len(samples) > 1 and samples[1][0] <= now - self._seconds:
            samples.popleft()
        since, before = samples[0]
        return (received - before) / (now - since) if now - since >= self._seconds else None
