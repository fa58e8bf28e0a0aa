"""Owners of new files: user and group names as numbers, and the permission to change owners."""

import grp
import os
import pwd
from pathlib import Path
from typing import Final

_CAP_CHOWN: Final = 1 << 0
"""Bit of CAP_CHOWN (capabilities(7))."""


def resolve_owner(text: str) -> str:
    """Return `user` or `user:group`, by name or number, as `<uid>:<gid>`; the default group is the user's own.

    Raises:
        ValueError: the user or group does not exist, or files cannot be given to them; the message says which.
    """
    user, colon, group = text.partition(":")
    uid, own_group = _user(user)
    gid = _group(group) if colon else own_group
    if not _may_chown(uid, gid):
        raise ValueError(f"{text!r}: files can be given to another owner only by root or with CAP_CHOWN")
    return f"{uid}:{gid}"


def _user(text: str) -> tuple[int, int]:
    """Return the numbers of a user and of its own group; -1 leaves the group unchanged."""
    try:
        entry = pwd.getpwuid(_number(text)) if _is_number(text) else pwd.getpwnam(text)
    except KeyError:
        if not _is_number(text):
            raise ValueError(f"there is no user {text!r}") from None
        # A number need not have a name; its group is unknown.
        return _number(text), -1
    return entry.pw_uid, entry.pw_gid


def _group(text: str) -> int:
    if _is_number(text):
        return _number(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {text!r}") from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(text: str) -> int:
    # The highest number means "unchanged" (chown(2)).
    if len(text) > 10 or int(text) >= 2**32 - 1:
        raise ValueError(f"{text!r} is not a user or group: the number is too high")
    return int(text)


def _may_chown(uid: int, gid: int) -> bool:
    own = uid == os.geteuid() and gid in {-1, os.getegid(), *os.getgroups()}
    return own or bool(_capabilities() & _CAP_CHOWN)


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
