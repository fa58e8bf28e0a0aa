"""The storage root and the directories below it.

Each directory is opened relative to the descriptor of its parent, and never through a symbolic link. So neither a link
in the tree nor one that is made between a check and its use leads out of the root.
"""

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

from downloadd.directory_settings import DirectorySettings
from downloadd.errors import StorageAwayError, StorageError, StorageRootMissingError
from downloadd.root_identity import RootIdentity
from downloadd.storage.attributes import FileAttributes
from downloadd.storage.disk_space import DiskSpace, measure_disk_space
from downloadd.storage.disk_sync import DiskSync
from downloadd.storage.names import SafeDirectory, parse_directory
from downloadd.storage.os_errors import Cause, find_cause
from downloadd.storage.root_lock import DIRECTORY_FLAGS, LOCK_TIMEOUT_SECONDS, open_locked
from downloadd.storage.root_verifier import RootVerifier
from downloadd.storage.write_trial import detect_invalid_name, try_linking, try_writing

_DIRECTORY_MODE: Final = 0o777
"""Mode of a directory that is made, before the umask or the default access control list of its parent."""


class StorageRoot:
    """Directory of all downloads, made at the start if it is missing. A context manager that opens and closes it.

    If another directory is found at its path later, for example because a disk was mounted there, that one is the root
    from then on. A missing root is not made again: it may be on a disk that will be mounted again.

    A root that does not answer at the start (its server is down) is missing, too.

    All methods block, so they belong in a thread. Names are passed to the operating system as UTF-8 in every locale.

    Args:
        path: path of the root; symbolic links in it are resolved when it is opened.
        fsync: sync directories that are made to stable storage.
        directory_settings: returns the settings of a directory; they set owner and mode of directories that are made.
        on_change: called in any thread when the root is found missing or replaced.
        attributes: sets owners and modes.
        verifier: compares the root with the one that was used before; by default any is used, and none is marked.
        is_shared: other processes may open the root too, if they share it as well.

    Attributes:
        generation: counts the directories that have been the root; files opened in an earlier one are not in this one.

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
        attributes: FileAttributes | None = None,
        verifier: RootVerifier | None = None,
        is_shared: bool = False,
    ) -> None:
        self.generation = 0
        self._is_shared = is_shared
        self._path = os.fspath(path)
        self._fsync = fsync
        self._sync = DiskSync(is_enabled=fsync)
        self._directory_settings = directory_settings
        self._on_change = on_change
        self._attributes = attributes or FileAttributes()
        self._verifier = verifier
        self._reopen_lock = threading.Lock()
        self._fd = -1
        self._real_path = self._path
        self._initial_status: os.stat_result | None = None
        self._was_mounted = False

    def __enter__(self) -> Self:
        try:
            self._open_first()
        except OSError as error:
            if find_cause(error) is not Cause.AWAY:
                self.__exit__(None, None, None)
                raise StorageError(
                    f"the storage root {self._path} cannot be used: {_unusable_reason(error)} (storage.root)"
                ) from error
            if self._fd < 0:
                # In its place until the first use opens the root.
                self._fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        return self

    def _open_first(self) -> None:
        _make_root(self._path)
        self._real_path = os.path.realpath(self._path, strict=True)
        self._fd = open_locked(self._real_path, is_shared=self._is_shared, timeout=LOCK_TIMEOUT_SECONDS)
        self._initial_status = os.fstat(self._fd)
        self._was_mounted = os.path.ismount(self._real_path)
        if self._verifier is not None:
            self._verifier.verify(self._fd, self._real_path, is_replacement=False)
            if self._verifier.is_shared:
                self._require_shareable(self._verifier.difference)
        self._try_writing(self._fd)

    def _require_shareable(self, difference: str | None) -> None:
        """Refuse a root that is another one than that of the other nodes, or in which names cannot be given once."""
        if difference is not None:
            raise OSError(errno.EINVAL, difference)
        try:
            try_linking(self._fd)
        except OSError as error:
            if find_cause(error) is Cause.AWAY:
                raise
            raise OSError(
                errno.EINVAL,
                f"it has no hard links ({error.strerror}), by which nodes give each file its name exactly once; use a "
                "file system that has them",
            ) from error

    def _try_writing(self, fd: int) -> None:
        """Try to write in a root, unless it is one that may not be used."""
        if self._verifier is None or self._verifier.difference is None:
            try:
                try_writing(fd)
            except PermissionError as error:
                raise PermissionError(error.errno, "no permission to write in it") from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def try_writing_in(self, directory: SafeDirectory) -> None:
        """Try to write in a directory, or in the nearest above it that is there.

        Raises:
            OSError: it takes no writes.
        """
        try:
            with self.open_directory(directory) as directory_fd:
                try_writing(directory_fd)
        except FileNotFoundError:
            if directory:
                self.try_writing_in(parse_directory(directory.rpartition("/")[0]))

    @contextmanager
    def open_directory(self, path: SafeDirectory, *, create: bool = False) -> Iterator[int]:
        """Open a directory below the root; yield its descriptor.

        Args:
            path: the directory.
            create: make missing directories.

        Raises:
            FileNotFoundError: a directory is missing and `create` is false.
            NotADirectoryError: a segment is a file or a symbolic link.
            StorageRootMissingError: the root is missing.
            OSError: any other error of the operating system.
        """
        self.check()
        fd = os.dup(self._fd)
        try:
            segments = path.split("/") if path else []
            for depth, segment in enumerate(segments, 1):
                child = self._open_segment(fd, segment.encode(), path="/".join(segments[:depth]) if create else None)
                os.close(fd)
                fd = child
            yield fd
        finally:
            os.close(fd)

    @property
    def descriptor(self) -> int:
        """Return the descriptor of the root, which holds its lock."""
        return self._fd

    def measure_space(self) -> DiskSpace:
        """Return the space of the file system of the root.

        Raises:
            StorageRootMissingError: the root is missing.
        """
        self.check()
        return measure_disk_space(self._fd)

    def check(self, generation: int | None = None) -> None:
        """Check that the root is at its path, and open the directory that is there now if it was replaced.

        Args:
            generation: the generation that the caller needs.

        Raises:
            StorageRootMissingError: the root is missing, is not the one that was used before, or is not of that
                generation.
        """
        self._follow_path()
        if self._verifier is not None and self._verifier.difference is not None:
            if self._verifier.is_shared:
                # It may have got its marker from another node.
                self._verifier.verify(self._fd, self._real_path, is_replacement=False)
            if self._verifier.difference is not None:
                raise StorageRootMissingError(self._verifier.difference)
        if generation is not None and generation != self.generation:
            raise StorageRootMissingError("the storage root was replaced; the part file is not in this one")

    def try_writing(self) -> None:
        """Check that the root is there, and takes writes.

        Raises:
            StorageAwayError: it is missing, or does not.
        """
        self.check()
        try:
            try_writing(self._fd, self._sync.sync)
        except OSError as error:
            raise StorageAwayError(
                f"the storage root takes no writes ({error.strerror}); the downloads continue when it does"
            ) from error

    def accept(self) -> RootIdentity:
        """Use the root that is there, though it is not the one that was used before; return its identity.

        Raises:
            StorageRootMissingError: the root is missing.
        """
        self._follow_path()
        verifier = self._verifier or RootVerifier(None, fsync=self._fsync, on_identified=lambda identity: None)
        identity = verifier.accept(self._fd, self._real_path)
        self._on_change()
        return identity

    def _follow_path(self) -> None:
        """Open the directory that is at the path now, if it is another one."""
        if not self._is_current():
            try:
                self._reopen()
            finally:
                self._on_change()

    def _is_current(self) -> bool:
        if self._initial_status is None:
            # None was opened yet.
            return False
        try:
            return os.path.samestat(os.stat(self._real_path), os.fstat(self._fd))
        except PermissionError:
            # A path that may not be read need not be missing.
            return True
        except OSError:
            return False

    def _reopen(self) -> None:
        with self._reopen_lock:
            if self._is_current():
                # Another thread has opened it.
                return
            try:
                real_path = os.path.realpath(self._path, strict=True)
                fd = open_locked(real_path, is_shared=self._is_shared)
            except OSError as error:
                raise _missing_error(error) from error
            try:
                is_mounted = os.path.ismount(real_path)
                # After an unmount the path is the empty mount point, which is not the root.
                if self._was_mounted and not is_mounted and not self._is_initial(fd):
                    raise StorageRootMissingError("the storage root is gone (no disk is mounted there); put it back")
                # False for a root that did not answer at the start.
                is_replacement = self._initial_status is not None
                if is_replacement:
                    self._try_writing(fd)
                else:
                    self._initial_status = os.fstat(fd)
                # Atomic, so that no thread finds the descriptor closed or reused.
                os.dup2(fd, self._fd, inheritable=False)
                self.generation += 1
                self._real_path, self._was_mounted = real_path, is_mounted
                if self._verifier is not None:
                    self._verifier.verify(self._fd, real_path, is_replacement=is_replacement)
            except OSError as error:
                raise _missing_error(error) from error
            finally:
                os.close(fd)

    def _is_initial(self, fd: int) -> bool:
        return self._initial_status is not None and os.path.samestat(os.fstat(fd), self._initial_status)

    def _open_segment(self, parent: int, segment: bytes, *, path: str | None) -> int:
        """Return the descriptor of a directory in `parent`; make it if it is missing and a `path` is given."""
        try:
            return os.open(segment, DIRECTORY_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            if path is None:
                raise
        directory_settings = self._directory_settings(path)
        configured = directory_settings.mode
        # It is opened before its exact mode is set.
        mode = _DIRECTORY_MODE if configured is None else directory_mode(configured) | stat.S_IRWXU
        # Another download may make the same directory at the same time.
        made = False
        with suppress(FileExistsError), detect_invalid_name(parent):
            os.mkdir(segment, mode, dir_fd=parent)
            made = True
            self._sync.sync(parent)
        fd = os.open(segment, DIRECTORY_FLAGS, dir_fd=parent)
        if made:
            try:
                self._apply_attributes(fd, path, directory_settings)
            except BaseException:
                os.close(fd)
                raise
        return fd

    def _apply_attributes(self, fd: int, path: str, directory_settings: DirectorySettings) -> None:
        # A directory that another user has put in its place is not changed.
        if os.fstat(fd).st_uid != os.geteuid():
            return
        if directory_settings.mode is not None:
            self._attributes.set_mode(fd, directory_mode(directory_settings.mode), path, is_configured=True)
        # Last: with CAP_CHOWN alone, only the owner may change the mode.
        if directory_settings.owner is not None:
            self._attributes.set_owner(fd, directory_settings.owner, path)


def _make_root(path: str) -> None:
    """Make a missing root; one that cannot be read is not missing."""
    try:
        os.stat(path)
    except FileNotFoundError:
        os.makedirs(path, _DIRECTORY_MODE, exist_ok=True)


def _missing_error(error: OSError) -> StorageRootMissingError:
    return StorageRootMissingError(f"the storage root is gone ({_unusable_reason(error)}); put it back")


def _unusable_reason(error: OSError) -> str:
    match error:
        case BlockingIOError():
            return "it is in use by another downloadd"
        case FileExistsError() | NotADirectoryError():
            return "it is not a directory"
        case OSError(errno=errno.EROFS):
            return f"{error.strerror}; a systemd service needs the path in ReadWritePaths of its unit"
        case _:
            return error.strerror or type(error).__name__


def directory_mode(mode: int) -> int:
    """Return the mode of a directory whose files have `mode`; readers of the files may enter the directory."""
    return mode | (mode & 0o444) >> 2


def stat_entry(name: str, directory_fd: int) -> os.stat_result | None:
    """Return the status of the entry of this name, without following links; None if there is none."""
    try:
        return os.stat(name.encode(), dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_missing(error: OSError) -> bool:
    """Return True if the error says that a directory of the path is missing or is not a directory."""
    return error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
