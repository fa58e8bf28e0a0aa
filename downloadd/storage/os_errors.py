"""Mapping of errors of the operating system to `DownloadError`.

This is the only place in storage that does it. Pure: no I/O and no clock.
"""

import errno
from enum import Enum
from typing import Final

from downloadd.errors import (
    DownloadError,
    FileTooLargeForDiskError,
    InsufficientStorageError,
    InvalidPathError,
    StorageAwayError,
    StorageError,
)


class Cause(Enum):
    """Reason why a disk refuses a call."""

    FULL = "full"
    """The disk or a quota is full."""
    TOO_LARGE = "too large"
    """No file may be that large."""
    NAME = "name"
    """The disk does not support the path."""
    BUSY = "busy"
    """Something is exhausted or in use, which other work frees again."""
    REMOVED = "removed"
    """The file or directory was removed during a download; the next attempt makes it again."""
    AWAY = "away"
    """The disk does not answer: its server, its program, its key or the device itself is missing."""
    OTHER = "other"
    """Anything else: only a trial tells if the disk refuses this call, or all."""


CAUSES: Final = {
    errno.ENOSPC: Cause.FULL,
    errno.EDQUOT: Cause.FULL,
    # More free space does not help.
    errno.EFBIG: Cause.TOO_LARGE,
    errno.ENAMETOOLONG: Cause.NAME,
    errno.ELOOP: Cause.NAME,
    errno.ENOTDIR: Cause.NAME,
    errno.EISDIR: Cause.NAME,
    errno.EINVAL: Cause.NAME,
    errno.EILSEQ: Cause.NAME,
    errno.EMFILE: Cause.BUSY,
    errno.ENFILE: Cause.BUSY,
    errno.ENOMEM: Cause.BUSY,
    errno.ENOBUFS: Cause.BUSY,
    errno.EAGAIN: Cause.BUSY,
    errno.EBUSY: Cause.BUSY,
    # SMB: another client has the file open.
    errno.ETXTBSY: Cause.BUSY,
    errno.ENOENT: Cause.REMOVED,
    # FUSE: the program of the file system has ended.
    errno.ENOTCONN: Cause.AWAY,
    errno.ECONNABORTED: Cause.AWAY,
    # NFS: the server does not know the file system any more. A single file of it that was removed is made again.
    errno.ESTALE: Cause.AWAY,
    errno.EREMOTEIO: Cause.AWAY,
    # NFS and SMB: the server does not answer.
    errno.ETIMEDOUT: Cause.AWAY,
    errno.EHOSTDOWN: Cause.AWAY,
    errno.EHOSTUNREACH: Cause.AWAY,
    errno.ENETDOWN: Cause.AWAY,
    errno.ENETUNREACH: Cause.AWAY,
    errno.ECONNREFUSED: Cause.AWAY,
    errno.ECONNRESET: Cause.AWAY,
    errno.ENOLINK: Cause.AWAY,
    errno.ESHUTDOWN: Cause.AWAY,
    # The device was removed.
    errno.ENODEV: Cause.AWAY,
    errno.ENXIO: Cause.AWAY,
    errno.ENOMEDIUM: Cause.AWAY,
    # eCryptfs, fscrypt and Kerberos: the key is not there, or not valid any more.
    errno.ENOKEY: Cause.AWAY,
    errno.EKEYEXPIRED: Cause.AWAY,
    errno.EKEYREVOKED: Cause.AWAY,
    errno.EKEYREJECTED: Cause.AWAY,
}
"""Cause of each error; of one that is not listed, `Cause.OTHER`."""

FULL_ERRNOS: Final = frozenset(number for number, cause in CAUSES.items() if cause is Cause.FULL)
"""Errors for a full disk or a full quota."""

_REASONS: Final = {
    errno.ELOOP: "a directory of the path is a symbolic link",
    errno.ENOTDIR: "a directory of the path is a file or a symbolic link",
    errno.EISDIR: "a directory has this name",
    errno.ENAMETOOLONG: "the name is too long for this disk",
    errno.EILSEQ: "this disk does not support the name",
    errno.EINVAL: "this disk does not support the name",
    errno.EFBIG: "the file is too large for the file system or for the limit of the process (RLIMIT_FSIZE)",
}


def find_cause(error: OSError) -> Cause:
    """Return the cause of an error."""
    return Cause.OTHER if error.errno is None else CAUSES.get(error.errno, Cause.OTHER)


def map_os_error(error: OSError, path: str) -> DownloadError:
    """Return the error to raise from `error`; `path` is relative to the root, whose location is not shown."""
    reason = _REASONS.get(error.errno) if error.errno is not None else None
    message = f"{path or 'the storage root'}: {reason or error.strerror or type(error).__name__}"
    match find_cause(error):
        case Cause.FULL:
            return InsufficientStorageError(message)
        case Cause.TOO_LARGE:
            return FileTooLargeForDiskError(message)
        case Cause.NAME:
            return InvalidPathError(message)
        case Cause.BUSY | Cause.REMOVED:
            return StorageError(message, transient=True)
        case Cause.AWAY:
            return StorageAwayError(f"{message}; the disk does not answer, and the download continues when it does")
        case Cause.OTHER:
            return StorageError(message)
