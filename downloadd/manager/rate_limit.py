"""Speed limits: bytes are acquired before they are read, and granted first to the download that received least."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from heapq import heappop, heappush
from itertools import count
from typing import Final

from downloadd.transfer.receiver import RateLimiter

MIN_READ_BYTES: Final = 1024
"""Bytes of one read under a limit at least."""
MAX_READ_BYTES: Final = 256 * 1024
"""Bytes of one read under a limit at most."""
READS_PER_SECOND: Final = 20
"""Reads a second under a limit: few enough for the processor, many enough for a smooth rate."""
BURST_SECONDS: Final = 0.1
"""Seconds of the rate that may accumulate while nothing is read."""


class Account:
    """Bytes that one download has acquired from a limit; all its connections share it.

    Attributes:
        finish_tag: virtual time, in bytes, at which the last acquired bytes are used up. A download that starts late
            or reads less does not accumulate a claim.
    """

    __slots__ = ("finish_tag",)

    def __init__(self) -> None:
        self.finish_tag = 0.0


class _Waiter:
    """A caller that waits for bytes."""

    __slots__ = ("future", "nbytes", "number", "start_tag")

    def __init__(self, start_tag: float, number: int, nbytes: int, future: "asyncio.Future[None]") -> None:
        self.start_tag = start_tag
        self.number = number
        self.nbytes = nbytes
        self.future = future

    def __lt__(self, other: "_Waiter") -> bool:
        return (self.start_tag, self.number) < (other.start_tag, other.number)


class TokenBucket:
    """Limit in bytes a second, shared fairly by its users; may be changed while it is in use.

    A token bucket decides when bytes are granted, start-time fair queueing to whom: P. Goyal, H. M. Vin and H. Cheng,
    "Start-time Fair Queueing", SIGCOMM 1996. Belongs to the running event loop.
    """

    def __init__(self, rate: int) -> None:
        """`rate` in bytes a second; 0 for no limit."""
        self._rate = rate
        self._tokens = 0.0
        self._refilled_at: float | None = None
        # The start tag of the caller that was served last: new callers start about there.
        self._virtual_time = 0.0
        self._waiters: list[_Waiter] = []
        self._sequence = count()
        self._timer: asyncio.Handle | None = None

    @property
    def rate(self) -> int:
        """Return the limit in bytes a second; 0 for no limit."""
        return self._rate

    @rate.setter
    def rate(self, rate: int) -> None:
        self._rate = rate
        self._tokens = 0.0
        self._refilled_at = None
        self._grant_next()

    async def acquire(self, nbytes: int, account: Account) -> None:
        """Wait until `nbytes` are granted."""
        if not self._rate:
            return
        # A caller that reads little at once returns often; it does not lose its place in between.
        start_tag = max(account.finish_tag, self._virtual_time - self._rate * BURST_SECONDS)
        account.finish_tag = start_tag + nbytes
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiters, _Waiter(start_tag, next(self._sequence), nbytes, future))
        self._grant_next()
        try:
            await future
        except asyncio.CancelledError:
            if future.cancelled():
                # It has its place again when it returns.
                account.finish_tag -= nbytes
            else:
                # The bytes were granted at the same moment.
                self.release(nbytes, account)
            raise

    def release(self, nbytes: int, account: Account) -> None:
        """Return bytes that were granted and not received."""
        if nbytes and self._rate:
            account.finish_tag -= nbytes
            # Bytes acquired before the limit was changed may exceed the burst.
            self._tokens = min(self._tokens + nbytes, self._rate * BURST_SECONDS)
            self._grant_next()

    def _grant_next(self) -> None:
        """Wake the next caller if there are tokens, and schedule the next call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiters and self._refilled_at is None:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._refilled_at is not None:
            self._tokens = min(self._tokens + (now - self._refilled_at) * self._rate, self._rate * BURST_SECONDS)
        self._refilled_at = now
        while self._waiters and (self._tokens >= 0 or not self._rate):
            waiter = heappop(self._waiters)
            if not waiter.future.cancelled():
                self._virtual_time = waiter.start_tag
                self._tokens -= waiter.nbytes
                waiter.future.set_result(None)
                break
        if self._waiters:
            # The caller that was woken may return at once, and be the next one again.
            debt = max(0.0, -self._tokens) if self._rate else 0.0
            self._timer = (
                loop.call_later(debt / self._rate, self._grant_next) if debt else loop.call_soon(self._grant_next)
            )


class DownloadLimiter:
    """The two limits of one download: its own, and the one over all downloads."""

    def __init__(self, own: TokenBucket, shared: TokenBucket) -> None:
        self._own = own
        self._shared = shared
        self._own_account = Account()
        self._shared_account = Account()
        self._waiting = 0

    @property
    def is_waiting(self) -> bool:
        """Return True while a caller waits for bytes."""
        return self._waiting > 0

    def set_rate(self, rate: int) -> None:
        """Change the own limit of the download, in bytes a second; 0 for no limit."""
        if rate != self._own.rate:
            self._own.rate = rate

    async def acquire(self, max_bytes: int) -> int:
        """Wait until bytes may be read; return their number, at most `max_bytes`. They count as read."""
        size = min(max_bytes, self._max_read())
        self._waiting += 1
        try:
            await self._own.acquire(size, self._own_account)
            try:
                await self._shared.acquire(size, self._shared_account)
            except asyncio.CancelledError:
                self._own.release(size, self._own_account)
                raise
        finally:
            self._waiting -= 1
        return size

    def release(self, nbytes: int) -> None:
        """Return bytes that were granted and not received."""
        self._own.release(nbytes, self._own_account)
        self._shared.release(nbytes, self._shared_account)

    def _max_read(self) -> int:
        """Return the bytes that may be read at once."""
        rates = [rate for rate in (self._own.rate, self._shared.rate) if rate]
        if not rates:
            return 1 << 62
        return min(max(min(rates) // READS_PER_SECOND, MIN_READ_BYTES), MAX_READ_BYTES)


class UntimedLimiter:
    """Limiter whose waits do not count for the timeout of a download: a limit of the daemon never times one out."""

    def __init__(self, limiter: RateLimiter, pause: Callable[[], AbstractContextManager[None]]) -> None:
        """`pause` stops the time inside of its context."""
        self._limiter = limiter
        self._pause = pause

    async def acquire(self, max_bytes: int) -> int:
        """Wait until bytes may be read; see `RateLimiter.acquire`."""
        with self._pause():
            return await self._limiter.acquire(max_bytes)

    def release(self, nbytes: int) -> None:
        """Return acquired bytes that were not read."""
        self._limiter.release(nbytes)
