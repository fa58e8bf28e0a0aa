"""No way out of the root.

Every directory is opened relative to the descriptor of the one above it, and never through a symbolic link. So
neither a link in the tree nor one that is slipped in between a check and its use leads outside.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

import msgspec

from downloadd.directory_settings import DirectorySettings
from downloadd.errors import StorageError, StorageRootMissingError
from downloadd.storage.names import SafeDirectory

_DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_DIRECTORY_MODE: Final = 0o755


class DiskSpace(msgspec.Struct, frozen=True, kw_only=True):
    """The room of a file system."""

    free: int
    """Bytes that an unprivileged process may still write."""
    capacity: int
    """Bytes of all that it can hold."""


class StorageRoot:
    """The directory that holds everything; made when it is missing at the start. A `with` opens and closes it.

    When another directory lies at its path later, because a disk was mounted there, say, that one is the root from then
    on. While there is none, it is waited for and never made: it may lie on a disk that is about to be mounted again.

    All methods block, so they belong in a thread. Names go to the operating system as UTF-8, whatever the locale.

    Args:
        path: where the root lies; symbolic links in it are resolved when it is opened.
        fsync: whether a directory that was made is brought to stable storage.
        directory_settings: those of a directory; say whose one that is made becomes.
        on_change: told, by any thread, when the root is found to be gone or another one.

    Attributes:
        generation: of how many directories this one is the last; what was opened below an earlier one is not in it.

    Raises:
        StorageError: on entering, when the root cannot be made, opened or written to, or is in use.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fsync: bool,
        directory_settings: Callable[[str], DirectorySettings] = lambda directory: DirectorySettings(),
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.generation = 0
        self._path = os.fspath(path)
        self._fsync = fsync
        self._directory_settings = directory_settings
        self._on_change = on_change
        self._reopen_lock = threading.Lock()
        self._fd = -1
        self._real_path = self._path
        self._initial_status: os.stat_result | None = None
        self._was_mounted = False

    def __enter__(self) -> Self:
        try:
            os.makedirs(self._path, _DIRECTORY_MODE, exist_ok=True)
            self._real_path = os.path.realpath(self._path, strict=True)
            self._fd = _open_root(self._real_path)
        except OSError as error:
            raise StorageError(f"the storage root {self._path} cannot be used: {_unusable_reason(error)}") from error
        self._initial_status = os.fstat(self._fd)
        self._was_mounted = os.path.ismount(self._real_path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @contextmanager
    def open_directory(self, path: SafeDirectory, *, create: bool = False) -> Iterator[int]:
        """The descriptor of a directory below the root, for the time of a `with`.

        Args:
            path: where it lies.
            create: whether what is missing on the way is made.

        Raises:
            FileNotFoundError: a directory is missing and `create` is false.
            NotADirectoryError: something on the way is a file or a symbolic link.
            StorageRootMissingError: the root is not there.
            OSError: whatever else the operating system says.
        """
        self.check()
        fd = os.dup(self._fd)
        try:
            segments = path.split("/") if path else []
            for depth, segment in enumerate(segments, 1):
                below = self._open_segment(fd, segment.encode(), path="/".join(segments[:depth]) if create else None)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def measure_space(self) -> DiskSpace:
        """How much room the file system of the root has.

        Raises:
            StorageRootMissingError: the root is not there.
        """
        self.check()
        return measure_disk_space(self._fd)

    def check(self, generation: int | None = None) -> None:
        """Sees to it that the root lies at its path, or turns to the one that lies there now.

        Args:
            generation: the one that is needed.

        Raises:
            StorageRootMissingError: there is none, or it is not the one that is needed.
        """
        if not self._is_current():
            try:
                self._reopen()
            finally:
                self._on_change()
        if generation is not None and generation != self.generation:
            raise StorageRootMissingError("the storage root was exchanged meanwhile; what had come is not in this one")

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._real_path), os.fstat(self._fd))
        except PermissionError:
            # What may not be looked at need not be gone.
            return True
        except OSError:
            return False

    def _reopen(self) -> None:
        with self._reopen_lock:
            if self._is_current():
                # Somebody else was faster.
                return
            try:
                place = os.path.realpath(self._path, strict=True)
                fd = _open_root(place)
            except OSError as error:
                raise StorageRootMissingError(
                    f"the storage root is gone ({_unusable_reason(error)}); put it back"
                ) from error
            try:
                is_mounted = os.path.ismount(place)
                # Below a disk that was unmounted, its mount point comes to light, which nobody means.
                if self._was_mounted and not is_mounted and not self._is_initial(fd):
                    raise StorageRootMissingError(
                        "the storage root is gone (nothing is mounted there any more); put it back"
                    )
                # In one step, so that nobody finds the number closed, or another file under it.
                os.dup2(fd, self._fd, inheritable=False)
                self.generation += 1
                self._real_path, self._was_mounted = place, is_mounted
            finally:
                os.close(fd)

    def _is_initial(self, fd: int) -> bool:
        return self._initial_status is not None and os.path.samestat(os.fstat(fd), self._initial_status)

    def _open_segment(self, parent: int, segment: bytes, *, path: str | None) -> int:
        """The descriptor of a directory in `parent`; with a `path`, one that is missing is made."""
        try:
            return os.open(segment, _DIRECTORY_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            if path is None:
                raise
        # Another download may make the same directory at this moment.
        made = False
        with suppress(FileExistsError), detect_invalid_name(parent):
            os.mkdir(segment, _DIRECTORY_MODE, dir_fd=parent)
            made = True
            if self._fsync:
                os.fsync(parent)
        fd = os.open(segment, _DIRECTORY_FLAGS, dir_fd=parent)
        if made:
            try:
                self._apply_attributes(fd, self._directory_settings(path))
            except BaseException:
                os.close(fd)
                raise
        return fd

    def _apply_attributes(self, fd: int, directory_settings: DirectorySettings) -> None:
        # What somebody has put in the place of the directory meanwhile stays as it is.
        if os.fstat(fd).st_uid != os.geteuid():
            return
        if directory_settings.owner is not None:
            os.fchown(fd, *directory_settings.owner)
        if directory_settings.mode is not None:
            os.fchmod(fd, directory_mode(directory_settings.mode))


def _open_root(path: str) -> int:
    """Opens a directory for this daemon alone.

    Raises:
        OSError: it is not there, no directory, not to be written to, or in use (EWOULDBLOCK).
    """
    fd = os.open(path, _DIRECTORY_FLAGS)
    try:
        try:
            # A second daemon would take the parts of this one for stray, and remove them.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # Not every network file system knows locks.
            if error.errno not in {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}:
                raise
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=fd, effective_ids=True):
            raise PermissionError(errno.EACCES, "no permission to write in it")
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_locked(directory_fd: int) -> bool:
    """Whether a directory is the root of another daemon at this moment, as far as the file system knows locks."""
    try:
        fcntl.flock(directory_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.flock(directory_fd, fcntl.LOCK_UN)
    return False


def _unusable_reason(error: OSError) -> str:
    match error:
        case BlockingIOError():
            return "it is in use by another downloadd"
        case FileExistsError() | NotADirectoryError():
            return "it is no directory"
        case _:
            return error.strerror or type(error).__name__


def measure_disk_space(place: int | os.PathLike[str]) -> DiskSpace:
    """How much room the file system has that a path or descriptor lies on."""
    space = os.statvfs(place)
    return DiskSpace(free=space.f_bavail * space.f_frsize, capacity=space.f_blocks * space.f_frsize)


def directory_mode(mode: int) -> int:
    """The permission bits of a directory whose files have `mode`: who may read them may enter it."""
    return mode | (mode & 0o444) >> 2


def stat_entry(name: str, directory_fd: int) -> os.stat_result | None:
    """The status of what has this name itself, links not followed; None when nothing has."""
    try:
        return os.stat(name.encode(), dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


@contextmanager
def detect_invalid_name(directory_fd: int) -> Iterator[None]:
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


def is_missing(error: OSError) -> bool:
    """Whether a directory is not there, or lies behind something that is no directory."""
    return error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
