"""Space of a file system."""

import errno
import os
from typing import Final

import msgspec

UNSTATED_BYTES: Final = 2**63 - 1
"""Space of a file system that states none (some FUSE programs, a tmpfs without a limit): it is full when it says so."""


class DiskSpace(msgspec.Struct, frozen=True, kw_only=True):
    """Space of a file system."""

    free: int
    """Bytes that an unprivileged process can still write."""
    capacity: int
    """Size of the file system in bytes."""


def measure_disk_space(path: int | os.PathLike[str]) -> DiskSpace:
    """Return the space of the file system of a path or descriptor; `UNSTATED_BYTES` if it does not state it."""
    try:
        space = os.statvfs(path)
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EOPNOTSUPP}:
            raise
        return DiskSpace(free=UNSTATED_BYTES, capacity=UNSTATED_BYTES)
    if not space.f_blocks:
        return DiskSpace(free=UNSTATED_BYTES, capacity=UNSTATED_BYTES)
    return DiskSpace(free=space.f_bavail * space.f_frsize, capacity=space.f_blocks * space.f_frsize)
