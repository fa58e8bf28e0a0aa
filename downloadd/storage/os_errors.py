"""Mapping of errors of the operating system to `DownloadError`.

This is the only place in storage that does it. Pure: no I/O and no clock.
"""

import errno
from typing import Final

from downloadd.errors import (
    DownloadError,
    FileTooLargeForDiskError,
    InsufficientStorageError,
    InvalidPathError,
    StorageError,
)

FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors for a full disk or a full quota."""

BUSY_ERRNOS: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""Errors for exhausted file descriptors, which other work frees again."""

REMOVED_ERRNOS: Final = frozenset({errno.ENOENT, errno.ESTALE})
"""Errors for a file or directory that was removed during a download; the next attempt makes it again."""

INVALID_PATH_ERRNOS: Final = frozenset(
    {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ}
)
"""Errors for a path that is impossible on this disk."""

_REASONS: Final = {
    errno.ELOOP: "a directory of the path is a symbolic link",
    errno.ENOTDIR: "a directory of the path is a file or a symbolic link",
    errno.EISDIR: "a directory has this name",
    errno.ENAMETOOLONG: "the name is too long for this disk",
    errno.EILSEQ: "this disk does not support the name",
    errno.EINVAL: "this disk does not support the name",
    errno.EFBIG: "the file is too large for the file system or for the limit of the process (RLIMIT_FSIZE)",
}


def map_os_error(error: OSError, path: str) -> DownloadError:
    """Return the error to raise from `error`; `path` is relative to the root, whose location is not shown."""
    number = error.errno
    reason = _REASONS.get(number) if number is not None else None
    message = f"{path or 'the storage root'}: {reason or error.strerror or type(error).__name__}"
    if number in FULL_ERRNOS:
        return InsufficientStorageError(message)
    if number == errno.EFBIG:
        # Lasting: more free space does not help.
        return FileTooLargeForDiskError(message)
    if number in INVALID_PATH_ERRNOS:
        return InvalidPathError(message)
    return StorageError(message, transient=number in BUSY_ERRNOS | REMOVED_ERRNOS)
