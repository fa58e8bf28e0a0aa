"""Windows of lists of downloads: `offset` and `num` of tellWaiting and tellStopped.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

MAX_ROWS: Final = 10_240
"""Rows of one answer; the most that a known client asks for."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Section of a list."""

    start: int
    """Index of its first row, from the start of the list."""
    count: int
    is_backwards: bool = False
    """True if its last row comes first."""


def resolve_window(offset: int, num: int, total: int) -> Window:
    """Return the section of a list of `total` rows that `offset` and `num` stand for.

    An offset from 0 counts from the start. A negative one counts from the end, -1 being the last row, and the rows
    before it follow it. `total` has no effect on an offset from 0.
    """
    count = min(num, MAX_ROWS)
    if offset >= 0:
        return Window(start=offset, count=count)
    end = total + offset + 1
    if end <= 0:
        return Window(start=0, count=0)
    start = max(0, end - count)
    return Window(start=start, count=end - start, is_backwards=True)
