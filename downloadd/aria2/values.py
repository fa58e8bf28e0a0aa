"""Values of aria2's options: numbers, sizes, booleans and paths, as the manual of aria2c describes them.

https://aria2.github.io/manual/en/html/aria2c.html#notes-for-options. Pure: no I/O and no clock.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MAX_SIZE: Final = 2**62
"""Bytes of the largest size; it fits into a column."""

_NUMBER: Final = re.compile(r"\+?[0-9]{1,18}")
_SIZE: Final = re.compile(r"\+?([0-9]{1,19}) ?(?:([KkMm])i?[Bb]?)?")
_UNITS: Final[Mapping[str, int]] = MappingProxyType({"": 1, "K": 1 << 10, "M": 1 << 20})
_BOOLEANS: Final[Mapping[str, bool]] = MappingProxyType({"true": True, "false": False, "": True})
_HOME: Final = "${HOME}"


def parse_number(text: str, low: int = 0, high: int | None = None) -> int:
    """Return the number that a text is.

    Raises:
        ValueError: it is not a number from `low` on, or is greater than `high`; says what is expected.
    """
    number = int(text) if _NUMBER.fullmatch(text) else -1
    if number < low or (high is not None and number > high):
        raise ValueError(f"expected a number from {low} {'on' if high is None else f'to {high}'}")
    return number


def parse_size(text: str, low: int = 0, high: int = MAX_SIZE) -> int:
    """Return the bytes of a size such as `100`, `20K` or `1M`.

    Raises:
        ValueError: it is not a size from `low` to `high`; says what is expected.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("expected a number of bytes, such as 1048576, 1024K or 1M")
    size = int(match[1]) * _UNITS[(match[2] or "").upper()]
    if not low <= size <= high:
        raise ValueError(f"expected from {low} to {high} bytes")
    return size


def parse_boolean(text: str) -> bool:
    """Return the truth of `true` or `false`; an option without a value is true.

    Raises:
        ValueError: it is another text; says what is expected.
    """
    if text not in _BOOLEANS:
        raise ValueError("expected true or false")
    return _BOOLEANS[text]


def expand_home(path: str, home: str) -> str:
    """Return a path with the home directory in place of `${HOME}`, and of `~` at its beginning.

    Raises:
        ValueError: it names the home directory, which is not known.
    """
    names_home = _HOME in path or path == "~" or path.startswith("~/")
    if names_home and not home:
        raise ValueError("names the home directory, but the daemon has no HOME; write the whole path")
    expanded = path.replace(_HOME, home)
    return home + expanded[1:] if expanded == "~" or expanded.startswith("~/") else expanded
