"""Samples of a part file: the places at which a response must have the same bytes.

Bytes that repeat prove little: another version has them too, for example a disk image with empty regions. Pure: no I/O
and no clock.
"""

import zlib
from collections.abc import Sequence
from typing import Final

SAMPLE_BYTES: Final = 16 * 1024
"""Bytes of a sample."""

SAMPLE_COUNT: Final = 3
"""Samples before the overlap at the end of the part file."""

MAX_CANDIDATES: Final = 24
"""Places of a part file that are examined for samples."""

MIN_COMPRESSED_BYTES: Final = 512
"""Bytes that a sample has at least when it is compressed; text compresses to more, and empty regions to less."""

Place = tuple[int, int]
"""Offset of the first byte, and behind the last one."""


def propose_places(end: int, random: Sequence[float]) -> list[Place]:
    """Return places in the first `end` bytes, lowest first: one in each of equal parts, or all bytes if they are few.

    Args:
        end: bytes before the overlap.
        random: `MAX_CANDIDATES` numbers from [0, 1).
    """
    if end <= SAMPLE_COUNT * SAMPLE_BYTES:
        return [(start, min(end, start + SAMPLE_BYTES)) for start in range(0, end, SAMPLE_BYTES)]
    count = min(MAX_CANDIDATES, end // SAMPLE_BYTES)
    width = end / count
    starts = (int(number * width + random[number] * (width - SAMPLE_BYTES)) for number in range(count))
    return [(start, start + SAMPLE_BYTES) for start in starts]


def is_distinctive(data: bytes) -> bool:
    """Return True if another version is unlikely to have the same bytes at the same place by chance."""
    return len(zlib.compress(data, 1)) >= MIN_COMPRESSED_BYTES


def select_places(end: int, places: Sequence[Place], distinctive: Sequence[Place]) -> list[Place] | None:
    """Return the places to compare; None if the part file has too few distinctive ones to prove anything.

    Args:
        end: bytes before the overlap.
        places: the proposed places.
        distinctive: those of them whose bytes are distinctive.
    """
    if sum(stop - start for start, stop in places) == end:
        # Everything is compared.
        return list(places)
    if len(distinctive) < SAMPLE_COUNT:
        return None
    step = (len(distinctive) - 1) / (SAMPLE_COUNT - 1)
    return [distinctive[round(number * step)] for number in range(SAMPLE_COUNT)]
