"""Trials of what a disk permits. All of it runs in threads.

Permission is tried and not asked: access(2) knows nothing of servers, sandboxes and read-only devices, and an old
container engine refuses faccessat2(2) itself.
"""

import errno
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from downloadd.storage.names import PartName, format_part_name, parse_filename
from downloadd.storage.os_errors import Cause, find_cause

_TRIAL_NAME: Final = parse_filename("trial")
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o600

_NAME_ERRNOS: Final = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM})
"""Errors by which some file systems (exFAT, SMB, FUSE) refuse a name, and which have other meanings."""


def try_writing(directory_fd: int, sync: Callable[[int], None] | None = None) -> None:
    """Make a file of one byte in a directory, and remove it.

    A full disk passes: it gives permission. After a kill in between, the sweep of part files removes the file.

    Args:
        directory_fd: the directory.
        sync: syncs the file to stable storage; a disk that is broken may notice it only then.

    Raises:
        OSError: a file cannot be made, written or removed there.
    """
    name = format_part_name(_TRIAL_NAME, str(uuid.uuid4()), 0).encode()
    try:
        fd = os.open(name, _FLAGS, _MODE, dir_fd=directory_fd)
    except OSError as error:
        if find_cause(error) is not Cause.FULL:
            raise
        return
    try:
        os.write(fd, b"\n")
        if sync is not None:
            sync(fd)
    except OSError as error:
        if find_cause(error) is not Cause.FULL:
            raise
    finally:
        os.close(fd)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory_fd)


def try_linking(directory_fd: int) -> None:
    """Give a file in a directory a second name by a hard link, and remove both names. A full disk passes.

    Raises:
        OSError: a file cannot be made or linked there.
    """
    names = [format_part_name(_TRIAL_NAME, str(uuid.uuid4()), epoch).encode() for epoch in (0, 1)]
    try:
        os.close(os.open(names[0], _FLAGS, _MODE, dir_fd=directory_fd))
        os.link(names[0], names[1], src_dir_fd=directory_fd, dst_dir_fd=directory_fd, follow_symlinks=False)
    except OSError as error:
        if find_cause(error) is not Cause.FULL:
            raise
    finally:
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory_fd)


@contextmanager
def detect_invalid_name(directory_fd: int, *, source: tuple[PartName, int] | None = None) -> Iterator[None]:
    """Distinguish a name that the disk does not support from a directory that was removed or may not be written to.

    Args:
        directory_fd: the directory.
        source: name and directory of the file that is given the new name, if it has another one.

    Raises:
        OSError: EINVAL, in place of ENOENT, EACCES or EPERM, if the directory takes a file of another name.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NAME_ERRNOS:
            raise
        try:
            if source is not None:
                name, source_fd = source
                os.stat(name.encode(), dir_fd=source_fd, follow_symlinks=False)
            try_writing(directory_fd)
        except OSError:
            raise error from None
        raise OSError(errno.EINVAL, "the disk does not support the name") from error
