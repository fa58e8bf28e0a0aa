"""Lease of a node: it is held until the last good heartbeat is too old, by the monotonic clock of the node.

The store counts a node as gone once its last heartbeat is older than the lease. The node itself loses the lease
earlier, counted from the time at which it sent the heartbeat: it can end its work before another node takes it over.

Pure: no I/O and no clock.
"""

from typing import Final

HELD_SHARE: Final = 0.8
"""Part of the lease for which a heartbeat lets the node work."""
MAX_INTERVAL_SECONDS: Final = 0.75
"""Seconds between two heartbeats, at most."""
_HEARTBEATS_PER_LEASE: Final = 3


class Lease:
    """The lease of a node. It is not held before the first good heartbeat."""

    def __init__(self, seconds: float) -> None:
        """Make a lease that is not held yet; `seconds` after a heartbeat, others count the node as gone."""
        self.seconds = seconds
        self._sent_at: float | None = None

    @property
    def interval(self) -> float:
        """Return the seconds between two heartbeats."""
        return min(MAX_INTERVAL_SECONDS, self.seconds / _HEARTBEATS_PER_LEASE)

    def renew(self, sent_at: float) -> None:
        """Record a good heartbeat, with the time at which it was sent."""
        if self._sent_at is None or sent_at > self._sent_at:
            self._sent_at = sent_at

    def remaining(self, now: float) -> float:
        """Return the seconds for which the lease is held without another heartbeat; 0 if it is not held."""
        if self._sent_at is None:
            return 0.0
        return max(0.0, self._sent_at + HELD_SHARE * self.seconds - now)

    def is_held(self, now: float) -> bool:
        """Return True if the node may work."""
        return self.remaining(now) > 0

    def silence(self, now: float) -> float:
        """Return the seconds since the last good heartbeat was sent; 0 before the first one."""
        return 0.0 if self._sent_at is None else now - self._sent_at
