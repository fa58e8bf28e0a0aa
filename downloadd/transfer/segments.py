"""Which connection fetches which bytes.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Sequence
from typing import Final

LEAST: Final = 1 << 20
"""Bytes of a segment that is worth a request of its own."""

WORTH: Final = 1.0
"""Seconds that fewer bytes must save to be worth one."""

TRIFLE: Final = 64 * 1024
"""Bytes that are not worth to be left to a connection that something is taken from."""

SETTLING: Final = 1.0
"""Seconds after which it is known how fast a connection is."""


class Segment:
    """The bytes that one connection fetches.

    Attributes:
        start: the first of them.
        position: the next byte to be written to the part file.
        reach: the next byte to be taken from the connection; what lies between the two is on its way.
        end: the first byte that is not wanted any more, half-open; None when only the end of the content tells.
        begun: when its connection was asked for, in seconds of a monotonic clock; None before.
    """

    __slots__ = ("begun", "end", "position", "reach", "start")

    def __init__(self, start: int, end: int | None = None) -> None:
        self.start = start
        self.position = start
        self.reach = start
        self.end = end
        self.begun: float | None = None

    @property
    def wanted(self) -> int | None:
        """Bytes that are still to be taken; None when only the end of the content tells."""
        return None if self.end is None else max(0, self.end - self.reach)

    @property
    def is_whole(self) -> bool:
        """Whether every byte of it is in the part file."""
        return self.position == self.end

    def drags(self, now: float) -> bool:
        """Whether it will go on for so long, as far as is known, that help is worth a request."""
        if self.end is None:
            return False
        rate = self.rate(now)
        return rate is None or self.end - self.position > WORTH * rate

    def rate(self, now: float) -> float | None:
        """Bytes a second since it was begun; None while it is too early to tell."""
        if self.begun is None or now - self.begun < SETTLING:
            return None
        return (self.reach - self.start) / (now - self.begun)

    def average(self, now: float) -> float | None:
        """Bytes a second of a segment that ends at this moment; None when nothing can be said."""
        if self.begun is None or now <= self.begun or self.reach == self.start:
            return None
        return (self.reach - self.start) / (now - self.begun)


def divide(gaps: Sequence[tuple[int, int]], count: int) -> list[Segment]:
    """Segments that fill the gaps: at least one for each of them, and up to `count` in all where that is worth it."""
    segments = [Segment(start, end) for start, end in gaps]
    while len(segments) < count:
        half = split(segments)
        if half is None:
            break
        segments.append(half)
    return sorted(segments, key=lambda segment: segment.start)


def split(segments: Iterable[Segment], *, rate: float | None = None, now: float = 0.0) -> Segment | None:
    """Takes as much off the segment that would end last that it and what is taken end together.

    Args:
        segments: those that are being fetched.
        rate: bytes a second of the connection that what is taken is for; None if unknown: as fast as the other.
        now: the time of the clock that the segments were begun by.

    Returns:
        What was taken; None when nothing is worth a request of its own.
    """

    def seconds(segment: Segment) -> float:
        theirs = segment.rate(now) if rate else None
        return (segment.wanted or 0) / max(1.0, theirs if theirs is not None else rate or 1.0)

    victim = max(segments, key=seconds, default=None)
    if victim is None or victim.end is None or not victim.wanted:
        return None
    theirs = victim.rate(now) if rate else None
    share = rate / (rate + theirs) if rate and theirs is not None else 0.5
    size = int(victim.wanted * share)
    if victim.wanted - size < TRIFLE:
        size = victim.wanted
    if size < LEAST and (not rate or not size or seconds(victim) - size / rate < WORTH):
        return None
    taken = Segment(victim.end - size, victim.end)
    victim.end -= size
    return taken
