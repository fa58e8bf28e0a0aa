"""Syncs of files and directories to stable storage, as far as the disk supports them."""

import errno
import os
import stat
import threading
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger()

UNSUPPORTED_ERRNOS: Final = frozenset(
    {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EISDIR, errno.EACCES, errno.EPERM}
)
"""Errors of file systems that have no sync for files or, more often, for directories (SMB, FUSE).

A failed write to the disk has other errors (EIO, ENOSPC, EDQUOT), which are raised.
"""


class DiskSync:
    """Syncs for all files of a storage root; any thread may call it.

    That a file system has none is logged once.

    Args:
        is_enabled: False for `fsync = false`; then nothing is synced.
    """

    def __init__(self, *, is_enabled: bool) -> None:
        self._is_enabled = is_enabled
        self._lock = threading.Lock()
        self._logged: set[tuple[int, str]] = set()

    def sync(self, fd: int) -> None:
        """Sync a file or directory.

        Raises:
            OSError: the disk failed to write it.
        """
        self._call(os.fsync, fd)

    def sync_data(self, fd: int) -> None:
        """Sync the bytes of a file, ahead of its end.

        Raises:
            OSError: the disk failed to write them.
        """
        self._call(os.fdatasync, fd)

    def _call(self, sync: Callable[[int], None], fd: int) -> None:
        if not self._is_enabled:
            return
        try:
            sync(fd)
        except OSError as error:
            if error.errno not in UNSUPPORTED_ERRNOS:
                raise
            status = os.fstat(fd)
            kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
            with self._lock:
                if (status.st_dev, kind) in self._logged:
                    return
                self._logged.add((status.st_dev, kind))
            log.warning("sync_unsupported", kind=kind, reason=error.strerror)
