"""The part file of one run: written at explicit offsets, in threads."""

import errno
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final

from downloadd.directory_settings import DirectorySettings
from downloadd.download import join_path
from downloadd.errors import DownloadError, StorageRootMissingError
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.free_space import FreeSpace
from downloadd.storage.names import SafeDirectory, SafeName, parse_filename
from downloadd.storage.publisher import Publisher
from downloadd.storage.quotas import QuotaCharge
from downloadd.storage.root import StorageRoot, detect_invalid_name, is_missing, stat_entry
from downloadd.storage.running_digests import RunningDigests
from downloadd.storage.splice import SocketSource, SpliceResult

PART_MODE: Final = 0o600

DIGEST_BLOCK_BYTES: Final = 1 << 20
"""What a digest reads at once; after each block it looks whether it is still wanted."""

MAX_UNSYNCED_BYTES: Final = 32 << 20
"""Bytes after which the disk is told to begin: otherwise all of a big file is still in memory when its last byte has
come, and waited for then."""

_OPEN_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

MAX_WRITE_BYTES: Final = 64 * 1024
"""Bytes for one call: for longer ones the page cache looks for big pages, which take longer to find than to fill."""


class PartClosedError(RuntimeError):
    """The part file is used after it was closed: a bug in the daemon."""

    def __init__(self) -> None:
        super().__init__("the part file is closed")


class PartFile:
    """One part file; implements `Part` of the Destination seam.

    Bytes may come from several connections at once. A call that is cancelled returns at once, though its thread may
    still be at work; whatever else is then done to the file waits for that thread first, so the descriptor is never
    closed under it, and `size` is settled when `close` has returned.
    """

    def __init__(
        self,
        *,
        threads: DiskThreadPools,
        root: StorageRoot,
        publisher: Publisher,
        directory: SafeDirectory,
        name: str,
        directory_settings: Callable[[str], DirectorySettings],
        charge: QuotaCharge,
        space: FreeSpace,
    ) -> None:
        self._threads = threads
        self._root = root
        self._publisher = publisher
        self._directory = directory
        self._name = name
        self._path = join_path(directory, name)
        self._directory_settings = directory_settings
        self._charge = charge
        self._space = space
        # Taken by threads that work on the descriptor; the event loop never takes it.
        self._writers_changed = threading.Condition()
        self._writers = 0
        self._unsynced = 0
        self._synced = 0
        self._is_syncing = False
        self._sync_error: OSError | None = None
        self._fd: int | None = None
        self._generation = 0
        self._size = 0
        self._closed = False
        self._is_unlinked = False
        self._adopted_name: str | None = None
        self._digests = RunningDigests(())

    @property
    def name(self) -> str:
        """Its name in the destination directory."""
        return self._name

    @property
    def is_closed(self) -> bool:
        """Whether it was let go of: closed, published or removed."""
        return self._closed

    @property
    def size(self) -> int:
        """Where its last byte ends."""
        return self._size

    @property
    def synced(self) -> int:
        """Where its last byte ended when it was last brought to stable storage; 0 before that."""
        return self._synced

    async def adopt(self, existing: Sequence[str]) -> None:
        """Takes over the first of the parts named `existing` that is there, or makes an empty one.

        Without this, an empty one is made as soon as there is something to do with it: by whoever has a thread for
        that anyway. Cancelled or failed, the files are as before.

        Only a regular file with no second name is taken over: what is written to another one would show elsewhere.

        Raises:
            DownloadError: the part cannot be made.
        """
        try:
            await self._threads.run(DiskPool.CALLS, self._path, self._adopt_first, existing)
        except BaseException:
            # What went wrong first is the news, not that it could not be undone.
            with suppress(DownloadError):
                await self._threads.run_shielded(DiskPool.CALLS, self._path, self._undo_adoption)
            raise

    def hash_while_writing(self, algorithms: Iterable[str]) -> None:
        """Computes digests as bytes are written one after the other; to be called before something is written."""
        if self._digests.algorithms != set(algorithms):
            self._digests = RunningDigests(algorithms)

    async def reserve(self, size: int) -> None:
        """Sees to it that the quotas leave room for `size` bytes in all.

        Raises:
            InsufficientStorageError: one of them does not; the sentence names it.
        """
        if self._charge.is_limited:
            await self._threads.run(DiskPool.CALLS, self._path, self._charge.grow, size)

    async def write(self, pieces: Sequence[bytes | memoryview], offset: int) -> None:
        """Writes all pieces, in order, completely, from `offset` on.

        Raises:
            InsufficientStorageError: the disk is full, and what fitted is kept and counted in `size`; or
                `min_free` would not stay free, and nothing was written.
        """
        await self._threads.run(DiskPool.CALLS, self._path, self._write, pieces, offset)

    async def receive(self, source: SocketSource, offset: int, max_bytes: int) -> SpliceResult:
        """Writes what comes from a socket, at most `max_bytes` bytes, from `offset` on.

        Raises:
            NetworkError: the connection broke.
            InsufficientStorageError: the disk is full, or `min_free` would not stay free.
        """
        return await self._threads.run(DiskPool.SOCKETS, self._path, self._receive, source, offset, max_bytes)

    async def read(self, offset: int, nbytes: int) -> bytes:
        """So many bytes from `offset` on, or as many as there are."""
        return await self._threads.run(DiskPool.CALLS, self._path, self._read, offset, nbytes)

    async def clear(self) -> None:
        """Throws the bytes away: the download starts over."""
        await self._threads.run(DiskPool.CALLS, self._path, self._clear)

    async def digest(self, algorithm: str) -> str:
        """The lower-case hex digest of all bytes; `algorithm` as in `verify.ALGORITHMS`.

        What was not hashed while it was written is read once. Cancelled, its thread stops after the block that it is
        reading.
        """
        is_cancelled = threading.Event()
        try:
            digest = await self._threads.run(DiskPool.DIGESTS, self._path, self._digest, algorithm, is_cancelled)
        finally:
            is_cancelled.set()
        return digest

    async def sync(self) -> None:
        """Brings the bytes to stable storage (nothing with `fsync = false`)."""
        await self._threads.run(DiskPool.SYNCS, self._path, self._sync)

    def start_sync(self) -> None:
        """Begins to bring what is there to stable storage; `synced` tells when it is done."""
        # Not under the lock, which the event loop must not wait for: at worst there are two of them.
        if not self._is_syncing:
            self._unsynced = 0
            self._is_syncing = True
            self._threads.submit(DiskPool.SYNCS, self._sync_in_background)

    async def publish(self, filename: str, *, replace: bool, last_modified: int | None) -> bool:
        """Gives the part its final name, atomically, and brings the name to stable storage.

        `last_modified` (Unix seconds) becomes the file's modification time. Afterwards the part is closed. Cancelled,
        it is published wholly or not at all; `Destination.is_published` tells which.

        Returns:
            False when `filename` is taken and `replace` is false; nothing has changed then.
        """
        final = parse_filename(filename)
        path = join_path(self._directory, final)
        return await self._threads.run(DiskPool.SYNCS, path, self._publish, final, replace, last_modified)

    async def close(self) -> None:
        """Lets go of the file and keeps it; may be called again."""
        if not self._closed:
            await self._threads.run_shielded(DiskPool.CALLS, self._path, self._close)

    async def remove(self) -> None:
        """Deletes the file and lets go of it; does nothing to a file that was published."""
        if not self._is_unlinked:
            await self._threads.run_shielded(DiskPool.CALLS, self._path, self._remove)

    # What follows runs in threads.

    def _adopt_first(self, existing: Sequence[str]) -> None:
        with self._exclusive():
            if self._closed:
                return
            # Before anything is opened: one that is exchanged meanwhile is noticed at the next use.
            self._generation = self._root.generation
            with self._root.open_directory(self._directory, create=True) as directory_fd:
                if not any(self._adopt(name, directory_fd) for name in existing):
                    self._create(directory_fd)

    def _create(self, directory_fd: int) -> int:
        name = self._name.encode()
        try:
            with detect_invalid_name(directory_fd):
                fd = os.open(name, _CREATE_FLAGS, PART_MODE, dir_fd=directory_fd)
        except FileExistsError:
            # Of the same run, which has decided to start afresh.
            os.unlink(name, dir_fd=directory_fd)
            fd = os.open(name, _CREATE_FLAGS, PART_MODE, dir_fd=directory_fd)
        self._fd = fd
        return fd

    def _adopt(self, existing: str, directory_fd: int) -> bool:
        found = stat_entry(existing, directory_fd)
        if found is None:
            return False
        # Judged by its status before it is opened, because opening a FIFO or a device is felt at its other end, and
        # once more by its descriptor, because it may have been exchanged in between.
        if _is_sole_regular_file(found):
            with suppress(FileNotFoundError):
                fd = os.open(existing.encode(), _OPEN_FLAGS, dir_fd=directory_fd)
                status = os.fstat(fd)
                if _is_sole_regular_file(status):
                    # From here on the descriptor is closed with the part, whatever fails.
                    self._fd = fd
                    self._adopted_name = existing
                    self._size = status.st_size
                    self._charge.adopt(status.st_size)
                    os.fchmod(fd, PART_MODE)
                    _rename(existing, self._name, directory_fd)
                    return True
                os.close(fd)
        if not stat.S_ISDIR(found.st_mode):
            with suppress(FileNotFoundError):
                os.unlink(existing.encode(), dir_fd=directory_fd)
        return False

    def _undo_adoption(self) -> None:
        with self._exclusive():
            try:
                if self._fd is not None:
                    self._restore_names()
            finally:
                self._release()

    def _restore_names(self) -> None:
        with self._root.open_directory(self._directory) as directory_fd, suppress(FileNotFoundError):
            if self._adopted_name is None:
                os.unlink(self._name.encode(), dir_fd=directory_fd)
            else:
                _rename(self._name, self._adopted_name, directory_fd)

    def _write(self, pieces: Sequence[bytes | memoryview], offset: int) -> None:
        size = sum(map(len, pieces))
        with self._space.reserve(size), self._shared() as fd:
            self._check_root()
            begin = offset
            self._charge.grow(offset + size)
            left = deque(memoryview(piece) for piece in pieces if piece)
            while left:
                written = os.pwritev(fd, _first_bytes(left, MAX_WRITE_BYTES), offset)
                if not written:
                    raise OSError(errno.EIO, "the disk took nothing and gave no reason")
                offset += written
                self._add_written(offset, written)
                while left and written >= len(left[0]):
                    written -= len(left.popleft())
                if written:
                    left[0] = left[0][written:]
            self._digests.update(pieces, begin)

    def _receive(self, source: SocketSource, offset: int, max_bytes: int) -> SpliceResult:
        with self._space.reserve(max_bytes), self._shared() as fd:
            self._check_root()
            self._charge.grow(offset + max_bytes)
            moved = source.splice(fd, offset, max_bytes)
            if moved.nbytes:
                self._add_written(offset + moved.nbytes, moved.nbytes)
            return moved

    @contextmanager
    def _shared(self) -> Iterator[int]:
        """The descriptor, among other writers."""
        with self._writers_changed:
            fd = self._open_fd()
            self._writers += 1
        try:
            yield fd
        finally:
            with self._writers_changed:
                self._writers -= 1
                self._writers_changed.notify_all()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Waits until nobody writes, and lets nobody begin."""
        with self._writers_changed:
            self._writers_changed.wait_for(lambda: not self._writers)
            yield

    def _add_written(self, end: int, nbytes: int) -> None:
        with self._writers_changed:
            self._size = max(self._size, end)
            self._unsynced += nbytes
            is_much = self._unsynced >= MAX_UNSYNCED_BYTES
        if is_much:
            self.start_sync()

    def _sync_in_background(self) -> None:
        try:
            with self._shared() as fd:
                size = self._size
                self._publisher.sync_data(fd)
                self._synced = size
        except OSError as error:
            # The kernel tells it only once, so it is told again when the file is to be published.
            self._sync_error = error
        except (PartClosedError, StorageRootMissingError):
            # Whoever closed it needs no more bytes on the disk; and there are none yet where there is no root.
            pass
        finally:
            self._is_syncing = False

    def _read(self, offset: int, nbytes: int) -> bytes:
        with self._shared() as fd:
            return os.pread(fd, nbytes, offset)

    def _clear(self) -> None:
        with self._exclusive():
            os.ftruncate(self._open_fd(), 0)
            self._size = self._synced = 0
            self._charge.shrink()
            self._digests = RunningDigests(self._digests.algorithms)

    def _digest(self, algorithm: str, is_cancelled: threading.Event) -> str:
        with self._exclusive():
            fd = self._open_fd()
            digests = self._digests
            if algorithm not in digests.algorithms:
                digests = RunningDigests([algorithm])
            block = memoryview(bytearray(min(DIGEST_BLOCK_BYTES, self._size)))
            while digests.position < self._size and not is_cancelled.is_set():
                read = os.preadv(fd, [block], digests.position)
                if not read:
                    raise OSError(errno.EIO, "the part file is shorter than what was written to it")
                digests.update([block[: min(read, self._size - digests.position)]], digests.position)
            return digests.hexdigest(algorithm)

    def _sync(self) -> None:
        with self._shared() as fd:
            if self._sync_error is not None:
                raise self._sync_error
            size = self._size
            self._publisher.sync(fd)
            self._synced = size

    def _publish(self, final: SafeName, replace: bool, last_modified: int | None) -> bool:
        with self._exclusive():
            fd = self._open_fd()
            if self._sync_error is not None:
                raise self._sync_error
            self._check_root()
            with self._charge.quotas.publishing(), self._root.open_directory(self._directory) as directory_fd:
                replaced = stat_entry(final, directory_fd) if replace else None
                published = self._publisher.publish(
                    fd,
                    directory_fd,
                    self._name,
                    final,
                    replace=replace,
                    last_modified=last_modified,
                    directory_settings=self._directory_settings(self._directory),
                )
                if published:
                    self._is_unlinked = True
                    self._release()
                    if replaced is not None:
                        self._charge.quotas.subtract(self._directory, replaced.st_size)
            return published

    def _close(self) -> None:
        with self._exclusive():
            self._release()

    def _remove(self) -> None:
        with self._exclusive():
            self._release()
            if not self._is_unlinked:
                size = delete_part(self._root, self._directory, self._name)
                self._charge.quotas.subtract(self._directory, size)
                self._is_unlinked = True

    def _open_fd(self) -> int:
        if self._closed:
            raise PartClosedError
        if self._fd is None:
            self._generation = self._root.generation
            with self._root.open_directory(self._directory, create=True) as directory_fd:
                return self._create(directory_fd)
        return self._fd

    def _check_root(self) -> None:
        """What lies where the root has been, nobody would find: neither is it written to nor published."""
        self._root.check(self._generation)

    def _release(self) -> None:
        fd, self._fd = self._fd, None
        self._closed = True
        # What a failed attempt had reserved and did not get is free again.
        self._charge.close(self._size)
        if fd is not None:
            os.close(fd)


def _first_bytes(pieces: Iterable[memoryview], max_bytes: int) -> list[memoryview]:
    """The first `max_bytes` bytes of `pieces`, in no more of them than the kernel takes (IOV_MAX in <limits.h>)."""
    first: list[memoryview] = []
    for piece in islice(pieces, 1024):
        first.append(piece[:max_bytes])
        max_bytes -= len(first[-1])
        if not max_bytes:
            break
    return first


def delete_part(root: StorageRoot, directory: SafeDirectory, name: str) -> int:
    """Deletes a part file, in a thread, and says how long it was; 0 when it, or its directory, is gone.

    Raises:
        OSError: it is there and cannot be deleted.
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


def _rename(old: str, new: str, directory_fd: int) -> None:
    os.rename(old.encode(), new.encode(), src_dir_fd=directory_fd, dst_dir_fd=directory_fd)


def _is_sole_regular_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
