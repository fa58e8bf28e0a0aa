"""Which bytes of a representation are in a part file.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterator
from typing import Final, Self

_RANGES_PATTERN: Final = re.compile(r"(?:\d{1,19}-\d{1,19}(?:,\d{1,19}-\d{1,19})*)?")


class ByteRanges:
    """A set of half-open ranges of bytes, kept apart and in order."""

    def __init__(self) -> None:
        """No bytes."""
        self._ranges: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The ranges as `(start, end)`, lowest first, with a gap between any two."""
        return iter(self._ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByteRanges) and self._ranges == other._ranges

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> int:
        """Bytes in all of them."""
        return sum(end - start for start, end in self._ranges)

    @property
    def end(self) -> int:
        """Where the last one ends; 0 when there is none."""
        return self._ranges[-1][1] if self._ranges else 0

    @property
    def prefix(self) -> int:
        """How many of the first bytes are among them."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    def add(self, start: int, end: int) -> None:
        """Takes in the bytes from `start` up to `end`; those that are there already do not matter."""
        if start >= end:
            return
        apart = []
        for one in self._ranges:
            if one[1] < start or one[0] > end:
                apart.append(one)
            else:
                start, end = min(start, one[0]), max(end, one[1])
        self._ranges = sorted([*apart, (start, end)])

    def gaps(self, total: int) -> list[tuple[int, int]]:
        """What is missing of `total` bytes, lowest first."""
        starts = [start for start, _ in self._ranges] + [total]
        ends = [0] + [end for _, end in self._ranges]
        return [(start, end) for start, end in zip(ends, starts, strict=True) if start < end]

    def format(self) -> str:
        """One line of text, for the records."""
        return ",".join(f"{start}-{end}" for start, end in self._ranges)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The ranges that `format` wrote.

        Raises:
            ValueError: it did not.
        """
        if not _RANGES_PATTERN.fullmatch(text):
            raise ValueError("these are no byte ranges")
        ranges = cls()
        for one in filter(None, text.split(",")):
            start, _, end = one.partition("-")
            ranges.add(int(start), int(end))
        return ranges
