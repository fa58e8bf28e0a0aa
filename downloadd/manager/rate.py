"""Speed limits: how long to wait after so many bytes. The caller sleeps."""

from typing import Final

from downloadd.clock import Clock

SMALLEST_PORTION: Final = 1024
LARGEST_PORTION: Final = 256 * 1024
PORTIONS_A_SECOND: Final = 20
"""Reads a second under a limit: few enough to be cheap, many enough to be smooth."""


class RateLimit:
    """A token bucket of bytes that may be changed while it is in use.

    Bytes are taken after they were received; the debt says how long to wait before more are read. A bucket holds at
    most `BURST` seconds' worth, so an idle phase is not made up for by a long burst.
    """

    BURST = 0.1
    """Seconds of saved-up rate."""

    def __init__(self, rate: int) -> None:
        """`rate` in bytes a second; 0 for no limit."""
        self._rate = rate
        self._balance = 0.0
        self._at: float | None = None

    @property
    def rate(self) -> int:
        """Bytes a second; 0 for no limit."""
        return self._rate

    @rate.setter
    def rate(self, rate: int) -> None:
        self._rate = rate
        self._balance = 0.0
        self._at = None

    def take(self, nbytes: int, *, now: float) -> float:
        """Takes `nbytes` and returns the seconds to wait until they are paid for; `now` is monotonic time."""
        if self._rate == 0:
            return 0.0
        if self._at is not None:
            earned = (now - self._at) * self._rate
            self._balance = min(self._balance + earned, self._rate * self.BURST)
        self._at = now
        self._balance -= nbytes
        return max(0.0, -self._balance / self._rate)


class DownloadPace:
    """The two limits that hold one download back: its own, and the one over all downloads."""

    def __init__(self, own: RateLimit, shared: RateLimit, clock: Clock) -> None:
        self._own = own
        self._shared = shared
        self._clock = clock

    def limit(self, rate: int) -> None:
        """Changes the download's own limit, in bytes a second; 0 for none."""
        if rate != self._own.rate:
            self._own.rate = rate

    def portion(self) -> int:
        """Bytes to read at once at most; -1 when there is no limit."""
        own, shared = self._own.rate, self._shared.rate
        if not own and not shared:
            return -1
        rate = min(own or shared, shared or own)
        return min(max(rate // PORTIONS_A_SECOND, SMALLEST_PORTION), LARGEST_PORTION)

    def take(self, nbytes: int) -> float:
        """Takes `nbytes` from both limits and returns the seconds to wait before the next read."""
        if not self._own.rate and not self._shared.rate:
            return 0.0
        now = self._clock.monotonic()
        return max(self._own.take(nbytes, now=now), self._shared.take(nbytes, now=now))
