"""Values of aria2's options: each kind as a function that returns the canonical text, as getOption shows it.

The functions raise `ValueError` for an impossible value. Pure: no I/O and no clock.
"""

import re
from collections.abc import Callable
from typing import Final

from downloadd.errors import InvalidParameterError
from downloadd.verify import parse_checksum

Normalize = Callable[[str], str]
"""Function that checks a value and returns its canonical text."""

TRUE: Final = "true"
FALSE: Final = "false"

MAX_SPEED: Final = 2**62
"""Highest speed in bytes a second."""

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_SIZE: Final = re.compile(r"\+?([0-9]{1,19})(?:([KkMm])[Bb]?)?")
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20}


def boolean(text: str) -> str:
    """Return `true` or `false`; an option without a value is true."""
    if text not in {TRUE, FALSE, ""}:
        raise ValueError("expected true or false")
    return text or TRUE


def format_boolean(value: bool) -> str:
    """Return the text of a boolean."""
    return TRUE if value else FALSE


def number(minimum: int, maximum: int = MAX_SPEED) -> Normalize:
    """Return the check of an integer."""

    def normalize(text: str) -> str:
        stripped = text.strip()
        if not _NUMBER.fullmatch(stripped) or not minimum <= int(stripped) <= maximum:
            raise ValueError(f"expected an integer from {minimum} to {maximum}")
        return str(int(stripped))

    return normalize


def size(minimum: int = 0, maximum: int = MAX_SPEED) -> Normalize:
    """Return the check of a number of bytes, which may end with K (1024) or M (1024 K)."""

    def normalize(text: str) -> str:
        found = _SIZE.fullmatch(text.strip())
        value = -1 if found is None else int(found[1]) * _UNITS[(found[2] or "").lower()]
        if not minimum <= value <= maximum:
            raise ValueError(f"expected a size in bytes from {minimum} to {maximum}, such as 512K or 4M")
        return str(value)

    return normalize


def one_of(*choices: str) -> Normalize:
    """Return the check of a text that is one of `choices`."""

    def normalize(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text

    return normalize


def any_text(text: str) -> str:
    """Return the text."""
    return text


def checksum(text: str) -> str:
    """Return a checksum, `<type>=<hex>`, in its normal form."""
    # DownloadError is no ValueError.
    try:
        return parse_checksum(text)
    except InvalidParameterError as error:
        raise ValueError(error.detail) from error
