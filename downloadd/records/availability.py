"""WaitingDownload for records that cannot be used at the moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from downloadd.errors import StoreUnavailableError

T = TypeVar("T")

FIRST_PAUSE: Final = 0.1
"""Seconds before the second try."""
LONGEST_PAUSE: Final = 2.0
"""Seconds; each pause is twice as long as the one before until then."""


async def once_available(ask: Callable[[], Awaitable[T]], *, refused: Callable[[], None] = lambda: None) -> T:
    """Return the result of `ask`, which is asked again for as long as the records are unavailable.

    For work that was accepted: trouble in the records may delay it, and may not fail it. An operation that was refused
    as unavailable has changed nothing, so that it can be asked again without harm.

    Args:
        ask: the operation.
        refused: called after each refusal; what it raises ends the waiting.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await ask()
        except StoreUnavailableError:
            refused()
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
