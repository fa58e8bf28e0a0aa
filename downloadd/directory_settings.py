"""The terms of a directory: who may use it, how much it holds, and what files in it look like.

Pure: no I/O and no clock.
"""

import msgspec

from downloadd.download import Conflict


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """How much a directory may hold, with everything below it."""

    directory: str
    limit: int
    """Bytes."""


class DirectorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds in one directory. The default is what holds where nothing is configured."""

    quotas: tuple[Quota, ...] = ()
    """Its own and those of the directories around it; all of them hold."""
    users: frozenset[str] | None = None
    """Ids of those who may start and change downloads there; None for whoever has the permission."""
    conflict: Conflict = Conflict.RENAME
    """For a request that names no policy."""
    owner: tuple[int, int] | None = None
    """User and group id of what is made there, -1 for one that stays; None for the daemon's own."""
    mode: int | None = None
    """Permission bits of its files, whatever the umask; None for the usual ones."""
