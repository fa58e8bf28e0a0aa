"""Folder on a file system in memory, whose fsync takes no time."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")

MIN_FREE_BYTES: Final = 1 << 30
"""Free space with which the files of all fast tests may lie in a folder; they take 300 MB."""


def may_hold_all_files(folder: Path = MEMORY) -> bool:
    """Return True if a folder exists, with room for the files of all fast tests, and extended attributes for some."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.setxattr(file.fileno(), "user.test", b"")
        return shutil.disk_usage(folder).free >= MIN_FREE_BYTES
    except OSError:
        return False
