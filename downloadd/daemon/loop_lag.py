"""How late the event loop is: the one figure that tells whether something blocks it."""

import asyncio
from collections.abc import Callable
from typing import Final

from downloadd.clock import Clock

INTERVAL_SECONDS: Final = 0.5
"""Seconds between two measurements."""


async def measure_loop_lag(report: Callable[[float], None], clock: Clock) -> None:
    """Reports, until cancelled, by how many seconds a timer ran later than it was due."""
    while True:
        due = clock.monotonic() + INTERVAL_SECONDS
        await asyncio.sleep(INTERVAL_SECONDS)
        report(max(0.0, clock.monotonic() - due))
