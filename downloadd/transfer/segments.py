"""Segments of a download: division of missing ranges among connections.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from downloadd.transfer.byte_ranges import ByteRanges

MIN_SEGMENT_BYTES: Final = 1 << 20
"""Bytes of a segment that justify a request."""

MIN_SAVED_SECONDS: Final = 1.0
"""Seconds that a request for fewer bytes must save."""

MIN_REMAINDER_BYTES: Final = 64 * 1024
"""Bytes that a split must leave to a connection; fewer are moved as well."""

RATE_WARMUP_SECONDS: Final = 1.0
"""Seconds after which the rate of a connection is known."""


class Segment:
    """Range that one connection receives.

    Attributes:
        start: offset of the first byte.
        position: offset of the next byte to write to the part file.
        read_position: offset of the next byte to read from the connection; bytes between the two are being written.
        end: offset behind the last byte; None if the segment ends with the content.
        started_at: time of the request, in seconds of a monotonic clock; None before.
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
        """Bytes that are still to be read; None if the segment ends with the content."""
        return None if self.end is None else max(0, self.end - self.read_position)

    @property
    def is_complete(self) -> bool:
        """True if every byte is in the part file."""
        return self.position == self.end

    def is_worth_splitting(self, now: float) -> bool:
        """Return True if the segment will probably take long enough to justify another request."""
        if self.end is None:
            return False
        rate = self.rate(now)
        return rate is None or self.end - self.position > MIN_SAVED_SECONDS * rate

    def rate(self, now: float) -> float | None:
        """Return bytes a second since its start; None before `RATE_WARMUP_SECONDS`."""
        if self.started_at is None or now - self.started_at < RATE_WARMUP_SECONDS:
            return None
        return (self.read_position - self.start) / (now - self.started_at)

    def average_rate(self, now: float) -> float | None:
        """Return bytes a second of a segment that ends at `now`; None if nothing was read."""
        if self.started_at is None or now <= self.started_at or self.read_position == self.start:
            return None
        return (self.read_position - self.start) / (now - self.started_at)


def divide(gaps: Sequence[tuple[int, int]], count: int) -> list[Segment]:
    """Return segments for the gaps: at least one for each, and up to `count` in all if they are long enough."""
    segments = [Segment(start, end) for start, end in gaps]
    while len(segments) < count:
        taken = split(segments)
        if taken is None:
            break
        segments.append(taken)
    return sorted(segments, key=lambda segment: segment.start)


def plan_segments(
    kept: ByteRanges, *, size: int, validator: str | None, total: int | None, count: int
) -> list[Segment] | None:
    """Divide the missing ranges of a part file with gaps into segments.

    Return None if nothing of it can be kept: its bytes have no validator, or the file is too short.

    Args:
        kept: the recorded ranges of the part file.
        size: bytes of the part file.
        validator: the strong validator of the received bytes.
        total: the complete length.
        count: the maximum number of connections.
    """
    if validator is None or total is None or kept.end > min(size, total) or not kept.size:
        return None
    return divide(kept.gaps(total), count)


def split(segments: Iterable[Segment], *, rate: float | None = None, now: float = 0.0) -> Segment | None:
    """Split the segment that would end last, so that both parts end at the same time.

    Args:
        segments: segments that are being received.
        rate: bytes a second of the connection for the new segment; None if unknown, which means the same rate.
        now: the time, of the clock of `Segment.started_at`.

    Returns:
        The new segment; None if no split justifies a request.
    """

    def seconds(segment: Segment) -> float:
        own_rate = segment.rate(now) if rate else None
        return (segment.remaining or 0) / max(1.0, own_rate if own_rate is not None else rate or 1.0)

    slowest = max(segments, key=seconds, default=None)
    if slowest is None or slowest.end is None or not slowest.remaining:
        return None
    slowest_rate = slowest.rate(now) if rate else None
    share = rate / (rate + slowest_rate) if rate and slowest_rate is not None else 0.5
    size = int(slowest.remaining * share)
    if slowest.remaining - size < MIN_REMAINDER_BYTES:
        size = slowest.remaining
    if size < MIN_SEGMENT_BYTES and (not rate or not size or seconds(slowest) - size / rate < MIN_SAVED_SECONDS):
        return None
    taken = Segment(slowest.end - size, slowest.end)
    slowest.end -= size
    return taken
