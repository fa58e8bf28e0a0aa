"""Wall and monotonic time, handed in, so that a test can move the hands."""

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time."""

    def wall(self) -> float:
        """Unix time in seconds: for what is written down or shown."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment, never going back: for durations."""
        ...


class SystemClock:
    """The clock of the machine."""

    def wall(self) -> float:
        """Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment, never going back."""
        return time.monotonic()
