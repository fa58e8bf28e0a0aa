"""A move of a download in the waiting list, as a user states it.

Pure: no I/O and no clock.
"""

from enum import StrEnum
from typing import Final

import msgspec


class QueueOrigin(StrEnum):
    """The position that the offset of a move counts from."""

    START = "start"
    """The first download of the waiting list."""
    CURRENT = "current"
    """The download itself."""
    END = "end"
    """The last download of the waiting list."""


class QueueMove(msgspec.Struct, frozen=True, kw_only=True):
    """A move to another index of the waiting list: queued and paused downloads in the order of starting."""

    offset: int
    """Downloads after `origin`, before it if negative; beyond the ends of the list is its end."""
    origin: QueueOrigin = QueueOrigin.START


TO_TOP: Final = QueueMove(offset=0)
UP: Final = QueueMove(offset=-1, origin=QueueOrigin.CURRENT)
DOWN: Final = QueueMove(offset=1, origin=QueueOrigin.CURRENT)
TO_BOTTOM: Final = QueueMove(offset=0, origin=QueueOrigin.END)
