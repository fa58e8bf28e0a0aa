"""Bytes of a part file: written, received, read and hashed. All of it runs in threads."""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Final

from downloadd.storage.byte_source import ByteSource, MoveResult
from downloadd.storage.file_size_limit import check_file_system_limit
from downloadd.storage.free_space import FreeSpace, SpaceClaim
from downloadd.storage.part_descriptor import PartDescriptor
from downloadd.storage.part_sync import PartSync
from downloadd.storage.quotas import QuotaCharge
from downloadd.storage.rename import UNSUPPORTED_ERRNOS
from downloadd.storage.running_digests import RunningDigests

DIGEST_BLOCK_BYTES: Final = 1 << 20
"""Bytes that a digest reads at once; a cancellation is noticed after each block."""

COPY_BLOCK_BYTES: Final = 1 << 20
"""Bytes that a copy reads at once where the kernel does not copy."""

MAX_WRITE_BYTES: Final = 64 * 1024
"""Bytes in one call; for longer ones the page cache searches for large pages, which takes longer than to fill them."""

MAX_BUFFERS_PER_WRITE: Final = 1024
"""Buffers in one call (IOV_MAX in <limits.h>)."""


_NO_COPY_ERRNOS: Final = UNSUPPORTED_ERRNOS | {errno.EXDEV}
"""Errors of a kernel or a file system that does not copy from file to file."""


class PartContent:
    """Bytes of one part file, written at explicit offsets by several threads at once."""

    def __init__(
        self,
        descriptor: PartDescriptor,
        *,
        part_sync: PartSync,
        charge: QuotaCharge,
        space: FreeSpace,
        claim: SpaceClaim,
    ) -> None:
        self._descriptor = descriptor
        self._part_sync = part_sync
        self._charge = charge
        self._space = space
        self._claim = claim
        self._digests = RunningDigests(())

    def hash_while_writing(self, algorithms: Iterable[str]) -> None:
        """Compute digests of bytes that are written in order; call it before the first write."""
        if self._digests.algorithms != set(algorithms):
            self._digests = RunningDigests(algorithms)

    def check_size(self, size: int) -> None:
        """Check that the file system takes a file of `size` bytes."""
        with self._descriptor.shared() as fd:
            check_file_system_limit(fd, size)

    def write(self, pieces: Sequence[bytes | memoryview], offset: int) -> None:
        """Write all pieces, in order and completely, from `offset` on."""
        size = sum(map(len, pieces))
        # Closing the part withdraws its claim, after the writers.
        with self._descriptor.shared() as fd, self._space.reserve(size, self._claim):
            self._descriptor.check_root()
            begin = offset
            self._charge.grow(offset + size)
            left = deque(memoryview(piece) for piece in pieces if piece)
            while left:
                written = os.pwritev(fd, first_bytes(left, MAX_WRITE_BYTES), offset)
                if not written:
                    raise OSError(errno.EIO, "the disk wrote nothing and reported no error")
                offset += written
                self._add_written(offset, written)
                while left and written >= len(left[0]):
                    written -= len(left.popleft())
                if written:
                    left[0] = left[0][written:]
            self._digests.update(pieces, begin)

    def receive(self, source: ByteSource, offset: int, max_bytes: int) -> MoveResult:
        """Write at most `max_bytes` bytes from a source, from `offset` on."""
        with self._descriptor.shared() as fd, self._space.reserve(max_bytes, self._claim) as write:
            self._descriptor.check_root()
            self._charge.grow(offset + max_bytes)
            moved = source.move_to(fd, offset, max_bytes, self._hash)
            write.written = moved.nbytes
            if moved.nbytes:
                self._add_written(offset + moved.nbytes, moved.nbytes)
            return moved

    def read(self, offset: int, nbytes: int) -> bytes:
        """Return `nbytes` bytes from `offset` on, or fewer at the end of the file."""
        with self._descriptor.shared() as fd:
            return os.pread(fd, nbytes, offset)

    def copy(self, source: Callable[[], AbstractContextManager[int]], start: int, end: int) -> int:
        """Write the bytes of another file from `start` to `end` at their place; return the number of bytes.

        `source` returns the context of its descriptor.
        """
        size = end - start
        with self._descriptor.shared() as fd, self._space.reserve(size, self._claim) as write:
            self._descriptor.check_root()
            self._charge.grow(end)
            with source() as source_fd:
                write.written = copy_bytes(source_fd, fd, start, size)
            if write.written:
                self._add_written(start + write.written, write.written)
            return write.written

    def digest(self, algorithm: str, is_cancelled: threading.Event) -> str:
        """Return the digest of all bytes; stop after a block when `is_cancelled` is set."""
        with self._descriptor.exclusive():
            fd = self._descriptor.open()
            size = self._descriptor.size
            digests = self._digests
            if algorithm not in digests.algorithms:
                digests = RunningDigests([algorithm])
            block = memoryview(bytearray(min(DIGEST_BLOCK_BYTES, size)))
            while digests.position < size and not is_cancelled.is_set():
                read = os.preadv(fd, [block], digests.position)
                if not read:
                    raise OSError(errno.EIO, "the part file is shorter than the bytes written to it")
                digests.update([block[: min(read, size - digests.position)]], digests.position)
            return digests.hexdigest(algorithm)

    def _hash(self, data: memoryview, offset: int) -> None:
        self._digests.update([data], offset)

    def _add_written(self, end: int, nbytes: int) -> None:
        with self._descriptor.locked():
            self._descriptor.size = max(self._descriptor.size, end)
            is_sync_due = self._part_sync.add_written(nbytes)
        if is_sync_due:
            self._part_sync.start()


def copy_bytes(source_fd: int, fd: int, start: int, size: int) -> int:
    """Copy up to `size` bytes at `start` of a file to the same place of another one; return their number.

    The kernel shares the blocks if the file system can (Btrfs, XFS), and a server copies them itself (NFS 4.2).
    """
    try:
        copied = os.copy_file_range(source_fd, fd, size, start, start)
    except OSError as error:
        if error.errno not in _NO_COPY_ERRNOS:
            raise
        copied = 0
    # Some file systems copy nothing and report no error.
    return copied or os.pwrite(fd, os.pread(source_fd, min(size, COPY_BLOCK_BYTES), start), start)


def first_bytes(pieces: Iterable[memoryview], max_bytes: int) -> list[memoryview]:
    """Return the first `max_bytes` bytes of `pieces`, in at most `MAX_BUFFERS_PER_WRITE` buffers."""
    first: list[memoryview] = []
    for piece in islice(pieces, MAX_BUFFERS_PER_WRITE):
        first.append(piece[:max_bytes])
        max_bytes -= len(first[-1])
        if not max_bytes:
            break
    return first
