"""What the operating system says about the disk, in the words of the error table.

The one place where this room turns an `OSError` into a `DownloadError`. Pure: no I/O and no clock.
"""

import errno
from typing import Final

from downloadd.errors import DownloadError, InsufficientStorageError, InvalidPathError, StorageError

FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No room: of the disk, of the quota, or for one file."""

BUSY_ERRNOS: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""No descriptor is left, until something else is done with its own."""

REMOVED_ERRNOS: Final = frozenset({errno.ENOENT, errno.ESTALE})
"""What a download had made was taken away under it; the next attempt makes it anew."""

INVALID_PATH_ERRNOS: Final = frozenset(
    {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ}
)
"""A path that cannot be, as it stands, on this disk."""

_REASONS: Final = {
    errno.ELOOP: "a symbolic link stands in the way",
    errno.ENOTDIR: "what should be a directory is a file or a symbolic link",
    errno.EISDIR: "a directory has this name",
    errno.ENAMETOOLONG: "the name is too long for this disk",
    errno.EILSEQ: "this disk does not take such names",
    errno.EINVAL: "this disk does not take such names",
}


def map_os_error(error: OSError, path: str) -> DownloadError:
    """The error to raise from `error`; `path` is relative to the root, so that nothing tells where the root lies."""
    number = error.errno
    reason = _REASONS.get(number) if number is not None else None
    sentence = f"{path or 'the storage root'}: {reason or error.strerror or type(error).__name__}"
    if number in FULL_ERRNOS:
        return InsufficientStorageError(sentence)
    if number in INVALID_PATH_ERRNOS:
        return InvalidPathError(sentence)
    return StorageError(sentence, transient=number in BUSY_ERRNOS | REMOVED_ERRNOS)
