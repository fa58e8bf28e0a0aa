"""Values of aria2's options: each kind as a function that returns the canonical text, as getOption shows it.

The functions raise `ValueError` for an impossible value. Pure: no I/O and no clock.
"""

from collections.abc import Callable
from typing import Final

from downloadd.aria2.values import MAX_SIZE, parse_boolean, parse_number, parse_size
from downloadd.errors import InvalidParameterError
from downloadd.verify import parse_checksum

Normalize = Callable[[str], str]
"""Function that checks a value and returns its canonical text."""

TRUE: Final = "true"
FALSE: Final = "false"


def boolean(text: str) -> str:
    """Return `true` or `false`; an option without a value is true."""
    return format_boolean(parse_boolean(text))


def format_boolean(value: bool) -> str:
    """Return the text of a boolean."""
    return TRUE if value else FALSE


def number(minimum: int, maximum: int | None = None) -> Normalize:
    """Return the check of an integer."""

    def normalize(text: str) -> str:
        return str(parse_number(text.strip(), minimum, maximum))

    return normalize


def size(minimum: int = 0, maximum: int = MAX_SIZE) -> Normalize:
    """Return the check of a number of bytes, which may end with K (1024) or M (1024 K)."""

    def normalize(text: str) -> str:
        return str(parse_size(text.strip(), minimum, maximum))

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
