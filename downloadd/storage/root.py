"""No way out of the root.

Every directory is opened relative to the descriptor of the one above it, and never through a symbolic link. So
neither a link in the tree nor one that is slipped in between a check and its use leads outside.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

import msgspec

from downloadd.errors import StorageError
from downloadd.storage.names import SafeDirectory
from downloadd.terms import Terms

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_MADE_MODE: Final = 0o755


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """The room of a file system."""

    free: int
    """Bytes that an unprivileged process may still write."""
    capacity: int
    """Bytes of all that it can hold."""


class StorageRoot:
    """The directory that holds everything; opened once, and made when missing. A `with` opens and closes it.

    All methods block, so they belong in a thread. Names go to the operating system as UTF-8, whatever the locale.

    Args:
        path: where the root lies; symbolic links in it are resolved once, at the start.
        fsync: whether a directory that was made is brought to stable storage.
        terms: those of a directory; say whose one that is made becomes.

    Raises:
        StorageError: on entering, when the root cannot be made, opened or written to, or is in use.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, fsync: bool, terms: Callable[[str], Terms] = lambda directory: Terms()
    ) -> None:
        self._path = os.fspath(path)
        self._fsync = fsync
        self._terms = terms
        self._fd = -1

    def __enter__(self) -> Self:
        try:
            os.makedirs(self._path, _MADE_MODE, exist_ok=True)
            path = os.path.realpath(self._path, strict=True)
            self._fd = os.open(path, _DIRECTORY)
        except OSError as error:
            reason = "it is no directory" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
            raise StorageError(f"the storage root {self._path} cannot be used: {reason}") from error
        try:
            # A second daemon would take the parts of this one for stray, and remove them.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.__exit__(None, None, None)
            raise StorageError(f"the storage root {self._path} is in use by another downloadd") from error
        except OSError as error:
            # Not every network file system knows locks.
            if error.errno not in {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}:
                raise
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self._fd, effective_ids=True):
            self.__exit__(None, None, None)
            raise StorageError(f"the storage root {self._path} cannot be used: no permission to write in it")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @contextmanager
    def directory(self, path: SafeDirectory, *, make: bool = False) -> Iterator[int]:
        """The descriptor of a directory below the root, for the time of a `with`.

        Args:
            path: where it lies.
            make: whether what is missing on the way is made.

        Raises:
            FileNotFoundError: a directory is missing and `make` is false.
            NotADirectoryError: something on the way is a file or a symbolic link.
            OSError: whatever else the operating system says.
        """
        fd = os.dup(self._fd)
        try:
            segments = path.split("/") if path else []
            for depth, segment in enumerate(segments, 1):
                below = self._open_segment(fd, segment.encode(), path="/".join(segments[:depth]) if make else None)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def space(self) -> Space:
        """How much room the file system of the root has."""
        return space_of(self._fd)

    def _open_segment(self, parent: int, segment: bytes, *, path: str | None) -> int:
        """The descriptor of a directory in `parent`; with a `path`, one that is missing is made."""
        try:
            return os.open(segment, _DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            if path is None:
                raise
        # Another download may make the same directory at this moment.
        made = False
        with suppress(FileExistsError), making_in(parent):
            os.mkdir(segment, _MADE_MODE, dir_fd=parent)
            made = True
            if self._fsync:
                os.fsync(parent)
        fd = os.open(segment, _DIRECTORY, dir_fd=parent)
        if made:
            try:
                self._dress(fd, self._terms(path))
            except BaseException:
                os.close(fd)
                raise
        return fd

    def _dress(self, fd: int, terms: Terms) -> None:
        # What somebody has put in the place of the directory meanwhile stays as it is.
        if os.fstat(fd).st_uid != os.geteuid():
            return
        if terms.owner is not None:
            os.fchown(fd, *terms.owner)
        if terms.mode is not None:
            os.fchmod(fd, directory_mode(terms.mode))


def space_of(place: int | os.PathLike[str]) -> Space:
    """How much room the file system has that a path or descriptor lies on."""
    space = os.statvfs(place)
    return Space(free=space.f_bavail * space.f_frsize, capacity=space.f_blocks * space.f_frsize)


def directory_mode(mode: int) -> int:
    """The permission bits of a directory whose files have `mode`: who may read them may enter it."""
    return mode | (mode & 0o444) >> 2


def status_of(name: str, directory_fd: int) -> os.stat_result | None:
    """The status of what has this name itself, links not followed; None when nothing has."""
    try:
        return os.stat(name.encode(), dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


@contextmanager
def making_in(directory_fd: int) -> Iterator[None]:
    """Tells a name that this disk does not take, though it says that nothing is there, from a directory that is gone.

    Raises:
        OSError: EINVAL, for what the disk has answered with ENOENT though the directory is there.
    """
    try:
        yield
    except FileNotFoundError as error:
        if os.fstat(directory_fd).st_nlink:
            raise OSError(errno.EINVAL, "the name cannot be made") from error
        raise


def is_out_of_reach(error: OSError) -> bool:
    """Whether a directory is not there, or lies behind something that is no directory."""
    return error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
