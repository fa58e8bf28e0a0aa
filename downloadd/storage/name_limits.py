"""Longest names that the file systems below a storage root take."""

import errno
import os
from typing import Final

from downloadd.storage.names import MAX_NAME_BYTES, MIN_NAME_BYTES, SafeDirectory, parse_directory
from downloadd.storage.root import StorageRoot

MAX_KNOWN_DIRECTORIES: Final = 4096
"""Directories whose limit is kept; with more, all are measured again."""


class NameLimits:
    """Bytes of the longest name in each directory, from `MIN_NAME_BYTES` to `MAX_NAME_BYTES`; measured once."""

    def __init__(self, root: StorageRoot) -> None:
        self._root = root
        self._known: dict[SafeDirectory, int] = {}

    def find_known(self, directory: SafeDirectory) -> int | None:
        """Return the limit of a directory if it was measured; None otherwise. Any thread may call it."""
        return self._known.get(directory)

    def invalidate(self) -> None:
        """Discard all limits, after the root has changed."""
        self._known.clear()

    def measure(self, directory: SafeDirectory) -> int:
        """Return the limit of a directory, or of its nearest parent that exists. Call it in a thread.

        Raises:
            StorageRootMissingError: the root is missing.
        """
        known = self._known.get(directory)
        if known is not None:
            return known
        try:
            with self._root.open_directory(directory) as directory_fd:
                limit = measure_name_limit(directory_fd)
        except OSError:
            # Not made yet, or not usable: the error comes when it is used.
            parent = parse_directory(directory.rpartition("/")[0])
            return MAX_NAME_BYTES if parent == directory else self.measure(parent)
        if len(self._known) >= MAX_KNOWN_DIRECTORIES:
            self._known.clear()
        self._known[directory] = limit
        return limit


def measure_name_limit(directory_fd: int) -> int:
    """Return the bytes of the longest name that a directory takes, from `MIN_NAME_BYTES` to `MAX_NAME_BYTES`.

    A limit in characters is taken as one in bytes. What the file system states (`f_namemax`) is tried, since some state
    none, or that of the file system below them.
    """
    stated = os.fstatvfs(directory_fd).f_namemax
    highest = stated if MIN_NAME_BYTES <= stated <= MAX_NAME_BYTES else MAX_NAME_BYTES
    if not _is_too_long(highest, directory_fd):
        return highest
    lowest = MIN_NAME_BYTES
    while highest - lowest > 1:
        middle = (lowest + highest) // 2
        if _is_too_long(middle, directory_fd):
            highest = middle
        else:
            lowest = middle
    return lowest


def _is_too_long(nbytes: int, directory_fd: int) -> bool:
    try:
        os.stat(b"x" * nbytes, dir_fd=directory_fd, follow_symlinks=False)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False
