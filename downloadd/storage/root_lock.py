"""Lock of a storage root: one daemon has it alone, or several share it. All of it runs in threads."""

import fcntl
import os
import time
from typing import Final

LOCK_TIMEOUT_SECONDS: Final = 3.0
"""Seconds that a start waits for the lock of the root: the process of a killed daemon may have to finish a call."""

LOCK_POLL_SECONDS: Final = 0.05
"""Seconds between two tries."""

DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags for open(2) of a directory, not through a link."""


def open_locked(path: str, *, is_shared: bool, timeout: float = 0.0) -> int:
    """Open a directory and lock it; return the descriptor, which holds the lock.

    The lock is of the open file: it is free when all processes that have inherited the descriptor have ended.

    Args:
        path: the directory, without links.
        is_shared: others may lock it too, if they share it as well.
        timeout: seconds to wait for the lock.

    Raises:
        OSError: it is missing, not a directory, or locked by another daemon (EWOULDBLOCK).
    """
    fd = os.open(path, DIRECTORY_FLAGS)
    operation = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    try:
        # A second daemon would remove the part files of this one as stray.
        while not _try_lock(fd, operation, is_required=timeout <= 0):
            time.sleep(LOCK_POLL_SECONDS)
            timeout -= LOCK_POLL_SECONDS
    except BlockingIOError:
        os.close(fd)
        raise
    except OSError:
        # Network file systems that have no locks say so by different errors.
        pass
    return fd


def is_locked(directory_fd: int) -> bool:
    """Return True if a directory is the root of another daemon, as far as the file system supports locks."""
    try:
        # The daemons of a shared root hold a lock that excludes only a lock like this one.
        fcntl.flock(directory_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.flock(directory_fd, fcntl.LOCK_UN)
    return False


def _try_lock(fd: int, operation: int, *, is_required: bool) -> bool:
    """Lock a directory; return False if it is locked by another process, or raise the error."""
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        if is_required:
            raise
        return False
    return True
