"""Part file of one run, written at explicit offsets; disk work runs in threads."""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from downloadd.directory_settings import DirectorySettings
from downloadd.download import join_path
from downloadd.errors import DownloadError
from downloadd.storage.byte_source import ByteSource, MoveResult
from downloadd.storage.destination import Part
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.file_size_limit import SMALLEST_FILE_SYSTEM_LIMIT, check_process_limit
from downloadd.storage.free_space import FreeSpace, SpaceClaim
from downloadd.storage.names import PartName, SafeDirectory, SafeName, parse_directory
from downloadd.storage.part_content import PartContent
from downloadd.storage.part_descriptor import PartDescriptor
from downloadd.storage.part_publication import PartPublication
from downloadd.storage.part_sync import PartSync
from downloadd.storage.present_file import LocalPresentFile, PresentFile
from downloadd.storage.publisher import Publisher
from downloadd.storage.quotas import QuotaCharge
from downloadd.storage.reclaim import Reclaim, with_reclaimed_space
from downloadd.storage.root import StorageRoot
from downloadd.storage.running_digests import RunningDigests

MAX_HELD_BYTES: Final = 1 << 20
"""Bytes of a file that is held in memory from its last byte until its publication."""

MAX_COPY_BYTES: Final = 64 << 20
"""Bytes that one call copies from another part; a cancellation is noticed after each call."""

MAX_INLINE_DIGEST_BYTES: Final = 64 * 1024
"""Held bytes that are hashed at once; for more, a thread costs less than the time that other tasks wait."""


class PartFile:
    """One part file; implements `Part`.

    Several connections may write at once. A call that is cancelled returns at once, though its thread may still be at
    work. Calls that exclude writers wait for that thread, so the descriptor is never closed while it is used, and
    `size` is final when `close` has returned.

    A file whose bytes are all written at once may be held in memory: no file is made until its publication, or until
    the bytes must be kept or read.

    Attributes:
        directory: the directory.
        charge: the account of the quotas.
        claim: the announced space.
        descriptor: the file.
    """

    def __init__(
        self,
        *,
        threads: DiskThreadPools,
        root: StorageRoot,
        publisher: Publisher,
        directory: SafeDirectory,
        name: PartName,
        directory_settings: Callable[[str], DirectorySettings],
        charge: QuotaCharge,
        space: FreeSpace,
        reclaim: Reclaim,
        may_hold: Callable[[SafeDirectory], bool] = lambda directory: False,
    ) -> None:
        self._threads = threads
        self._reclaim = reclaim
        self._path = join_path(directory, name)
        self.directory = directory
        self.charge = charge
        self._space, self.claim = space, SpaceClaim()
        self._may_hold = may_hold
        self._held: bytes | None = None
        self.descriptor = PartDescriptor(
            root=root,
            directory=directory,
            name=name,
            charge=charge,
            withdraw_claim=partial(space.withdraw, self.claim),
        )
        self._sync = PartSync(self.descriptor, threads=threads, publisher=publisher)
        self._content = PartContent(self.descriptor, part_sync=self._sync, charge=charge, space=space, claim=self.claim)
        self._publication = PartPublication(
            self.descriptor,
            part_sync=self._sync,
            publisher=publisher,
            charge=charge,
            directory_settings=directory_settings,
        )

    @property
    def name(self) -> str:
        """Name in the destination directory."""
        return self.descriptor.name

    @property
    def is_closed(self) -> bool:
        """True after the part was closed, published or removed."""
        return self.descriptor.is_closed

    @property
    def size(self) -> int:
        """End of the last byte that was written."""
        return self.descriptor.size

    @property
    def synced(self) -> int:
        """End of the last byte at the last sync to stable storage; 0 before the first."""
        return self._sync.synced

    @property
    def is_held(self) -> bool:
        """True while the bytes are in memory only."""
        return self._held is not None

    @property
    def held(self) -> bytes:
        """The bytes that are in memory only."""
        return self._held or b""

    @property
    def file_identity(self) -> str | None:
        """Identity of the published file; None before its publication."""
        return self._publication.file_identity

    async def adopt(self, existing: Sequence[PartName]) -> None:
        """Adopt the first of the part files named `existing` that is there, or make an empty one.

        Without this call an empty one is made at the first write or at publication, in the thread of that call.
        Cancelled or failed, the files are as before.

        Only a regular file with one name is adopted: writes to another kind would show elsewhere.

        Raises:
            DownloadError: the part file cannot be made.
        """
        try:
            await self._threads.run(DiskPool.CALLS, self._path, self.descriptor.adopt_first, existing)
        except BaseException:
            # The first error is raised, not that it could not be undone.
            with suppress(DownloadError):
                await self._threads.run_shielded(DiskPool.CALLS, self._path, self.descriptor.undo_adoption)
            raise

    def hash_while_writing(self, algorithms: Iterable[str]) -> None:
        """Compute digests of bytes that are written in order; call it before the first write."""
        self._content.hash_while_writing(algorithms)

    async def reserve(self, size: int, *, missing: int) -> None:
        """Reserve space for a file of `size` bytes in all, of which `missing` are not written yet, until it is closed.

        Raises:
            FileTooLargeForDiskError: the file system, or the limit of the process, does not allow such a file.
            SpacePendingError: the missing bytes do not fit beside those that the other open parts have reserved.
            InsufficientStorageError: the disk is too small, or a quota is exceeded; the message names it.
        """
        check_process_limit(size)
        if size > SMALLEST_FILE_SYSTEM_LIMIT:
            await self._threads.run(DiskPool.CALLS, self._path, self._content.check_size, size)
        if not self._space.try_announce(self.claim, missing):
            announce = partial(self._space.announce, self.claim, missing, size=size)
            call = partial(self._threads.run, DiskPool.CALLS, self._path, announce)
            await with_reclaimed_space(call, self._reclaim)
        if self.charge.is_limited:
            grow = partial(self._threads.run, DiskPool.CALLS, self._path, self.charge.grow, size)
            await with_reclaimed_space(grow, self._reclaim)

    async def write(self, pieces: Sequence[bytes | memoryview], offset: int, *, is_last: bool = False) -> None:
        """Write all pieces, in order and completely, from `offset` on.

        `is_last` says that no more bytes follow; a small file may then be held in memory.

        Raises:
            InsufficientStorageError: the disk is full, and the bytes that fitted are kept and counted in `size`; or
                `min_free` would be violated, and nothing was written.
        """
        if is_last and not offset and self._hold(pieces):
            return
        await self.write_held()
        await self._write(pieces, offset)

    async def write_held(self) -> None:
        """Write bytes that are in memory only to the part file.

        Raises:
            InsufficientStorageError: as for `write`.
        """
        held, self._held = self._held, None
        if held is not None:
            self.descriptor.size = 0
            await self._write([held], 0)

    async def receive(self, source: ByteSource, offset: int, max_bytes: int) -> MoveResult:
        """Write at most `max_bytes` bytes from a source, from `offset` on; return after a short time.

        Raises:
            NetworkError: the connection broke.
            InsufficientStorageError: the disk is full, or `min_free` would be violated.
        """
        await self.write_held()
        receive = partial(
            self._threads.run, DiskPool.SOCKETS, self._path, self._content.receive, source, offset, max_bytes
        )
        return await with_reclaimed_space(receive, self._reclaim)

    async def copy(self, source: Part | PresentFile, ranges: Iterable[tuple[int, int]]) -> None:
        """Write ranges of another open part or file, each from its start up to its end, at their place.

        A range is copied as far as the source has it.

        Raises:
            InsufficientStorageError: as for `write`.
        """
        await self.write_held()
        if isinstance(source, PartFile):
            await source.write_held()
        for start, end in ranges:
            last = min(end, source.size)
            while start < last and (copied := await self._copy(source, start, min(last, start + MAX_COPY_BYTES))):
                start += copied

    async def read(self, offset: int, nbytes: int) -> bytes:
        """Return `nbytes` bytes from `offset` on, or fewer at the end of the file."""
        await self.write_held()
        return await self._threads.run(DiskPool.CALLS, self._path, self._content.read, offset, nbytes)

    async def digest(self, algorithm: str) -> str:
        """Return the lower-case hex digest of all bytes; `algorithm` as in `verify.ALGORITHMS`.

        Bytes that were not hashed while they were written are read once. Cancelled, its thread stops after the block
        that it is reading.
        """
        if self._held is not None:
            if len(self._held) <= MAX_INLINE_DIGEST_BYTES:
                return _digest(self._held, algorithm)
            return await self._threads.run(DiskPool.DIGESTS, self._path, _digest, self._held, algorithm)
        is_cancelled = threading.Event()
        try:
            digest = await self._threads.run(
                DiskPool.DIGESTS, self._path, self._content.digest, algorithm, is_cancelled
            )
        finally:
            is_cancelled.set()
        return digest

    async def sync(self) -> None:
        """Sync the bytes to stable storage; do nothing with `fsync = false`."""
        await self.write_held()
        await self._threads.run(DiskPool.SYNCS, self._path, self._sync.sync)

    def start_sync(self) -> None:
        """Start to sync the bytes that are written so far; `synced` changes when it is done."""
        self._sync.start()

    async def publish(
        self, filename: SafeName, *, replace: bool, last_modified: int | None, directory: str | None = None
    ) -> bool:
        """Rename the part file to its final name, atomically, and sync the name to stable storage.

        `last_modified` (Unix seconds) becomes the file's modification time. `directory` is that of the final name if
        it is another one than that of the part. The part is closed afterwards. Cancelled, it is published completely
        or not at all; `Destination.is_published` returns which.

        Returns:
            False when `filename` is taken and `replace` is false; nothing has changed then.

        Raises:
            PartElsewhereError: the directory is on another file system; nothing has changed.
        """
        await self.write_held()
        place = self.directory if directory is None else parse_directory(directory)
        return await self._threads.run(
            DiskPool.SYNCS,
            join_path(place, filename),
            self._publication.publish,
            filename,
            place,
            replace,
            last_modified,
        )

    def end_publication(self, file_identity: str | None) -> None:
        """Close the part, whose held bytes have their final name; call it in a thread."""
        self._held = None
        self._publication.end(file_identity)

    async def close(self) -> None:
        """Close the file and keep it; may be called again."""
        if not self.is_closed:
            with suppress(DownloadError):
                await self.write_held()
            await self._threads.run_shielded(DiskPool.CALLS, self._path, self.descriptor.close)

    async def remove(self) -> None:
        """Close the file and delete it; a published file is not deleted."""
        self._held = None
        if not self._publication.is_unlinked:
            await self._threads.run_shielded(DiskPool.CALLS, self._path, self._publication.remove)

    def _hold(self, pieces: Sequence[bytes | memoryview]) -> bool:
        """Hold the bytes of the whole file in memory; return False if they must be written."""
        descriptor = self.descriptor
        size = sum(map(len, pieces))
        if size > MAX_HELD_BYTES or descriptor.size or not descriptor.is_unused or not self._may_hold(self.directory):
            return False
        self._held = b"".join(pieces)
        descriptor.size = size
        return True

    async def _copy(self, source: Part | PresentFile, start: int, end: int) -> int:
        assert isinstance(source, PartFile | LocalPresentFile)  # noqa: S101 - narrows the type; they are of one storage
        shared = source.descriptor.shared if isinstance(source, PartFile) else source.shared
        copy = partial(self._threads.run, DiskPool.DIGESTS, self._path, self._content.copy, shared, start, end)
        return await with_reclaimed_space(copy, self._reclaim)

    async def _write(self, pieces: Sequence[bytes | memoryview], offset: int) -> None:
        write = partial(self._threads.run, DiskPool.CALLS, self._path, self._content.write, pieces, offset)
        await with_reclaimed_space(write, self._reclaim)


def _digest(data: bytes, algorithm: str) -> str:
    digests = RunningDigests([algorithm])
    digests.update([data], 0)
    return digests.hexdigest(algorithm)
