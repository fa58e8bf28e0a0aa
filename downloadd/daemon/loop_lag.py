"""Lag of the event loop: it grows when something blocks the loop."""

import asyncio
from collections.abc import Callable
from typing import Final

from downloadd.clock import Clock

INTERVAL_SECONDS: Final = 0.5
"""Seconds between two measurements."""


async def measure_loop_lag(report: Callable[[float], None], clock: Clock) -> None:
    """Report the seconds that a timer fires late, until cancelled."""
    while True:
        due = clock.monotonic() + INTERVAL_SECONDS
        await asyncio.sleep(INTERVAL_SECONDS)
        report(max(0.0, clock.monotonic() - due))
