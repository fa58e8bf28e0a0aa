"""Speed limits: bytes are paid for before they are read, and whoever has had least goes first."""

import asyncio
from heapq import heappop, heappush
from itertools import count
from typing import Final

MIN_READ_BYTES: Final = 1024
MAX_READ_BYTES: Final = 256 * 1024
READS_PER_SECOND: Final = 20
"""Reads a second under a limit: few enough to be cheap, many enough to be smooth."""
BURST_SECONDS: Final = 0.1
"""How much of the rate may be saved up: an idle phase is not made up for by a long burst."""


class Account:
    """What one download has had of a limit; all its connections share it.

    Attributes:
        finish_tag: bytes, as the limit counts: whoever comes late, or wants less, does not save up.
    """

    __slots__ = ("finish_tag",)

    def __init__(self) -> None:
        self.finish_tag = 0.0


class _Waiter:
    """Somebody waits."""

    __slots__ = ("future", "nbytes", "number", "start_tag")

    def __init__(self, start_tag: float, number: int, nbytes: int, future: "asyncio.Future[None]") -> None:
        self.start_tag = start_tag
        self.number = number
        self.nbytes = nbytes
        self.future = future

    def __lt__(self, other: "_Waiter") -> bool:
        return (self.start_tag, self.number) < (other.start_tag, other.number)


class TokenBucket:
    """Bytes a second, handed out fairly; may be changed while it is in use.

    A token bucket (what is handed out) with start-time fair queueing (to whom): P. Goyal, H. M. Vin and H. Cheng,
    "Start-time Fair Queueing", SIGCOMM 1996. Belongs to the running event loop.
    """

    def __init__(self, rate: int) -> None:
        """`rate` in bytes a second; 0 for no limit."""
        self._rate = rate
        self._tokens = 0.0
        self._refilled_at: float | None = None
        # What whoever was served last had had before: newcomers begin about there.
        self._virtual_time = 0.0
        self._waiters: list[_Waiter] = []
        self._sequence = count()
        self._timer: asyncio.Handle | None = None

    @property
    def rate(self) -> int:
        """Bytes a second; 0 for no limit."""
        return self._rate

    @rate.setter
    def rate(self, rate: int) -> None:
        self._rate = rate
        self._tokens = 0.0
        self._refilled_at = None
        self._grant_next()

    async def acquire(self, nbytes: int, account: Account) -> None:
        """Waits until so many bytes are paid for."""
        if not self._rate:
            return
        # Whoever reads little at once is always away for a moment, and loses nothing by it.
        start_tag = max(account.finish_tag, self._virtual_time - self._rate * BURST_SECONDS)
        account.finish_tag = start_tag + nbytes
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiters, _Waiter(start_tag, next(self._sequence), nbytes, future))
        self._grant_next()
        try:
            await future
        except asyncio.CancelledError:
            if future.cancelled():
                # Whoever comes back has its place in the line again.
                account.finish_tag -= nbytes
            else:
                # It was paid for at the same moment.
                self.release(nbytes, account)
            raise

    def release(self, nbytes: int, account: Account) -> None:
        """So many bytes that were paid for did not come."""
        if nbytes and self._rate:
            account.finish_tag -= nbytes
            # More than may be saved up was paid for before the limit was set.
            self._tokens = min(self._tokens + nbytes, self._rate * BURST_SECONDS)
            self._grant_next()

    def _grant_next(self) -> None:
        """Lets those go on, one after the other, whose bytes are paid for, and comes back when there is more."""
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
            # Whoever was let go on may be back at once, and still have had least.
            debt = max(0.0, -self._tokens) if self._rate else 0.0
            self._timer = (
                loop.call_later(debt / self._rate, self._grant_next) if debt else loop.call_soon(self._grant_next)
            )


class DownloadLimiter:
    """The two limits that hold one download back: its own, and the one over all downloads."""

    def __init__(self, own: TokenBucket, shared: TokenBucket) -> None:
        self._own = own
        self._shared = shared
        self._own_account = Account()
        self._shared_account = Account()
        self._waiting = 0

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits for bytes to be granted at this moment."""
        return self._waiting > 0

    def set_rate(self, rate: int) -> None:
        """Changes the download's own limit, in bytes a second; 0 for none."""
        if rate != self._own.rate:
            self._own.rate = rate

    async def acquire(self, max_bytes: int) -> int:
        """Waits until bytes may be read, and says how many of those wanted; they count as read."""
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
        """So many bytes that were granted did not come."""
        self._own.release(nbytes, self._own_account)
        self._shared.release(nbytes, self._shared_account)

    def _max_read(self) -> int:
        """Bytes to read at once at most."""
        rates = [rate for rate in (self._own.rate, self._shared.rate) if rate]
        if not rates:
            return 1 << 62
        return min(max(min(rates) // READS_PER_SECOND, MIN_READ_BYTES), MAX_READ_BYTES)
