"""Syncs of names to stable storage."""

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Sync the names in a directory, so that they survive a power failure. Blocks.

    Raises:
        OSError: the directory cannot be opened or synced.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
