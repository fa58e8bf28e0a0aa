"""What the operating system says about the disk, in the words of the error table.

The one place where this room turns an `OSError` into a `DownloadError`. Pure: no I/O and no clock.
"""

import errno
from typing import Final

from downloadd.errors import DownloadError, InsufficientStorageError, InvalidPathError, StorageError

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No room: of the disk, of the quota, or for one file."""

BUSY: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""No descriptor is left, until something else is done with its own."""

REMOVED: Final = frozenset({errno.ENOENT, errno.ESTALE})
"""What a download had made was taken away under it; the next attempt makes it anew."""

IMPOSSIBLE_PATH: Final = frozenset(
    {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ}
)
"""A path that cannot be, as it stands, on this disk."""

_SENTENCES: Final = {
    errno.ELOOP: "a symbolic link stands in the way",
    errno.ENOTDIR: "what should be a directory is a file or a symbolic link",
    errno.EISDIR: "a directory has this name",
    errno.ENAMETOOLONG: "the name is too long for this disk",
    errno.EILSEQ: "this disk does not take such names",
    errno.EINVAL: "this disk does not take such names",
}


def translate(error: OSError, path: str) -> DownloadError:
    """The error to raise from `error`; `path` is relative to the root, so that nothing tells where the root lies."""
    number = error.errno
    reason = _SENTENCES.get(number) if number is not None else None
    sentence = f"{path or 'the storage root'}: {reason or error.strerror or type(error).__name__}"
    if number in FULL:
        return InsufficientStorageError(sentence)
    if number in IMPOSSIBLE_PATH:
        return InvalidPathError(sentence)
    return StorageError(sentence, passing=number in BUSY | REMOVED)
