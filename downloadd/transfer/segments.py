"""Which connection fetches which bytes.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Sequence
from typing import Final

MIN_SEGMENT_BYTES: Final = 1 << 20
"""Bytes of a segment that is worth a request of its own."""

MIN_SAVED_SECONDS: Final = 1.0
"""Seconds that fewer bytes must save to be worth one."""

MIN_REMAINDER_BYTES: Final = 64 * 1024
"""Bytes that are not worth to be left to a connection that something is taken from."""

RATE_WARMUP_SECONDS: Final = 1.0
"""Seconds after which it is known how fast a connection is."""


class Segment:
    """The bytes that one connection fetches.

    Attributes:
        start: the first of them.
        position: the next byte to be written to the part file.
        read_position: the next byte to be taken from the connection; what lies between the two is on its way.
        end: the first byte that is not wanted any more, half-open; None when only the end of the content tells.
        started_at: when its connection was asked for, in seconds of a monotonic clock; None before.
    """

    __slots__ = ("end", "position", "read_position", "start", "started_at")

    def __init__(self, start: int, end: int | None = None) -> None:
        self.start = start
        self.position = start
        self.read_position = start
        self.end = end
        self.started_at: float | None = None

    @property
    def remaining(self) -> int | None:
        """Bytes that are still to be taken; None when only the end of the content tells."""
        return None if self.end is None else max(0, self.end - self.read_position)

    @property
    def is_complete(self) -> bool:
        """Whether every byte of it is in the part file."""
        return self.position == self.end

    def is_worth_splitting(self, now: float) -> bool:
        """Whether it will go on for so long, as far as is known, that help is worth a request."""
        if self.end is None:
            return False
        rate = self.rate(now)
        return rate is None or self.end - self.position > MIN_SAVED_SECONDS * rate

    def rate(self, now: float) -> float | None:
        """Bytes a second since it was begun; None while it is too early to tell."""
        if self.started_at is None or now - self.started_at < RATE_WARMUP_SECONDS:
            return None
        return (self.read_position - self.start) / (now - self.started_at)

    def average_rate(self, now: float) -> float | None:
        """Bytes a second of a segment that ends at this moment; None when nothing can be said."""
        if self.started_at is None or now <= self.started_at or self.read_position == self.start:
            return None
        return (self.read_position - self.start) / (now - self.started_at)


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
        return (segment.remaining or 0) / max(1.0, theirs if theirs is not None else rate or 1.0)

    slowest = max(segments, key=seconds, default=None)
    if slowest is None or slowest.end is None or not slowest.remaining:
        return None
    theirs = slowest.rate(now) if rate else None
    share = rate / (rate + theirs) if rate and theirs is not None else 0.5
    size = int(slowest.remaining * share)
    if slowest.remaining - size < MIN_REMAINDER_BYTES:
        size = slowest.remaining
    if size < MIN_SEGMENT_BYTES and (not rate or not size or seconds(slowest) - size / rate < MIN_SAVED_SECONDS):
        return None
    taken = Segment(slowest.end - size, slowest.end)
    slowest.end -= size
    return taken
