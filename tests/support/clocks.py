"""Clocks that a test sets."""

import asyncio
import time
from typing import Final

NOW: Final = 1_700_000_000.0
"""Unix time that a manual clock starts at."""


class ManualClock:
    """Clock that stands still until a test changes `now`; wall and monotonic time are the same."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def wall(self) -> float:
        """Return the Unix time in seconds."""
        return self.now

    def monotonic(self) -> float:
        """Return the same seconds."""
        return self.now


class JumpingClock:
    """Clock of the machine whose wall time is off by `jump` seconds."""

    def __init__(self) -> None:
        self.jump = 0.0

    def wall(self) -> float:
        """Return the Unix time in seconds, with the jump."""
        return time.time() + self.jump

    def monotonic(self) -> float:
        """Return the monotonic time of the machine in seconds."""
        return time.monotonic()


class LoopClock:
    """Clock of the running event loop, which may be virtual."""

    def wall(self) -> float:
        """Return the time of the loop, after `NOW`."""
        return NOW + self.monotonic()

    def monotonic(self) -> float:
        """Return the time of the loop in seconds."""
        return asyncio.get_running_loop().time()
