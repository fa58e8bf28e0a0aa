"""Pool of idle connections, which later requests to the same origin may use. Each call takes constant time."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Final

from downloadd.clock import Clock
from downloadd.origin.stream import Stream

MAX_IDLE_SECONDS: Final = 15.0
"""Seconds that an idle connection is kept; many servers close it after a little longer."""
MAX_IDLE_CONNECTIONS: Final = 256
"""Idle connections to all origins; the oldest one is closed when another comes."""


class ConnectionPool:
    """Idle connections by key: connections with equal keys are interchangeable."""

    def __init__(self, clock: Clock, *, may_use: Callable[[Stream], bool]) -> None:
        """Make an empty pool; `may_use` returns False for a connection that the policy does not allow any more."""
        self._clock = clock
        self._may_use = may_use
        self._by_key: dict[Hashable, dict[Stream, None]] = {}
        """Idle connections by key, the one that was used last at the end."""
        self._expiry: dict[Stream, tuple[float, Hashable]] = {}
        """Time of the monotonic clock and key of each idle connection, the one that expires first at the front."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return the number of idle connections."""
        return len(self._expiry)

    def acquire(self, key: Hashable) -> Stream | None:
        """Remove and return a connection that is still open and allowed; None if there is none.

        The one that was used last is the least likely to be closed by its origin.
        """
        while (idle := self._by_key.get(key)) is not None:
            stream = next(reversed(idle))
            self._remove(stream)
            # Bytes without a request would be taken for the response to the next one (RFC 9112, section 9.2).
            if self._may_use(stream) and stream.is_idle():
                return stream
            stream.close()
        return None

    def release(self, key: Hashable, stream: Stream) -> None:
        """Keep a connection for later requests."""
        self._by_key.setdefault(key, {})[stream] = None
        self._expiry[stream] = (self._clock.monotonic() + MAX_IDLE_SECONDS, key)
        if len(self._expiry) > MAX_IDLE_CONNECTIONS:
            self._close(next(iter(self._expiry)))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(MAX_IDLE_SECONDS, self._close_expired)

    def close(self) -> None:
        """Close all idle connections."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for stream in list(self._expiry):
            self._close(stream)

    def _close_expired(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        while self._expiry:
            stream, (until, _) = next(iter(self._expiry.items()))
            if until > now:
                self._timer = asyncio.get_running_loop().call_later(until - now, self._close_expired)
                return
            self._close(stream)

    def _close(self, stream: Stream) -> None:
        self._remove(stream)
        stream.close()

    def _remove(self, stream: Stream) -> None:
        _, key = self._expiry.pop(stream)
        idle = self._by_key[key]
        del idle[stream]
        if not idle:
            del self._by_key[key]
