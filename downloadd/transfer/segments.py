"""Which connection fetches which bytes.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Sequence
from typing import Final

LEAST: Final = 1 << 20
"""Bytes of a segment that is worth a connection of its own."""


class Segment:
    """The bytes that one connection fetches.

    Attributes:
        start: the first of them.
        position: the next byte to be written to the part file.
        reach: the next byte to be taken from the connection; what lies between the two is on its way.
        end: the first byte that is not wanted any more, half-open; None when only the end of the content tells.
    """

    __slots__ = ("end", "position", "reach", "start")

    def __init__(self, start: int, end: int | None = None) -> None:
        self.start = start
        self.position = start
        self.reach = start
        self.end = end

    @property
    def wanted(self) -> int | None:
        """Bytes that are still to be taken; None when only the end of the content tells."""
        return None if self.end is None else max(0, self.end - self.reach)


def divide(gaps: Sequence[tuple[int, int]], count: int) -> list[Segment]:
    """Segments that fill the gaps: at least one for each of them, and up to `count` in all where that is worth it."""
    segments = [Segment(start, end) for start, end in gaps]
    while len(segments) < count:
        half = split(segments)
        if half is None:
            break
        segments.append(half)
    return sorted(segments, key=lambda segment: segment.start)


def split(segments: Iterable[Segment]) -> Segment | None:
    """Takes the second half off the segment that wants most; None when no half is worth a connection of its own."""
    victim = max(segments, key=lambda segment: segment.wanted or 0, default=None)
    if victim is None or victim.end is None or victim.end - victim.reach < 2 * LEAST:
        return None
    middle = victim.reach + (victim.end - victim.reach) // 2
    taken = Segment(middle, victim.end)
    victim.end = middle
    return taken
