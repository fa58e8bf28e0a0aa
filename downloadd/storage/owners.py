"""Whose files may be made: user and group names as numbers, and whether this process may give files away."""

import grp
import os
import pwd
from pathlib import Path
from typing import Final

_CAP_CHOWN: Final = 1 << 0
"""The bit of capabilities(7)."""


def resolve_owner(text: str) -> str:
    """`user` or `user:group`, by name or number, as `<uid>:<gid>`; a group that is not said is the user's own.

    Raises:
        ValueError: there is no such user or group, or files cannot be given to them; says which and why.
    """
    user, colon, group = text.partition(":")
    uid, own_group = _user(user)
    gid = _group(group) if colon else own_group
    if not _may_chown(uid, gid):
        raise ValueError(f"{text!r}: files can be given away only by root or with CAP_CHOWN")
    return f"{uid}:{gid}"


def _user(text: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwuid(_number(text)) if _is_number(text) else pwd.getpwnam(text)
    except KeyError:
        if not _is_number(text):
            raise ValueError(f"there is no user {text!r}") from None
        # A number needs no name; the group stays as it is.
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
    # The highest one means "unchanged" (chown(2)).
    if len(text) > 10 or int(text) >= 2**32 - 1:
        raise ValueError(f"{text!r} is no user or group: the number is too high")
    return int(text)


def _may_chown(uid: int, gid: int) -> bool:
    own = uid == os.geteuid() and gid in {-1, os.getegid(), *os.getgroups()}
    return own or bool(_capabilities() & _CAP_CHOWN)


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
