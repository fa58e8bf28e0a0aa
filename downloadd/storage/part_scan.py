"""Search for part files below a storage root, for the sweep after start. All of it runs in threads."""

import os
from typing import Final

from downloadd.download import join_path
from downloadd.errors import InvalidPathError, StorageAwayError
from downloadd.storage.destination import PartEntry
from downloadd.storage.names import ROOT_DIRECTORY, SafeDirectory, parse_directory, parse_part_name
from downloadd.storage.root import StorageRoot
from downloadd.storage.root_lock import is_locked

MAX_PARTS_PER_CHUNK: Final = 500
"""Part files in one chunk of a sweep."""

MAX_DIRECTORIES_PER_STEP: Final = 64
"""Directories that one step reads."""


class PartScan:
    """One walk through all directories of a root, in steps.

    Directories that cannot be read, or that no download can be in, are skipped. Links are not followed.
    """

    def __init__(self, root: StorageRoot) -> None:
        self._root = root
        self._pending = [ROOT_DIRECTORY]

    @property
    def is_complete(self) -> bool:
        """True after all directories were read."""
        return not self._pending

    def step(self) -> list[PartEntry]:
        """Read some directories and return the part files in them."""
        found: list[PartEntry] = []
        for _ in range(MAX_DIRECTORIES_PER_STEP):
            if not self._pending or len(found) >= MAX_PARTS_PER_CHUNK:
                break
            directory = self._pending.pop()
            try:
                self._scan_directory(directory, found)
            except (OSError, StorageAwayError):
                # Removed meanwhile, or not readable (lost+found).
                continue
        return found

    def _scan_directory(self, directory: SafeDirectory, found: list[PartEntry]) -> None:
        with self._root.open_directory(directory) as directory_fd, os.scandir(directory_fd) as entries:
            if directory and is_locked(directory_fd):
                # The root of another daemon, whose part files are not stray.
                return
            for entry in entries:
                try:
                    name = os.fsencode(entry.name).decode()
                    if entry.is_dir(follow_symlinks=False):
                        self._pending.append(parse_directory(join_path(directory, name)))
                except (UnicodeDecodeError, InvalidPathError):
                    # No download can be in a directory of this name.
                    continue
                parsed = parse_part_name(name)
                if parsed is not None and entry.is_file(follow_symlinks=False):
                    download_id, epoch = parsed
                    found.append(PartEntry(directory=directory, name=name, download_id=download_id, epoch=epoch))
