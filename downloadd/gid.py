"""Gids: the numbers by which aria2 clients name downloads, 16 lower-case hexadecimal digits.

A gid is made from the `seq` of its download, so that it needs neither a column nor an index, unless the request chose
one. Pure: no I/O and no clock.
"""

import re
from typing import Final

import msgspec

GID_DIGITS: Final = 16
"""Digits of a gid; fewer digits are the prefix of one."""
MAX_MADE_SEQ: Final = 2**44
"""Gids of a smaller `seq` belong to downloads whose request chose none. It lasts for 50 years of 10,000 a second; one
in a million gids that clients choose at random is among them."""

_MASK: Final = 2**64 - 1
_FACTOR: Final = 0x9E37_79B9_7F4A_7C15
"""Odd, so that the multiplication can be undone; its digits differ, so that gids in a row do."""
_INVERSE: Final = pow(_FACTOR, -1, 2**64)
_PREFIX: Final = re.compile(r"[0-9a-f]{1,16}")


class GidNotUniqueError(ValueError):
    """A prefix that several downloads have."""


class GidFamily(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers whose gids have one prefix: all `seq` with `seq % modulus == residue`."""

    residue: int
    modulus: int


def make_gid(seq: int) -> str:
    """Return the gid of a download whose request chose none; it is never all zeros for a `seq` of a stored one."""
    # The last digit of a product depends on the last digit of its factors only, and so on: with the digits in reverse,
    # the numbers of one prefix are evenly spaced.
    return f"{seq * _FACTOR & _MASK:016x}"[::-1]


def seq_of_gid(gid: str) -> int:
    """Return the `seq` that `make_gid` makes this gid of.

    Raises:
        ValueError: it is not a gid.
    """
    if not is_gid(gid):
        raise ValueError("a gid has 16 lower-case hexadecimal digits")
    return int(gid[::-1], 16) * _INVERSE & _MASK


def is_gid(text: str) -> bool:
    """Return True if a text is a gid."""
    return len(text) == GID_DIGITS and is_gid_prefix(text) and text.strip("0") != ""


def is_gid_prefix(text: str) -> bool:
    """Return True if a text is a gid or the beginning of one."""
    return _PREFIX.fullmatch(text) is not None


def is_made(gid: str) -> bool:
    """Return True if a gid belongs to a download whose request chose none, perhaps a later one."""
    return seq_of_gid(gid) < MAX_MADE_SEQ


def family_of_prefix(prefix: str) -> GidFamily:
    """Return the numbers whose made gids begin with `prefix`.

    Raises:
        ValueError: it is not the prefix of a gid.
    """
    if not is_gid_prefix(prefix):
        raise ValueError("a prefix of a gid has 1 to 16 lower-case hexadecimal digits")
    modulus = 16 ** len(prefix)
    return GidFamily(residue=int(prefix[::-1], 16) * _INVERSE % modulus, modulus=modulus)
