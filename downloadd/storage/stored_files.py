"""Reading of a storage root: final files, directories and their sizes. All of it runs in threads."""

import errno
import os
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from heapq import nsmallest
from typing import Final

from downloadd.download import join_path
from downloadd.errors import InvalidPathError
from downloadd.storage.names import (
    ROOT_MARKER_NAME,
    PartName,
    SafeDirectory,
    SafeName,
    format_part_name,
    parse_directory,
    parse_filename,
)
from downloadd.storage.published_files import has_identity
from downloadd.storage.publisher import Publisher
from downloadd.storage.root import StorageRoot, is_missing, stat_entry

_MISSING_NAME: Final = parse_filename("missing")


def open_file(root: StorageRoot, directory: SafeDirectory, filename: SafeName) -> int:
    """Return the descriptor of a final file, opened for reading and not through a link."""
    with root.open_directory(directory) as directory_fd:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(filename.encode(), flags, dir_fd=directory_fd)


def list_directories(root: StorageRoot, parent: SafeDirectory, start: str, limit: int) -> list[SafeDirectory]:
    """Return up to `limit` directories in `parent` whose names begin with `start`, in order.

    Hidden directories, links, and directories that no download can be in, are left out.
    """
    found: list[SafeDirectory] = []
    with (
        suppress(FileNotFoundError, NotADirectoryError),
        root.open_directory(parent) as directory_fd,
        os.scandir(directory_fd) as entries,
    ):
        for entry in entries:
            if not entry.name.startswith(start) or entry.name.startswith("."):
                continue
            with suppress(InvalidPathError):
                path = parse_directory(join_path(parent, entry.name))
                if entry.is_dir(follow_symlinks=False):
                    found.append(path)
    return nsmallest(limit, found)


def count_bytes(root: StorageRoot, top: SafeDirectory, excluded: frozenset[str]) -> int:
    """Return the bytes of all files below a directory, without the mark of the root and the `excluded` paths."""
    total = 0
    pending = [top]
    while pending:
        directory = pending.pop()
        try:
            with root.open_directory(directory) as directory_fd, os.scandir(directory_fd) as entries:
                for entry in entries:
                    path = join_path(directory, os.fsdecode(entry.name))
                    if entry.is_dir(follow_symlinks=False):
                        # A directory that no download can be in does not count.
                        with suppress(InvalidPathError):
                            pending.append(parse_directory(path))
                    elif entry.is_file(follow_symlinks=False) and path not in excluded and path != ROOT_MARKER_NAME:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError as error:
            if not is_missing(error):
                raise
    return total


def complete_publication(
    root: StorageRoot,
    publisher: Publisher,
    *,
    directory: SafeDirectory,
    filename: SafeName,
    total: int,
    parts: Sequence[PartName],
    part_directory: SafeDirectory,
    identity: str | None = None,
) -> bool:
    """Complete a publication that a crash has interrupted; return False if the final file is not in place.

    It is in place when `filename` exists with `total` bytes, and the part file is missing or is the same file; it may
    have any of the names `parts`. Then these are removed, and the final name is synced, because the crash may have come
    before that. With an `identity`, there was no part file, and the final file must have it.
    """
    try:
        with root.open_directory(directory) as directory_fd:
            final = stat_entry(filename, directory_fd)
            if final is None or not stat.S_ISREG(final.st_mode) or final.st_size != total:
                return False
            if identity is not None and not has_identity(final, identity):
                return False
            if parts and not _remove_linked_parts(root, part_directory, parts, final):
                return False
            publisher.sync(directory_fd)
            return True
    except OSError as error:
        if is_missing(error):
            return False
        raise


def _remove_linked_parts(
    root: StorageRoot, directory: SafeDirectory, parts: Sequence[PartName], published: os.stat_result
) -> bool:
    """Remove the names of a part file that is the `published` file too; return False if it is another file."""
    try:
        with root.open_directory(directory) as directory_fd:
            unfinished = {part: found for part in parts if (found := stat_entry(part, directory_fd)) is not None}
            if not all(os.path.samestat(published, found) for found in unfinished.values()):
                return False
            for part in unfinished:
                os.unlink(part.encode(), dir_fd=directory_fd)
    except OSError as error:
        # Without its directory, the part is missing.
        if not is_missing(error):
            raise
    return True


def can_rename(root: StorageRoot, directory: SafeDirectory, to: SafeDirectory) -> bool:
    """Return True if both directories, or the nearest above them that are there, are on one file system.

    Another mount of the same file system counts as another one: rename(2) does not cross it.
    """
    with _open_nearest(root, directory) as directory_fd, _open_nearest(root, to) as to_fd:
        if os.fstat(directory_fd).st_dev != os.fstat(to_fd).st_dev:
            return False
        missing = format_part_name(_MISSING_NAME, str(uuid.uuid4()), 0).encode()
        try:
            # The kernel compares the mounts before it looks the name up.
            os.rename(missing, missing, src_dir_fd=directory_fd, dst_dir_fd=to_fd)
        except OSError as error:
            return error.errno != errno.EXDEV
    return True


@contextmanager
def _open_nearest(root: StorageRoot, directory: SafeDirectory) -> Iterator[int]:
    """Open a directory, or the nearest above it that is there."""
    with ExitStack() as stack:
        try:
            directory_fd = stack.enter_context(root.open_directory(directory))
        except FileNotFoundError:
            if not directory:
                raise
            parent = parse_directory(directory.rpartition("/")[0])
            directory_fd = stack.enter_context(_open_nearest(root, parent))
        yield directory_fd
