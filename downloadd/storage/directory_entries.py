"""Names in a directory of a storage root, for users. All of it runs in threads."""

import os
from contextlib import suppress
from heapq import nsmallest

import msgspec

from downloadd.download import join_path
from downloadd.errors import InvalidPathError, NotFoundError
from downloadd.storage.names import SafeDirectory, parse_directory, parse_filename
from downloadd.storage.root import StorageRoot, is_missing


class DirectoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A finished file or a directory."""

    name: str
    is_directory: bool
    size: int
    """Bytes; 0 for a directory."""
    modified: int
    """Unix seconds."""


def list_entries(root: StorageRoot, directory: SafeDirectory, *, after: str, limit: int) -> list[DirectoryEntry]:
    """Return up to `limit` entries whose names come after `after`, ordered by name.

    Hidden names, which part files have, links, special files, and names that no download can have are left out.

    Raises:
        NotFoundError: there is no such directory, or a segment of it is a link.
    """
    try:
        with root.open_directory(directory) as directory_fd, os.scandir(directory_fd) as found:
            names = (each for each in found if each.name > after and _is_shown(directory, each))
            return [_describe(each) for each in nsmallest(limit, names, key=lambda each: each.name)]
    except OSError as error:
        if is_missing(error):
            raise NotFoundError(f"there is no directory {directory or '/'}") from error
        raise


def _is_shown(directory: SafeDirectory, entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("."):
        return False
    with suppress(InvalidPathError, OSError):
        if entry.is_dir(follow_symlinks=False):
            return bool(parse_directory(join_path(directory, entry.name)))
        return entry.is_file(follow_symlinks=False) and parse_filename(entry.name) == entry.name
    return False


def _describe(entry: os.DirEntry[str]) -> DirectoryEntry:
    is_directory = entry.is_dir(follow_symlinks=False)
    status = entry.stat(follow_symlinks=False)
    return DirectoryEntry(
        name=entry.name,
        is_directory=is_directory,
        size=0 if is_directory else status.st_size,
        modified=int(status.st_mtime),
    )
