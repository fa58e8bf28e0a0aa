"""Speed limits: bytes are paid for before they are read, and whoever has had least goes first."""

import asyncio
from heapq import heappop, heappush
from itertools import count
from typing import Final

SMALLEST_PORTION: Final = 1024
LARGEST_PORTION: Final = 256 * 1024
PORTIONS_A_SECOND: Final = 20
"""Reads a second under a limit: few enough to be cheap, many enough to be smooth."""
BURST_SECONDS: Final = 0.1
"""How much of the rate may be saved up: an idle phase is not made up for by a long burst."""


class Account:
    """What one download has had of a limit; all its connections share it.

    Attributes:
        had: bytes, as the limit counts: whoever comes late, or wants less, does not save up.
    """

    __slots__ = ("had",)

    def __init__(self) -> None:
        self.had = 0.0


class _Turn:
    """Somebody waits."""

    __slots__ = ("granted", "nbytes", "number", "start")

    def __init__(self, start: float, number: int, nbytes: int, granted: "asyncio.Future[None]") -> None:
        self.start = start
        self.number = number
        self.nbytes = nbytes
        self.granted = granted

    def __lt__(self, other: "_Turn") -> bool:
        return (self.start, self.number) < (other.start, other.number)


class RateLimit:
    """Bytes a second, handed out fairly; may be changed while it is in use.

    A token bucket (what is handed out) with start-time fair queueing (to whom): P. Goyal, H. M. Vin and H. Cheng,
    "Start-time Fair Queueing", SIGCOMM 1996. Belongs to the running event loop.
    """

    def __init__(self, rate: int) -> None:
        """`rate` in bytes a second; 0 for no limit."""
        self._rate = rate
        self._balance = 0.0
        self._at: float | None = None
        # What whoever was served last had had before: newcomers begin about there.
        self._served = 0.0
        self._line: list[_Turn] = []
        self._numbers = count()
        self._timer: asyncio.Handle | None = None

    @property
    def rate(self) -> int:
        """Bytes a second; 0 for no limit."""
        return self._rate

    @rate.setter
    def rate(self, rate: int) -> None:
        self._rate = rate
        self._balance = 0.0
        self._at = None
        self._serve()

    async def take(self, nbytes: int, account: Account) -> None:
        """Waits until so many bytes are paid for."""
        if not self._rate:
            return
        # Whoever reads little at once is always away for a moment, and loses nothing by it.
        start = max(account.had, self._served - self._rate * BURST_SECONDS)
        account.had = start + nbytes
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._line, _Turn(start, next(self._numbers), nbytes, granted))
        self._serve()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                # Whoever comes back has its place in the line again.
                account.had -= nbytes
            else:
                # It was paid for at the same moment.
                self.give_back(nbytes, account)
            raise

    def give_back(self, nbytes: int, account: Account) -> None:
        """So many bytes that were paid for did not come."""
        if nbytes and self._rate:
            account.had -= nbytes
            # More than may be saved up was paid for before the limit was set.
            self._balance = min(self._balance + nbytes, self._rate * BURST_SECONDS)
            self._serve()

    def _serve(self) -> None:
        """Lets those go on, one after the other, whose bytes are paid for, and comes back when there is more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._line and self._at is None:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._at is not None:
            self._balance = min(self._balance + (now - self._at) * self._rate, self._rate * BURST_SECONDS)
        self._at = now
        while self._line and (self._balance >= 0 or not self._rate):
            turn = heappop(self._line)
            if not turn.granted.cancelled():
                self._served = turn.start
                self._balance -= turn.nbytes
                turn.granted.set_result(None)
                break
        if self._line:
            # Whoever was let go on may be back at once, and still have had least.
            owed = max(0.0, -self._balance) if self._rate else 0.0
            self._timer = loop.call_later(owed / self._rate, self._serve) if owed else loop.call_soon(self._serve)


class DownloadPace:
    """The two limits that hold one download back: its own, and the one over all downloads."""

    def __init__(self, own: RateLimit, shared: RateLimit) -> None:
        self._own = own
        self._shared = shared
        self._of_own = Account()
        self._of_shared = Account()
        self._waiting = 0

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for bytes to be granted at this moment."""
        return self._waiting > 0

    def limit(self, rate: int) -> None:
        """Changes the download's own limit, in bytes a second; 0 for none."""
        if rate != self._own.rate:
            self._own.rate = rate

    async def grant(self, wanted: int) -> int:
        """Waits until bytes may be read, and says how many of those wanted; they count as read."""
        portion = min(wanted, self._portion())
        self._waiting += 1
        try:
            await self._own.take(portion, self._of_own)
            try:
                await self._shared.take(portion, self._of_shared)
            except asyncio.CancelledError:
                self._own.give_back(portion, self._of_own)
                raise
        finally:
            self._waiting -= 1
        return portion

    def give_back(self, nbytes: int) -> None:
        """So many bytes that were granted did not come."""
        self._own.give_back(nbytes, self._of_own)
        self._shared.give_back(nbytes, self._of_shared)

    def _portion(self) -> int:
        """Bytes to read at once at most."""
        rates = [rate for rate in (self._own.rate, self._shared.rate) if rate]
        if not rates:
            return 1 << 62
        return min(max(min(rates) // PORTIONS_A_SECOND, SMALLEST_PORTION), LARGEST_PORTION)
