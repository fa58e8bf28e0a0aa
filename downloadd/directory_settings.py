"""Settings of a directory: users, quotas, conflict policy, owner and mode of its files.

Pure: no I/O and no clock.
"""

import msgspec

from downloadd.download import Conflict


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """Limit for the size of a directory with everything below it."""

    directory: str
    limit: int
    """Bytes."""


class DirectorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that apply in one directory; the defaults are those of a directory without configuration."""

    quotas: tuple[Quota, ...] = ()
    """Quotas of the directory and of those above it; all of them apply."""
    users: frozenset[str] | None = None
    """Ids of the users who may start and change downloads there; None for all with the permission."""
    conflict: Conflict = Conflict.RENAME
    """Policy for a taken name if the request has none."""
    skip_same: bool = False
    """Keep a file of the same name that has the same content, if the request does not say."""
    owner: tuple[int, int] | None = None
    """User and group id of new files and directories, -1 for unchanged; None for those of the daemon."""
    mode: int | None = None
    """Permission bits of new files, regardless of the umask; None for those of the umask."""
