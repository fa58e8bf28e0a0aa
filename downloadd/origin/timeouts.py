"""Time limits of the requests to origins: the configured ones, or those of a download.

Pure: no I/O and no clock.
"""

from typing import Self

import msgspec
from msgspec import UNSET

from downloadd.attempt_options import NO_OPTIONS, AttemptOptions
from downloadd.config import HostConfig


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits of one request, in seconds; None for no limit.

    They are none of the connection's properties: a request may use a connection that another one has made.
    """

    connect: float | None
    """For connecting, with proxy and TLS."""
    stall: float | None
    """Without progress of the request or the response."""

    @classmethod
    def select(cls, *, stall_timeout: float, host: HostConfig | None, options: AttemptOptions = NO_OPTIONS) -> Self:
        """Return the limits of a request.

        Args:
            stall_timeout: the configured seconds; 0 for no limit.
            host: the settings of its host; None if it has none.
            options: the options of its download, which come first.
        """
        stall = stall_timeout if options.stall_timeout is None else options.stall_timeout
        connect = stall if host is None or host.connect_timeout is UNSET else host.connect_timeout
        if options.connect_timeout is not None:
            connect = options.connect_timeout
        return cls(connect=connect or None, stall=stall or None)
