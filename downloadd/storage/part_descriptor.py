"""Descriptor of a part file: opened, adopted, shared by writers, and closed. All of it runs in threads."""

import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from downloadd.storage.names import PartName, SafeDirectory
from downloadd.storage.quotas import QuotaCharge
from downloadd.storage.root import StorageRoot, is_missing, stat_entry
from downloadd.storage.write_trial import detect_invalid_name

PART_MODE: Final = 0o600
"""Mode of a part file: private until it is published."""

_OPEN_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PartClosedError(RuntimeError):
    """The part file is used after it was closed: a bug in the daemon."""

    def __init__(self) -> None:
        super().__init__("the part file is closed")


class PartDescriptor:
    """Descriptor of one part file, made at first use, with the lock that its users share.

    Writers share the descriptor; adoption, digests, publication and closing exclude them. The event loop
    does not take the lock: it would wait for a thread.

    Attributes:
        root: the storage root.
        directory: the directory of the part file.
        name: the name of the part file.
        size: end of the last byte that was written.
        is_closed: True after the part was closed, published or removed.
    """

    def __init__(
        self,
        *,
        root: StorageRoot,
        directory: SafeDirectory,
        name: PartName,
        charge: QuotaCharge,
        withdraw_claim: Callable[[], None],
    ) -> None:
        self.root = root
        self.directory = directory
        self.name = name
        self.size = 0
        self.is_closed = False
        self._charge = charge
        self._withdraw_claim = withdraw_claim
        self._writers_changed = threading.Condition()
        self._writers = 0
        self._fd: int | None = None
        self._generation = 0
        self._adopted_name: PartName | None = None

    @contextmanager
    def shared(self) -> Iterator[int]:
        """Yield the descriptor to one of several writers."""
        with self._writers_changed:
            fd = self.open()
            self._writers += 1
        try:
            yield fd
        finally:
            with self._writers_changed:
                self._writers -= 1
                self._writers_changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until all writers are done, and exclude new ones."""
        with self._writers_changed:
            self._writers_changed.wait_for(lambda: not self._writers)
            yield

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Take the lock for a change of counters, without waiting for writers."""
        with self._writers_changed:
            yield

    def open(self) -> int:
        """Return the descriptor; make an empty part file at first use. The caller holds the lock.

        Raises:
            PartClosedError: it was closed.
        """
        if self.is_closed:
            raise PartClosedError
        if self._fd is None:
            self._generation = self.root.generation
            with self.root.open_directory(self.directory, create=True) as directory_fd:
                return self._create(directory_fd)
        return self._fd

    @property
    def is_unused(self) -> bool:
        """True until the part file is made, adopted or closed."""
        return self._fd is None and not self.is_closed

    def check_root(self) -> None:
        """Check that the root is still the one that has the part file: in another one the bytes would be lost.

        Raises:
            StorageRootMissingError: it is not.
        """
        self.root.check(self._generation)

    def release(self) -> None:
        """Close the descriptor, and charge the quotas with the size on disk. The caller holds the lock exclusively."""
        fd, self._fd = self._fd, None
        self.is_closed = True
        # Frees what a failed attempt had reserved and not written.
        self._charge.close(self.size)
        self._withdraw_claim()
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        """Wait for writers, then close the descriptor."""
        with self.exclusive():
            self.release()

    def adopt_first(self, existing: Sequence[PartName]) -> None:
        """Open the first of the part files named `existing` that is there under the own name, or make an empty one."""
        with self.exclusive():
            if self.is_closed:
                return
            # Before anything is opened: a root that is replaced meanwhile is noticed at the next use.
            self._generation = self.root.generation
            with self.root.open_directory(self.directory, create=True) as directory_fd:
                if not any(self._adopt(name, directory_fd) for name in existing):
                    self._create(directory_fd)

    def undo_adoption(self) -> None:
        """Restore the files as they were before `adopt_first`, and close the descriptor."""
        with self.exclusive():
            try:
                if self._fd is not None or self._adopted_name is not None:
                    self._restore_names()
            finally:
                self.release()

    def _create(self, directory_fd: int) -> int:
        name = self.name.encode()
        try:
            with detect_invalid_name(directory_fd):
                fd = os.open(name, _CREATE_FLAGS, PART_MODE, dir_fd=directory_fd)
        except FileExistsError:
            # A file of the same run, which has decided to start over.
            os.unlink(name, dir_fd=directory_fd)
            fd = os.open(name, _CREATE_FLAGS, PART_MODE, dir_fd=directory_fd)
        self._fd = fd
        return fd

    def _adopt(self, existing: PartName, directory_fd: int) -> bool:
        found = stat_entry(existing, directory_fd)
        if found is None:
            return False
        # Checked by its status before it is opened, because opening a FIFO or a device affects its other end, and
        # again by its descriptor, because it may have been replaced in between.
        if _is_sole_regular_file(found):
            with suppress(FileNotFoundError):
                # Renamed before it is opened: of two processes that adopt it at once, only one finds it.
                _rename(existing, self.name, directory_fd)
                self._adopted_name = existing
                if self._open_adopted(directory_fd):
                    return True
                self._adopted_name, existing = None, self.name
        if not stat.S_ISDIR(found.st_mode):
            with suppress(FileNotFoundError):
                os.unlink(existing.encode(), dir_fd=directory_fd)
        return False

    def _open_adopted(self, directory_fd: int) -> bool:
        try:
            fd = os.open(self.name.encode(), _OPEN_FLAGS, dir_fd=directory_fd)
        except FileNotFoundError:
            return False
        status = os.fstat(fd)
        if not _is_sole_regular_file(status):
            os.close(fd)
            return False
        # From here on the descriptor is closed with the part, also after an error.
        self._fd = fd
        self.size = status.st_size
        self._charge.adopt(status.st_size)
        # An earlier daemon may have set another mode; a disk without modes refuses this one.
        with suppress(OSError):
            os.fchmod(fd, PART_MODE)
        return True

    def _restore_names(self) -> None:
        with self.root.open_directory(self.directory) as directory_fd, suppress(FileNotFoundError):
            if self._adopted_name is None:
                os.unlink(self.name.encode(), dir_fd=directory_fd)
            else:
                _rename(self.name, self._adopted_name, directory_fd)


def part_exists(root: StorageRoot, directory: SafeDirectory, name: PartName) -> bool:
    """Return True if a part file exists."""
    try:
        with root.open_directory(directory) as directory_fd:
            return stat_entry(name, directory_fd) is not None
    except OSError as error:
        if not is_missing(error):
            raise
        return False


def claim_part(root: StorageRoot, directory: SafeDirectory, name: PartName, existing: Sequence[PartName]) -> bool:
    """Rename the first of the files named `existing` that is there to `name`; return False if there is none."""
    try:
        with root.open_directory(directory) as directory_fd:
            for each in existing:
                with suppress(FileNotFoundError):
                    _rename(each, name, directory_fd)
                    return True
    except OSError as error:
        if not is_missing(error):
            raise
    return False


def delete_part(root: StorageRoot, directory: SafeDirectory, name: PartName) -> int:
    """Delete a part file and return its size; return 0 if it, or its directory, is missing.

    Raises:
        OSError: it exists and cannot be deleted.
    """
    try:
        with root.open_directory(directory) as directory_fd:
            status = stat_entry(name, directory_fd)
            if status is None:
                return 0
            os.unlink(name.encode(), dir_fd=directory_fd)
            return status.st_size
    except OSError as error:
        if not is_missing(error):
            raise
        return 0


def _rename(old: PartName, new: PartName, directory_fd: int) -> None:
    os.rename(old.encode(), new.encode(), src_dir_fd=directory_fd, dst_dir_fd=directory_fd)


def _is_sole_regular_file(status: os.stat_result) -> bool:
    """Return True for a regular file with one name: writes to it show nowhere else."""
    # Some FUSE file systems count no names at all.
    return stat.S_ISREG(status.st_mode) and status.st_nlink <= 1
