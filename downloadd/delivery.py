"""A delivery: what a hook is to be told about one end of a download, until it has been.

Pure: no I/O and no clock.
"""

import msgspec


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one hook, as it is written down."""

    number: int = 0
    """Handed out by the records; 0 before."""
    event_id: str
    """Names the end of the download: the same for every hook and every try, so that receivers can drop doubles."""
    hook: str
    """The hook's name in the configuration."""
    download_id: str
    body: bytes
    """The message, as it is signed and sent: JSON."""
    created: float
    """Unix time."""
    tries: int = 0
    """Those that failed."""
    due: float
    """Unix time of the next try."""
