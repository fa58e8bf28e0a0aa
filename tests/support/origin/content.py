"""Synthetic content: bytes that follow from a seed and an offset, so that any part of a file can be checked.

The pattern repeats after `PATTERN_SIZE` bytes, a prime, so that a piece from a wrong offset shows unless it is off by a
multiple of that. Another seed gives other bytes everywhere.
"""

import hashlib
from functools import lru_cache
from random import Random
from typing import Final

PATTERN_SIZE: Final = 65_537
"""Bytes until the pattern of a seed repeats."""

_REPEATED: Final = 8


@lru_cache(maxsize=32)
def _pattern(seed: int) -> bytes:
    """Return the pattern several times over, so that most reads are one slice."""
    return Random(seed).randbytes(PATTERN_SIZE) * _REPEATED


def expected_bytes(seed: int, start: int, end: int) -> bytes:
    """Return the bytes from `start` up to `end` (not included) of the file of `seed`."""
    if end <= start:
        return b""
    pattern, phase, length = _pattern(seed), start % PATTERN_SIZE, end - start
    if phase + length <= len(pattern):
        return pattern[phase : phase + length]
    head = pattern[phase:]
    times, rest = divmod(length - len(head), len(pattern))
    return head + pattern * times + pattern[:rest]


def expected_sha256(seed: int, size: int) -> str:
    """Return the SHA-256 in hex of the first `size` bytes of the file of `seed`."""
    digest, pattern = hashlib.sha256(), _pattern(seed)
    times, rest = divmod(size, len(pattern))
    for _ in range(times):
        digest.update(pattern)
    digest.update(pattern[:rest])
    return digest.hexdigest()
