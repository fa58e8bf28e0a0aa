"""POSIX access control lists (acl(5)), in the form that Linux gives them as extended attributes.

Pure: no I/O and no clock.
"""

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final

import msgspec
from msgspec.structs import replace

ACCESS_ACL: Final = "system.posix_acl_access"
"""Extended attribute with the list of a file or directory."""

DEFAULT_ACL: Final = "system.posix_acl_default"
"""Extended attribute of a directory with the list that its new entries get."""

_VERSION: Final = struct.pack("<I", 2)
_ENTRY: Final = struct.Struct("<HHI")
_NO_ID: Final = 0xFFFFFFFF


class AclTag(IntEnum):
    """Kind of an entry (linux/posix_acl.h)."""

    OWNER = 0x01
    USER = 0x02
    OWNING_GROUP = 0x04
    GROUP = 0x08
    MASK = 0x10
    OTHER = 0x20


class AclEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a list."""

    tag: AclTag
    permissions: int
    """Bits for reading (4), writing (2) and execution (1)."""
    id: int = _NO_ID
    """Number of a user or group."""


def parse_acl(data: bytes) -> list[AclEntry]:
    """Return the entries of a list.

    Raises:
        ValueError: it has another form.
    """
    entries = data.removeprefix(_VERSION)
    if len(entries) == len(data) or len(entries) % _ENTRY.size:
        raise ValueError("the form of the access control list is unknown")
    acl = [
        AclEntry(tag=AclTag(tag), permissions=permissions, id=id)
        for tag, permissions, id in _ENTRY.iter_unpack(entries)
    ]
    if not {AclTag.OWNER, AclTag.OWNING_GROUP, AclTag.OTHER} <= {entry.tag for entry in acl}:
        raise ValueError("the access control list is incomplete")
    return acl


def format_acl(acl: Sequence[AclEntry]) -> bytes:
    """Return the list as the value of an extended attribute."""
    return _VERSION + b"".join(_ENTRY.pack(entry.tag, entry.permissions, entry.id) for entry in acl)


def make_acl(mode: int) -> list[AclEntry]:
    """Return the list that means the same as permission bits."""
    bits = {AclTag.OWNER: mode >> 6, AclTag.OWNING_GROUP: mode >> 3, AclTag.OTHER: mode}
    return [AclEntry(tag=tag, permissions=permissions & 7) for tag, permissions in bits.items()]


def inherit_acl(default: Sequence[AclEntry], mode: int) -> list[AclEntry]:
    """Return the list of a file that is made with `mode` in a directory that has a default list; no umask applies."""
    return _combine(default, mode, lambda permissions, bits: permissions & bits)


def change_acl(acl: Sequence[AclEntry], mode: int) -> list[AclEntry]:
    """Return the list after a change of the permission bits, as by chmod(2)."""
    return _combine(acl, mode, lambda _, bits: bits)


def acl_mode(acl: Sequence[AclEntry], *, is_mask_set: bool) -> int:
    """Return the permission bits for a file that should have this list and cannot be given it.

    Args:
        acl: the list.
        is_mask_set: the file has a list with a mask, which the bits of the group stand for. In another file they are
            what the owning group may do.
    """
    permissions = {entry.tag: entry.permissions for entry in acl}
    mask = permissions.get(AclTag.MASK, 7)
    group = mask if is_mask_set else permissions[AclTag.OWNING_GROUP] & mask
    return permissions[AclTag.OWNER] << 6 | group << 3 | permissions[AclTag.OTHER]


def has_mask(acl: Sequence[AclEntry]) -> bool:
    """Return True if the list has a mask: it grants rights to other users or groups by name."""
    return any(entry.tag is AclTag.MASK for entry in acl)


def _combine(acl: Sequence[AclEntry], mode: int, combine: Callable[[int, int], int]) -> list[AclEntry]:
    """Return the list with its entries for owner, group and others combined with the bits of `mode`."""
    # The bits of the group stand for the mask, if there is one.
    group = AclTag.MASK if has_mask(acl) else AclTag.OWNING_GROUP
    bits = {AclTag.OWNER: mode >> 6 & 7, group: mode >> 3 & 7, AclTag.OTHER: mode & 7}
    return [
        replace(entry, permissions=combine(entry.permissions, bits[entry.tag])) if entry.tag in bits else entry
        for entry in acl
    ]
