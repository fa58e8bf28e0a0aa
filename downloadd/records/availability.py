"""Retries of operations that the records refuse because they are unavailable."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from downloadd.errors import StoreUnavailableError

T = TypeVar("T")

MIN_PAUSE_SECONDS: Final = 0.1
"""Seconds before the second try."""
MAX_PAUSE_SECONDS: Final = 2.0
"""Upper limit in seconds of the pauses, each of which is twice as long as the one before."""


async def once_available(operation: Callable[[], Awaitable[T]], *, refused: Callable[[], None] = lambda: None) -> T:
    """Return the result of `operation`, which is repeated while the records are unavailable.

    For work that was accepted: unavailable records delay it and do not fail it. An operation that raised
    `StoreUnavailableError` has changed nothing, so that repeating it is safe.

    Args:
        operation: the operation on the records.
        refused: called after each refusal; an exception that it raises ends the retries.
    """
    pause = MIN_PAUSE_SECONDS
    while True:
        try:
            return await operation()
        except StoreUnavailableError:
            refused()
        await asyncio.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE_SECONDS)
