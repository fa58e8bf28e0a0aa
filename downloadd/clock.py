"""Wall and monotonic time, passed in so that a test can set it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Source of time."""

    def wall(self) -> float:
        """Return the Unix time in seconds, for values that are stored or shown."""
        ...

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary moment, never decreasing, for durations."""
        ...


class SystemClock:
    """The clock of the machine."""

    def wall(self) -> float:
        """Return the Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary moment, never decreasing."""
        return time.monotonic()
