"""Names that are alike: some file system takes them for one.

APFS, exFAT, NTFS and ext4 with `casefold` differ in what they ignore; what any of them does is ignored here.

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
"""Those that are no formatting characters."""


def collision_key(name: str) -> str:
    """What two names have in common that are alike, and no others.

    Case, forms of Unicode, invisible characters, and dots and blanks at the end do not count.
    """
    if name.isascii():
        return name.lower().rstrip(". ")
    visible = "".join(character for character in name if not is_ignorable(character))
    # Some compare capitals, some small letters: a dotless i has only the former in common with an i.
    alike = unicodedata.normalize("NFKD", visible).casefold().upper().casefold()
    return unicodedata.normalize("NFKD", alike).rstrip(". ")


def path_collision_key(path: str) -> str:
    """`collision_key` for every segment of a path."""
    return "/".join(map(collision_key, path.split("/")))


def is_ignorable(character: str) -> bool:
    """Whether nothing is to be seen of a character, and nothing changes by it (Unicode's Default_Ignorable)."""
    return unicodedata.category(character) == "Cf" or character in _IGNORABLE_CHARACTERS
