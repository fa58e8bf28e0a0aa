"""Sets of byte ranges: the bytes of a representation that are in a part file.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterator
from typing import Final, Self

_RANGES_PATTERN: Final = re.compile(r"(?:\d{1,19}-\d{1,19}(?:,\d{1,19}-\d{1,19})*)?")


class ByteRanges:
    """Set of half-open byte ranges, disjoint and in order."""

    def __init__(self) -> None:
        """Start with no bytes."""
        self._ranges: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Iterate over the ranges as `(start, end)`, lowest first, with a gap between any two."""
        return iter(self._ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByteRanges) and self._ranges == other._ranges

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> int:
        """Bytes in all ranges."""
        return sum(end - start for start, end in self._ranges)

    @property
    def end(self) -> int:
        """End of the last range; 0 if there is none."""
        return self._ranges[-1][1] if self._ranges else 0

    @property
    def prefix(self) -> int:
        """Bytes from the start up to the first gap."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    def add(self, start: int, end: int) -> None:
        """Add the bytes from `start` up to `end`; they may overlap with earlier ones."""
        if start >= end:
            return
        disjoint = []
        for existing in self._ranges:
            if existing[1] < start or existing[0] > end:
                disjoint.append(existing)
            else:
                start, end = min(start, existing[0]), max(end, existing[1])
        self._ranges = sorted([*disjoint, (start, end)])

    def gaps(self, total: int) -> list[tuple[int, int]]:
        """Return the missing ranges of `total` bytes, lowest first."""
        starts = [start for start, _ in self._ranges] + [total]
        ends = [0] + [end for _, end in self._ranges]
        return [(start, end) for start, end in zip(ends, starts, strict=True) if start < end]

    def up_to(self, end: int) -> Self:
        """Return the bytes before `end`."""
        before = type(self)()
        for start, stop in self:
            before.add(start, min(stop, end))
        return before

    def format(self) -> str:
        """Return one line of text, for the records."""
        return ",".join(f"{start}-{end}" for start, end in self._ranges)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text that `format` returned.

        Raises:
            ValueError: the text has another form.
        """
        if not _RANGES_PATTERN.fullmatch(text):
            raise ValueError("not byte ranges")
        ranges = cls()
        for text_range in filter(None, text.split(",")):
            start, _, end = text_range.partition("-")
            ranges.add(int(start), int(end))
        return ranges
