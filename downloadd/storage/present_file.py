"""A file that is at a place on the disk now, whoever made it: its identity, digests, and bytes to copy."""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Final, Protocol, Self

from downloadd.download import join_path
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.names import SafeDirectory, SafeName
from downloadd.storage.published_files import identify, is_as_published
from downloadd.storage.root import StorageRoot, stat_entry
from downloadd.storage.running_digests import RunningDigests

_BLOCK_BYTES: Final = 1 << 20
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_FILE_ERRNOS: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM})
"""Errors that say that there is no file which could be read: nothing, a link, a socket, or a private file."""


class PresentFile(Protocol):
    """An open file of the storage; use it in `async with`."""

    @property
    def size(self) -> int:
        """Bytes of the file."""
        ...

    def is_as_published(self, identity: str | None) -> bool:
        """Return True if the file is the one with this `Part.file_identity`, and was not touched since."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    async def digest(self, algorithm: str) -> str:
        """Return the lower-case hex digest of all bytes; `algorithm` as in `verify.ALGORITHMS`.

        Raises:
            DownloadError: the file cannot be read.
        """
        ...

    async def is_unchanged(self) -> bool:
        """Return True if the file has its name still, and was not written to since it was opened."""
        ...

    def shared(self) -> AbstractContextManager[int]:
        """Return the context of the descriptor, for a thread that copies from it."""
        ...

    def close(self) -> None:
        """Close the file, after the threads that use it."""
        ...


class LocalPresentFile:
    """File below the storage root; implements `PresentFile`."""

    def __init__(
        self,
        fd: int,
        status: os.stat_result,
        *,
        root: StorageRoot,
        directory: SafeDirectory,
        filename: SafeName,
        threads: DiskThreadPools,
    ) -> None:
        self._fd = fd
        # A thread whose call was cancelled may use the descriptor still, which must not be that of another file then.
        self._lock = threading.Lock()
        self._is_closing = threading.Event()
        self._root = root
        self._directory = directory
        self._filename = filename
        self._path = join_path(directory, filename)
        self._threads = threads
        self.size = status.st_size
        self._status = status

    def is_as_published(self, identity: str | None) -> bool:
        """Return True if the file is the one with this identity; see `PresentFile.is_as_published`."""
        return is_as_published(self._status, identity)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, after the threads that use it; may be called again."""
        self._is_closing.set()
        self._threads.submit(DiskPool.DIGESTS, self._close)

    def __del__(self) -> None:
        """Close a file that was opened for a caller who was cancelled meanwhile."""
        if self._fd >= 0:
            self._close()

    async def digest(self, algorithm: str) -> str:
        """Return the lower-case hex digest of all bytes; see `PresentFile.digest`."""
        return await self._threads.run(DiskPool.DIGESTS, self._path, self._digest, algorithm)

    async def is_unchanged(self) -> bool:
        """Return True if the file has its name still, and was not written to since it was opened."""
        return await self._threads.run(DiskPool.CALLS, self._path, self._is_unchanged)

    @contextmanager
    def shared(self) -> Iterator[int]:
        """Yield the descriptor to a thread that copies from it.

        Raises:
            OSError: the file was closed, because the copy was cancelled.
        """
        with self._lock:
            if self._fd < 0:
                raise OSError(errno.EBADF, "the file was closed")
            yield self._fd

    # The methods below run in threads.

    def _close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def _digest(self, algorithm: str) -> str:
        digests = RunningDigests([algorithm])
        with self.shared() as fd:
            while not self._is_closing.is_set() and (block := os.pread(fd, _BLOCK_BYTES, digests.position)):
                digests.update([block], digests.position)
        return digests.hexdigest(algorithm)

    def _is_unchanged(self) -> bool:
        try:
            with self._root.open_directory(self._directory) as directory_fd:
                found = stat_entry(self._filename, directory_fd)
        except OSError as error:
            if error.errno not in _NO_FILE_ERRNOS:
                raise
            return False
        with self.shared() as fd:
            return found is not None and identify(self._status) == identify(found) == identify(os.fstat(fd))


def open_present(
    root: StorageRoot, threads: DiskThreadPools, directory: SafeDirectory, filename: SafeName
) -> LocalPresentFile | None:
    """Open the regular file of a name; return None if there is none that can be read. Blocks."""
    try:
        with root.open_directory(directory) as directory_fd:
            fd = os.open(filename.encode(), _OPEN_FLAGS, dir_fd=directory_fd)
    except OSError as error:
        if error.errno not in _NO_FILE_ERRNOS:
            raise
        return None
    try:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            return LocalPresentFile(fd, status, root=root, directory=directory, filename=filename, threads=threads)
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None
