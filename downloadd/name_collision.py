"""Collisions of names: different texts that some file system treats as one name.

APFS, exFAT, NTFS and ext4 with `casefold` ignore different things; everything that one of them ignores is ignored here.

Pure: no I/O and no clock.
"""

import unicodedata
from typing import Final

_IGNORABLE_CHARACTERS: Final = frozenset(
    map(
        chr,
        [
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ],
    )
)
"""Ignorable characters outside of the category of format characters (Cf)."""


def collision_key(name: str) -> str:
    """Return a key that is equal for names that collide, and different for others.

    It ignores case, forms of Unicode, invisible characters, and dots and spaces at the end.
    """
    if name.isascii():
        return name.lower().rstrip(". ")
    visible = "".join(character for character in name if not is_ignorable(character))
    # Some file systems compare upper case, some lower case: a dotless i equals an i in upper case only.
    alike = unicodedata.normalize("NFKD", visible).casefold().upper().casefold()
    return unicodedata.normalize("NFKD", alike).rstrip(". ")


def path_collision_key(path: str) -> str:
    """Return the `collision_key` of every segment of a path."""
    return "/".join(map(collision_key, path.split("/")))


def is_ignorable(character: str) -> bool:
    """Return True if a character is invisible and changes no other (Unicode's Default_Ignorable_Code_Point)."""
    return unicodedata.category(character) == "Cf" or character in _IGNORABLE_CHARACTERS
