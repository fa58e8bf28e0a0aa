"""Ids of the part files that import operations write: those of their manifests.

The name of a part file has the id of its owner, which is a UUID. That of an operation is a UUID of version 8 (RFC 9562,
section 5.8) with the number that the id of the operation is.

Pure: no I/O and no clock.
"""

from typing import Final
from uuid import UUID

from downloadd.import_operation import OPERATION_ID_ALPHABET, OPERATION_ID_LENGTH, is_operation_id

_BASE: Final = len(OPERATION_ID_ALPHABET)
_VERSION: Final = 8
_LOW_BITS: Final = 62
_MIDDLE_BITS: Final = 12


def part_id_of(operation: str) -> str:
    """Return the id in the names of the part files of an operation.

    Raises:
        ValueError: `operation` is not the id of one.
    """
    if not is_operation_id(operation):
        raise ValueError(f"{operation!r} is not the id of an import operation")
    number = 0
    for character in operation:
        number = number * _BASE + OPERATION_ID_ALPHABET.index(character)
    low = number & (1 << _LOW_BITS) - 1
    middle = number >> _LOW_BITS & (1 << _MIDDLE_BITS) - 1
    high = number >> _LOW_BITS + _MIDDLE_BITS
    return str(UUID(int=high << 80 | _VERSION << 76 | middle << 64 | 0b10 << 62 | low))


def operation_of_part(id: str) -> str | None:
    """Return the operation that a part file with this id belongs to; None if it belongs to none."""
    # Most ids are of downloads, and this is much faster than to parse them.
    if id[14:15] != str(_VERSION):
        return None
    try:
        value = UUID(id)
    except ValueError:
        return None
    if value.version != _VERSION:
        return None
    low = value.int & (1 << _LOW_BITS) - 1
    middle = value.int >> 64 & (1 << _MIDDLE_BITS) - 1
    number = value.int >> 80 << _LOW_BITS + _MIDDLE_BITS | middle << _LOW_BITS | low
    characters = []
    for _ in range(OPERATION_ID_LENGTH):
        number, digit = divmod(number, _BASE)
        characters.append(OPERATION_ID_ALPHABET[digit])
    return "".join(reversed(characters)) if number == 0 else None
