"""Delivery of a message about one finished download to one hook, as the records keep it.

Pure: no I/O and no clock.
"""

import msgspec


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Message to a hook that is not delivered yet."""

    number: int = 0
    """Number that the records assign; 0 before."""
    event_id: str
    """Id of the end of the download; the same for every hook and attempt, so that receivers can drop duplicates."""
    hook: str
    """Name of the hook in the configuration."""
    download_id: str
    body: bytes
    """JSON message, as it is signed and sent."""
    created: float
    """Unix time at which the download finished."""
    tries: int = 0
    """Failed attempts."""
    due: float
    """Unix time of the next attempt."""
    taken_until: float | None = None
    """End of the lease under which an attempt is made, by the clock of the store; None if none is."""
