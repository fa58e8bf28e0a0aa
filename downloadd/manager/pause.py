"""Pause of work that is in no hurry, for the sake of work that is."""

import asyncio
from typing import Final

MAX_PAUSE_SECONDS: Final = 0.5
"""Seconds of the longest pause."""


async def pause_after(busy: float) -> None:
    """Sleep as long as the work has kept the records busy (seconds), so that it takes half of their time at most."""
    await asyncio.sleep(min(max(busy, 0.0), MAX_PAUSE_SECONDS))
