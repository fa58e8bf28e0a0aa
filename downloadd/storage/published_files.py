"""Identity of published files, and their removal. All of it runs in threads."""

import errno
import os
import stat
import threading
from typing import Final

from downloadd.download import join_path
from downloadd.errors import FileChangedError
from downloadd.storage.names import SafeDirectory, SafeName
from downloadd.storage.root import StorageRoot, stat_entry
from downloadd.storage.running_digests import RunningDigests
from downloadd.verify import checksum_algorithm, format_checksum

_BLOCK_BYTES: Final = 1 << 20
_CHANGED: Final = "@"
"""Separator of the time of the last change of status."""

_SECOND_NS: Final = 1_000_000_000
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def identify(status: os.stat_result) -> str:
    """Return the identity of a file. Another file that is there at the same time has another one.

    It has no device number, which may change when the machine restarts. See `identify_published` for files that came
    later.
    """
    return format_identity(status.st_ino, status.st_size, status.st_mtime_ns)


def format_identity(inode: int, size: int, modified_ns: int) -> str:
    """Return the identity of a file with this status; `modified_ns` in Unix nanoseconds."""
    return f"{inode}-{size}-{modified_ns}"


def identify_published(status: os.stat_result) -> str:
    """Return the identity of a file that has its final name, and the time of the last change of its status (ctime).

    A later file can have inode, size and modification time of an earlier one: inodes are used again, and the
    modification time is set to that of the origin. No program can set the ctime. It is left out in whole seconds: such
    a file system has coarse times, or none but the modification time, and two files can have the same one.
    """
    changed_ns = status.st_ctime_ns
    return f"{identify(status)}{_CHANGED}{changed_ns}" if changed_ns % _SECOND_NS else identify(status)


def is_as_published(status: os.stat_result, identity: str | None) -> bool:
    """Return True if a file was not touched since `identify_published` returned this identity.

    False if that is unknown, and for each change of its status: a new name, a hard link, another owner or mode.
    """
    return identity is not None and _CHANGED in identity and identify_published(status) == identity


def has_identity(status: os.stat_result, identity: str | None) -> bool:
    """Return True if a file has inode, size and modification time of an identity; its status may be changed since."""
    return identity is not None and identify(status) == identity.partition(_CHANGED)[0]


def is_unchanged(status: os.stat_result, identity: str) -> bool:
    """Return True if a file has size and modification time of an identity.

    Its inode may have another number: some file systems number their files anew when they are mounted.
    """
    return identify(status).partition("-")[2] == identity.partition(_CHANGED)[0].partition("-")[2]


def remove_published(
    root: StorageRoot,
    directory: SafeDirectory,
    filename: SafeName,
    *,
    identity: str | None,
    checksum: str | None,
    is_cancelled: threading.Event,
) -> int | None:
    """Remove a published file, and return its size; None if there is no file of this name.

    Args:
        root: the storage root.
        directory: its directory.
        filename: its name.
        identity: what `identify_published` returned of it when it was published; None if that was not recorded.
        checksum: of its bytes, in the normal form of `verify`; asked if the identity is another one, for example on a
            disk that numbers files anew when it is mounted.
        is_cancelled: ends the computation of the checksum when it is set; the file stays then.

    Raises:
        FileChangedError: the file of this name is not the one that was published, or cannot be recognised.
        OSError: it cannot be removed.
    """
    path = join_path(directory, filename)
    try:
        with root.open_directory(directory) as directory_fd:
            status = stat_entry(filename, directory_fd)
            if status is None:
                return None
            if not stat.S_ISREG(status.st_mode):
                raise FileChangedError(f"{path} is not a file any more")
            if not has_identity(status, identity):
                if checksum is None:
                    reason = "is not the file" if identity else "cannot be recognised as the file"
                    raise FileChangedError(f"{path} {reason} that this download published; remove it by hand")
                status = _verify_checksum(path, filename, directory_fd, checksum, is_cancelled)
            # As late as possible: no call removes a file only if it is a certain one.
            found = stat_entry(filename, directory_fd)
            if found is None or identify(found) != identify(status):
                raise FileChangedError(f"{path} was changed meanwhile")
            os.unlink(filename.encode(), dir_fd=directory_fd)
            return status.st_size
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise FileChangedError(f"a directory of {path} is a file or a symbolic link now") from error
        raise


def _verify_checksum(
    path: str, filename: SafeName, directory_fd: int, checksum: str, is_cancelled: threading.Event
) -> os.stat_result:
    """Return the status of a file that has this checksum."""
    algorithm = checksum_algorithm(checksum)
    fd = os.open(filename.encode(), _OPEN_FLAGS, dir_fd=directory_fd)
    try:
        status = os.fstat(fd)
        digests = RunningDigests([algorithm])
        while not is_cancelled.is_set() and (block := os.pread(fd, _BLOCK_BYTES, digests.position)):
            digests.update([block], digests.position)
    finally:
        os.close(fd)
    if is_cancelled.is_set() or format_checksum(algorithm, digests.hexdigest(algorithm)) != checksum:
        raise FileChangedError(f"{path} has other bytes than the file that this download published")
    return status
