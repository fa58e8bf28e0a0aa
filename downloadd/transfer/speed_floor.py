"""Least speed of an attempt: one that receives too little for too long ends, so that another one may be faster."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from downloadd.clock import Clock
from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.transfer.own_delays import OwnDelays
from downloadd.transfer.speed_window import SpeedWindow


class SpeedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Times of the measurement of a least speed."""

    window_seconds: float = 60.0
    """Seconds that the speed is averaged over."""
    check_seconds: float = 1.0
    """Seconds between two measurements."""


class SpeedFloor:
    """Least speed of one attempt, over all its connections."""

    def __init__(
        self, min_speed: int, *, received: Callable[[], int], delays: OwnDelays, clock: Clock, policy: SpeedPolicy
    ) -> None:
        """Make the least speed.

        Args:
            min_speed: bytes a second; 0 for none.
            received: returns the bytes that were received so far.
            delays: the delays that are not counted, because the origin does not cause them.
            clock: the time.
            policy: the times of the measurement.
        """
        self._min_speed = min_speed
        self._received = received
        self._delays = delays
        self._clock = clock
        self._policy = policy

    @asynccontextmanager
    async def enforced(self) -> AsyncIterator[None]:
        """Cancel the block when it receives too little.

        Raises:
            NetworkError: it did.
        """
        if not self._min_speed:
            yield
            return
        limit = asyncio.timeout(None)
        try:
            async with limit:
                watch = asyncio.get_running_loop().create_task(self._watch(limit))
                try:
                    yield
                finally:
                    watch.cancel()
        except TimeoutError:
            if not limit.expired():
                raise
            raise NetworkError(
                f"the origin sent less than {self._min_speed} bytes a second for {self._policy.window_seconds:g} s",
                kind=NetworkErrorKind.SLOW,
            ) from None

    async def _watch(self, limit: asyncio.Timeout) -> None:
        window = SpeedWindow(self._policy.window_seconds)
        while True:
            speed = window.add(self._received(), now=self._clock.monotonic() - self._delays.seconds)
            if speed is not None and speed < self._min_speed:
                limit.reschedule(asyncio.get_running_loop().time())
                return
            await asyncio.sleep(self._policy.check_seconds)
