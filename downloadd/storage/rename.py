"""Rename that never replaces a file: renameat2(2) with RENAME_NOREPLACE, which Python does not offer."""

import ctypes
import errno
import os
from typing import Final

_RENAME_NOREPLACE: Final = 1

UNSUPPORTED_ERRNOS: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP})
"""Errors of a kernel or a file system that cannot rename without replacing."""


def rename_without_replacing(old: bytes, new: bytes, directory_fd: int, *, to_fd: int | None = None) -> None:
    """Rename an entry of a directory, atomically, to a name that must be free, in the same directory or in `to_fd`.

    Raises:
        FileExistsError: the new name is taken.
        OSError: any other error; one of `UNSUPPORTED_ERRNOS` where such a rename is not supported.
    """
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    function.restype = ctypes.c_int
    if function(directory_fd, old, directory_fd if to_fd is None else to_fd, new, _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
