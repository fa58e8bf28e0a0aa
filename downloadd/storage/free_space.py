"""Refuse before the disk is full."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from downloadd.clock import Clock
from downloadd.errors import InsufficientStorageError
from downloadd.storage.root import Space

FRESH_SECONDS: Final = 0.5
"""How long a look at the disk is believed; many running downloads then share one."""


def missing_bytes(*, free: int, needed: int, min_free: int) -> int:
    """How many bytes of space are missing so that `min_free` stay free after `needed` more are written."""
    return max(0, needed + min_free - free)


class FreeSpace:
    """Watches the free space; cheap to ask often.

    Args:
        look: tells the room; a call to the operating system, in a thread.
        min_free: bytes to keep free.
        clock: for the age of the last look.
    """

    def __init__(self, look: Callable[[], Awaitable[Space]], *, min_free: int, clock: Clock) -> None:
        self._look = look
        self._min_free = min_free
        self._clock = clock
        self._looking = asyncio.Lock()
        self._space = Space(free=0, capacity=0)
        self._seen_at: float | None = None

    async def require(self, needed: int) -> None:
        """Checks that `needed` more bytes leave `min_free` bytes free.

        Raises:
            InsufficientStorageError: they do not.
        """
        space = await self._fresh()
        if missing_bytes(free=space.free, needed=needed, min_free=self._min_free):
            # Room may have been made since, by a download that failed, say: a refusal takes a look of its own.
            space = await self._look_now()
        if missing_bytes(free=space.free, needed=needed, min_free=self._min_free):
            raise InsufficientStorageError(
                f"{needed} bytes are needed, but {space.free} are free and {self._min_free} must stay free (min_free)",
                lasting=bool(missing_bytes(free=space.capacity, needed=needed, min_free=self._min_free)),
            )

    async def _fresh(self) -> Space:
        if not self._is_fresh():
            async with self._looking:
                # Whoever waited here may find that the look has just been taken.
                if not self._is_fresh():
                    await self._look_now()
        return self._space

    async def _look_now(self) -> Space:
        self._space = await self._look()
        self._seen_at = self._clock.monotonic()
        return self._space

    def _is_fresh(self) -> bool:
        return self._seen_at is not None and self._clock.monotonic() - self._seen_at < FRESH_SECONDS
