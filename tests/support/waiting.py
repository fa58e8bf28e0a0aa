"""Waiting for a condition, in the event loop and in a thread."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

CONDITION_TIMEOUT: Final = 40.0
"""Seconds until a condition must hold; long, for machines with other load."""


async def wait_until(condition: Any, seconds: float = CONDITION_TIMEOUT, every: float = 0.02) -> Any:
    """Return what `condition` returns once it is true; it may be a coroutine function.

    Raises:
        AssertionError: it was not true within `seconds`.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        if loop.time() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        await asyncio.sleep(every)


def wait_until_true(condition: Callable[[], Any], seconds: float = CONDITION_TIMEOUT, every: float = 0.02) -> Any:
    """Return what `condition` returns once it is true; block the thread until then.

    Raises:
        AssertionError: it was not true within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        time.sleep(every)
    return result
