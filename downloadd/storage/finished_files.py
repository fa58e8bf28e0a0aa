"""Reading of finished files for users: only those that downloads have published, and not through links."""

import errno
import os
import stat
from functools import partial
from types import TracebackType
from typing import BinaryIO, Final, Protocol, Self

from downloadd.download import join_path
from downloadd.errors import FileChangedError, NotFoundError
from downloadd.storage.directory_entries import DirectoryEntry, list_entries
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.names import SafeDirectory, SafeName, parse_directory
from downloadd.storage.present_file import PresentFile, open_present
from downloadd.storage.published_files import is_unchanged
from downloadd.storage.root import StorageRoot

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class ReadableFile(Protocol):
    """An open finished file; use it in `async with`."""

    @property
    def size(self) -> int:
        """Bytes of the file."""
        ...

    @property
    def modified_ns(self) -> int:
        """Time of its last change, in Unix nanoseconds."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    async def read(self, offset: int, nbytes: int) -> bytes:
        """Return `nbytes` bytes from `offset` on, or fewer at the end of the file.

        Raises:
            DownloadError: the disk does not answer.
        """
        ...

    def duplicate(self) -> BinaryIO:
        """Return the file as one that blocks, from its start; the caller closes it in a thread."""
        ...


class FileReader(Protocol):
    """Storage whose finished files can be read."""

    async def open(self, *, directory: str, filename: SafeName, identity: str | None) -> ReadableFile:
        """Open the file that a download has published.

        Args:
            directory: its directory.
            filename: its name.
            identity: what `identify` returned of it when it was published; None if that was not recorded.

        Raises:
            NotFoundError: there is no file of this name.
            FileChangedError: the file of this name is not the one that was published, or cannot be recognised.
        """
        ...

    async def open_present(self, *, directory: str, filename: SafeName) -> PresentFile | None:
        """Open the file that has a name now, whoever made it; return None if there is none that can be read.

        None too where files cannot be recognised: on other machines.
        """
        ...

    async def list_entries(self, directory: str, *, after: str, limit: int) -> list[DirectoryEntry]:
        """Return up to `limit` files and directories whose names come after `after`, ordered by name.

        Raises:
            InvalidPathError: no directory can have this path.
            NotFoundError: there is no such directory.
        """
        ...


class FinishedFiles:
    """Finished files of a storage root; implements `FileReader`."""

    def __init__(self, root: StorageRoot, threads: DiskThreadPools) -> None:
        self._root = root
        self._threads = threads

    async def open(self, *, directory: str, filename: SafeName, identity: str | None) -> "FinishedFile":
        """Open the file that a download has published; see `FileReader.open`."""
        place = parse_directory(directory)
        path = join_path(place, filename)
        opening = partial(_open_published, self._root, place, filename, identity)
        fd, status = await self._threads.run(DiskPool.CALLS, path, opening)
        return FinishedFile(fd, status, path=path, threads=self._threads)

    async def open_present(self, *, directory: str, filename: SafeName) -> PresentFile | None:
        """Open the file that has a name now; see `FileReader.open_present`."""
        place = parse_directory(directory)
        opening = partial(open_present, self._root, self._threads, place, filename)
        return await self._threads.run(DiskPool.CALLS, join_path(place, filename), opening)

    async def list_entries(self, directory: str, *, after: str, limit: int) -> list[DirectoryEntry]:
        """Return files and directories; see `FileReader.list_entries`."""
        place = parse_directory(directory)
        listing = partial(list_entries, self._root, place, after=after, limit=limit)
        return await self._threads.run(DiskPool.CALLS, place, listing)


class FinishedFile:
    """An open finished file of a storage root; implements `ReadableFile`."""

    def __init__(self, fd: int, status: os.stat_result, *, path: str, threads: DiskThreadPools) -> None:
        self._fd = fd
        self._path = path
        self._threads = threads
        self.size = status.st_size
        self.modified_ns = status.st_mtime_ns

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        fd, self._fd = self._fd, -1
        # In a thread: closing may wait for the disk. A cancelled read may still be under way; its bytes are discarded.
        self._threads.submit(DiskPool.CALLS, partial(os.close, fd))

    async def read(self, offset: int, nbytes: int) -> bytes:
        """Return `nbytes` bytes from `offset` on, or fewer at the end of the file."""
        return await self._threads.run(DiskPool.CALLS, self._path, os.pread, self._fd, nbytes, offset)

    def duplicate(self) -> BinaryIO:
        """Return the file as one that blocks; see `ReadableFile.duplicate`."""
        return os.fdopen(os.dup(self._fd), "rb")


def _open_published(
    root: StorageRoot, directory: SafeDirectory, filename: SafeName, identity: str | None
) -> tuple[int, os.stat_result]:
    """Return the descriptor and the status of a published file. Blocks."""
    path = join_path(directory, filename)
    try:
        with root.open_directory(directory) as directory_fd:
            fd = os.open(filename.encode(), _OPEN_FLAGS, dir_fd=directory_fd)
    except FileNotFoundError:
        raise NotFoundError(f"{path} is not there any more") from None
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP, errno.ENXIO}:
            raise FileChangedError(f"{path}, or a directory of it, is a symbolic link or not a file now") from error
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise FileChangedError(f"{path} is not a file any more")
        if identity is None or not is_unchanged(status, identity):
            reason = "is not the file" if identity else "cannot be recognised as the file"
            raise FileChangedError(f"{path} {reason} that this download published")
    except BaseException:
        os.close(fd)
        raise
    return fd, status
