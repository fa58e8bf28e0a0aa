"""Sizes in bytes as texts: `4 GiB`, `500 kB`, `1048576`.

Pure: no I/O and no clock.
"""

import re
from fractions import Fraction
from typing import Final

UNITS: Final[dict[str, int]] = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "PB": 1000**5,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "PiB": 1 << 50,
}
"""Bytes in each unit: powers of 1000 (SI, with `KB` as an alternative to `kB`) and of 1024 (IEC 80000-13)."""

_SIZE: Final = re.compile(r"([0-9][0-9_]{0,30}(?:\.[0-9]{1,30})?) ?([A-Za-z]*)")
_OUTPUT_UNITS: Final = ("PiB", "TiB", "GiB", "MiB", "KiB", "PB", "TB", "GB", "MB", "kB")


def parse_size(text: str) -> int:
    """Return the bytes of a number with a unit; without a unit it counts bytes.

    Raises:
        ValueError: `text` is not a size or not a whole number of bytes; the message says what is expected.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError('expected a size in bytes, or one such as "10 MiB" or "4 GB"')
    number, unit = match[1], match[2] or "B"
    if unit not in UNITS:
        raise ValueError(f"expected a size in one of the units {', '.join(UNITS)}")
    size = Fraction(number.replace("_", "")) * UNITS[unit]
    if size.denominator != 1:
        raise ValueError("expected a whole number of bytes")
    return int(size)


def format_rounded_size(size: int) -> str:
    """Return `size` rounded to a tenth, in the largest SI unit that fits: `3 MB`, `2.4 MB`, `999 B`."""
    for unit in ("PB", "TB", "GB", "MB", "kB"):
        if size >= UNITS[unit]:
            return f"{size / UNITS[unit]:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} B"


def format_size(size: int) -> str:
    """Return `size` exactly, in the largest unit without a fraction; `parse_size` reads it back."""
    for unit in _OUTPUT_UNITS:
        if size and size % UNITS[unit] == 0:
            return f"{size // UNITS[unit]} {unit}"
    return f"{size} B"
