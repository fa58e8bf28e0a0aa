"""Storage in a directory of this machine."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from downloadd.clock import Clock, SystemClock
from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.download import Conflict, join_path
from downloadd.metrics import QuotaUsage, StorageUsage
from downloadd.root_identity import RootIdentity
from downloadd.storage.attributes import FileAttributes, read_umask
from downloadd.storage.commit_process import CommitProcess
from downloadd.storage.destination import PartEntry
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.final_names import FinalNames
from downloadd.storage.finished_files import FinishedFiles
from downloadd.storage.free_space import FreeSpace, UnannouncedSpace
from downloadd.storage.names import (
    PartName,
    SafeDirectory,
    SafeName,
    check_part_name,
    parse_directory,
    part_owner,
)
from downloadd.storage.part_descriptor import claim_part, delete_part, part_exists
from downloadd.storage.part_file import PartFile
from downloadd.storage.part_listing import PartListing
from downloadd.storage.part_names import PartNames
from downloadd.storage.published_files import remove_published
from downloadd.storage.publisher import Publisher
from downloadd.storage.quotas import Quotas
from downloadd.storage.reclaim import Reclaim, reclaim_nothing, with_reclaimed_space
from downloadd.storage.root import StorageRoot
from downloadd.storage.root_verifier import RootVerifier
from downloadd.storage.small_files import SmallFiles
from downloadd.storage.stored_files import can_rename, complete_publication, count_bytes, list_directories, open_file

READ_CHUNK_BYTES: Final = 1 << 20
"""Bytes of a file that are read at once."""


class LocalDestination:
    """Directory of this machine; implements `Destination`. Use it in `async with`.

    While the root is missing, everything fails with `StorageRootMissingError`, until a directory is at its path again.
    Part files that are open in an earlier root stay lost.

    Every part must be closed before the end of the `async with`, which waits for the threads that are still at work.

    Args:
        root: the storage root; made if it is missing.
        min_free: bytes of free space, on the file system of the root, that downloads must leave.
        fsync: sync published files to stable storage.
        clock: for the age of measurements of the free space; by default the machine's.
        directory_settings: returns the current settings of a directory.
        reclaim: frees space before a call is refused because `min_free` or a quota would be violated.
        verifier: compares the root with the one that was used before; by default any is used.
        has_commit_process: write small files in a process of their own, and not in threads.
        is_shared: other processes may open the root too, if they share it as well. Small files are then published as
            ordinary part files, whose names another process can take away: see `docs/explanation/takeover.md`.

    Attributes:
        small_files: writes and links small files.
        finished_files: opens finished files for users.

    Raises:
        StorageError: on entering, when the root cannot be used; the message names it.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        min_free: int,
        fsync: bool,
        clock: Clock | None = None,
        directory_settings: Callable[[str], DirectorySettings] = lambda directory: DirectorySettings(),
        reclaim: Reclaim = reclaim_nothing,
        verifier: RootVerifier | None = None,
        has_commit_process: bool = False,
        is_shared: bool = False,
    ) -> None:
        clock = clock or SystemClock()
        self._directory_settings = directory_settings
        self._attributes = FileAttributes()
        self._root = StorageRoot(
            root,
            fsync=fsync,
            directory_settings=directory_settings,
            on_change=self._invalidate,
            attributes=self._attributes,
            verifier=verifier,
            is_shared=is_shared,
        )
        self._quotas = Quotas(
            directory_settings=directory_settings,
            count_bytes=lambda top, excluded: count_bytes(self._root, parse_directory(top), excluded),
            clock=clock,
        )
        self._reclaim = reclaim
        self._fsync = fsync
        self._min_free = min_free
        self._threads = DiskThreadPools(self._root.try_writing)
        self._publisher = Publisher(fsync=fsync, umask=0, attributes=self._attributes)
        self._names = FinalNames(self._root, self._threads)
        self.finished_files = FinishedFiles(self._root, self._threads)
        self._parts = PartListing(self._root, self._threads)
        self._space = FreeSpace(self._root.measure_space, min_free=min_free, clock=clock)
        self.small_files = SmallFiles(
            root=self._root,
            threads=self._threads,
            process=CommitProcess(clock, is_enabled=has_commit_process and not is_shared),
            quotas=self._quotas,
            space=self._space,
            directory_settings=directory_settings,
            fsync=fsync,
            is_enabled=not is_shared,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._threads.run(DiskPool.CALLS, "", self._root.__enter__)
            umask = await self._threads.run(DiskPool.CALLS, "", read_umask)
            self._publisher = Publisher(fsync=self._fsync, umask=umask, attributes=self._attributes)
            await self._threads.run(DiskPool.SMALL_FILES, "", self.small_files.open)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._close()

    async def open_part(
        self,
        *,
        directory: str,
        filename: SafeName,
        download_id: str,
        epoch: int,
        existing: str | None,
        restart: int = 0,
    ) -> PartFile:
        """Open the part file of a run.

        `existing` names the part file of an earlier epoch, which is renamed to this epoch's name. If it is missing, or
        not a regular file with one name, an empty part file is made, and the directory if needed. If `existing` is
        None, that happens at the first write or at publication. Cancelled, the files are as before. `restart` counts
        the part files of one run.

        Raises:
            DownloadError: the part file cannot be made there.
        """
        place = parse_directory(directory)
        names = await self._part_names(place, filename, download_id)
        name = names.name(epoch, restart)
        # A restart is a second file of the run: the first one has adopted those of later epochs.
        candidates = [] if existing is None else names.possible(existing, before=0 if restart else epoch)
        part = PartFile(
            threads=self._threads,
            root=self._root,
            publisher=self._publisher,
            directory=place,
            name=name,
            directory_settings=self._directory_settings,
            charge=self._quotas.charge(place, name),
            space=self._space,
            reclaim=self._reclaim,
            may_hold=self.small_files.is_suitable,
        )
        self._parts.add(part)
        if existing is not None:
            await part.adopt(candidates)
        return part

    async def claim_part(
        self, *, directory: str, filename: SafeName, download_id: str, epoch: int, existing: str
    ) -> str | None:
        """Rename the part file of an earlier epoch as `open_part` does; see `Destination.claim_part`."""
        place = parse_directory(directory)
        names = await self._part_names(place, filename, download_id)
        name = names.name(epoch)
        claim = partial(claim_part, self._root, place, name, names.possible(existing, before=epoch))
        is_there = await self._threads.run(DiskPool.CALLS, join_path(place, name), claim)
        return name if is_there else None

    async def has_part(self, *, directory: str, name: str) -> bool:
        """Return True if a part file exists."""
        part, place = check_part_name(name), parse_directory(directory)
        return await self._threads.run(DiskPool.CALLS, join_path(place, part), part_exists, self._root, place, part)

    async def remove_part(self, *, directory: str, name: str) -> None:
        """Delete a part file; do nothing if it is missing."""
        part, place = check_part_name(name), parse_directory(directory)
        await self._threads.run(DiskPool.CALLS, join_path(place, part), self._delete_part, place, part)

    async def max_name_bytes(self, *, directory: str) -> int:
        """Return the bytes of the longest name that the file system of a directory takes."""
        return await self._names.max_name_bytes(parse_directory(directory))

    async def can_rename(self, *, directory: str, to: str) -> bool:
        """Return True if both directories, or the nearest above them that are there, are on one file system."""
        places = parse_directory(directory), parse_directory(to)
        return await self._threads.run(DiskPool.CALLS, places[1], can_rename, self._root, *places)

    async def exists(self, *, directory: str, filename: SafeName) -> bool:
        """Return True if the final name is taken by a file, a directory or a link, even a dangling one."""
        return await self._names.exists(parse_directory(directory), filename)

    async def reserve_name(self, *, directory: str, filename: SafeName, conflict: Conflict) -> SafeName | None:
        """Reserve the name to publish under, by the conflict policy; return None for `skip` when the name is taken.

        See `FinalNames.reserve`.
        """
        return await self._names.reserve(parse_directory(directory), filename, conflict)

    def release_name(self, *, directory: str, filename: SafeName) -> None:
        """Release a name that `reserve_name` returned, once it is published or no longer needed."""
        self._names.release(parse_directory(directory), filename)

    async def is_published(
        self,
        *,
        directory: str,
        filename: SafeName,
        total: int,
        part_name: str | None,
        identity: str | None = None,
        part_directory: str | None = None,
        epoch: int = 0,
    ) -> bool:
        """Return True if the final file of a download that was being published at a crash is in place.

        See `complete_publication`.
        """
        place = parse_directory(directory)
        part_place = place if part_directory is None else parse_directory(part_directory)
        parts: Sequence[PartName] = ()
        if part_name is not None:
            names = await self._part_names(part_place, filename, part_owner(check_part_name(part_name)))
            parts = names.possible(part_name, before=epoch + 1)
        complete = partial(
            complete_publication,
            self._root,
            self._publisher,
            directory=place,
            filename=filename,
            total=total,
            parts=parts,
            identity=identity,
            part_directory=part_place,
        )
        return await self._threads.run(DiskPool.SYNCS, join_path(place, filename), complete)

    async def remove_file(
        self, *, directory: str, filename: SafeName, identity: str | None, checksum: str | None
    ) -> bool:
        """Remove a published file, on stable storage; return False if there is none of this name.

        See `remove_published` for how it is recognised.
        """
        is_cancelled = threading.Event()
        place = parse_directory(directory)
        remove = partial(
            self._remove_published, place, filename, identity=identity, checksum=checksum, is_cancelled=is_cancelled
        )
        try:
            return await self._threads.run(DiskPool.DIGESTS, join_path(place, filename), remove)
        finally:
            is_cancelled.set()

    async def read_file(self, *, directory: str, filename: SafeName) -> AsyncIterator[bytes]:
        """Yield the content of a final file in pieces; links are not followed."""
        place = parse_directory(directory)
        path = join_path(place, filename)
        fd = await self._threads.run(DiskPool.CALLS, path, open_file, self._root, place, filename)
        try:
            while piece := await self._threads.run(DiskPool.CALLS, path, os.read, fd, READ_CHUNK_BYTES):
                yield piece
        finally:
            os.close(fd)

    async def check_root(self) -> None:
        """Check that the root is there, and is the one that was used before.

        Raises:
            StorageRootMissingError: it is not.
        """
        await self._threads.run(DiskPool.CALLS, "", self._root.check)

    async def try_writing(self) -> None:
        """Check the root, and that it takes writes, by a trial.

        Raises:
            StorageAwayError: it is missing, or takes none.
        """
        await self._threads.run(DiskPool.CALLS, "", self._root.try_writing)

    async def check_directory(self, *, directory: str) -> None:
        """Check that a directory, or the nearest above it that is there, takes writes.

        Raises:
            DownloadError: it does not.
        """
        place = parse_directory(directory)
        await self._threads.run(DiskPool.CALLS, place, self._root.try_writing_in, place)

    async def check_free_space(self, needed: int) -> None:
        """Check that `needed` more bytes leave `min_free` bytes free, by a measurement up to half a second old.

        Kept files are removed before it refuses.

        Raises:
            InsufficientStorageError: they do not.
            StorageRootMissingError: the root is missing.
        """
        if not self._space.has_space(needed):
            check = partial(self._threads.run, DiskPool.CALLS, "", self._space.check, needed)
            await with_reclaimed_space(check, self._reclaim)

    async def measure_unannounced(self) -> UnannouncedSpace:
        """Measure the space that no open part has reserved.

        Raises:
            StorageRootMissingError: the root is missing.
        """
        return await self._threads.run(DiskPool.CALLS, "", self._space.unannounced)

    async def accept_root(self) -> RootIdentity:
        """Use the root that is there, though it is not the one that was used before; return its identity.

        Raises:
            StorageRootMissingError: there is no directory.
        """
        return await self._threads.run(DiskPool.CALLS, "", self._root.accept)

    async def directories(self, prefix: str, limit: int) -> list[str]:
        """Return up to `limit` directories that begin with `prefix`; see `list_directories` for those left out."""
        before, _, start = prefix.lstrip("/").rpartition("/")
        parent = parse_directory(before)
        found = await self._threads.run(DiskPool.CALLS, parent, list_directories, self._root, parent, start, limit)
        return [*found]

    async def measure_use(self, quotas: Sequence[Quota]) -> StorageUsage:
        """Return the use of the file system of the root and of the directories that have these quotas.

        Raises:
            StorageError: the disk cannot be measured.
        """
        space = await self._threads.run(DiskPool.CALLS, "", self._root.measure_space)
        return StorageUsage(
            free=space.free,
            size=space.capacity,
            reserved=self._min_free,
            quotas=[
                QuotaUsage(
                    directory=quota.directory,
                    used=await self._threads.run(DiskPool.CALLS, quota.directory, self._quotas.used, quota.directory),
                    limit=quota.limit,
                )
                for quota in quotas
            ],
        )

    def list_parts(self) -> AsyncIterator[Sequence[PartEntry]]:
        """Yield all part files below the root except for open ones, in chunks, for the sweep after start."""
        return self._parts.read()

    async def _close(self) -> None:
        await self._threads.close()
        await asyncio.to_thread(self.small_files.close)
        self._root.__exit__(None, None, None)

    async def _part_names(self, directory: SafeDirectory, filename: SafeName, download_id: str) -> PartNames:
        max_bytes = await self._names.max_name_bytes(directory)
        return PartNames(filename=filename, download_id=download_id, max_bytes=max_bytes)

    # The methods below run in threads.

    def _invalidate(self) -> None:
        """Discard measurements and counts of a root that is missing or replaced."""
        self._space.invalidate()
        self._names.invalidate()
        self.small_files.invalidate()
        self._quotas.invalidate()

    def _delete_part(self, directory: SafeDirectory, name: PartName) -> None:
        self._quotas.subtract(directory, delete_part(self._root, directory, name))

    def _remove_published(
        self,
        directory: SafeDirectory,
        filename: SafeName,
        *,
        identity: str | None,
        checksum: str | None,
        is_cancelled: threading.Event,
    ) -> bool:
        size = remove_published(
            self._root, directory, filename, identity=identity, checksum=checksum, is_cancelled=is_cancelled
        )
        if size is None:
            return False
        self._quotas.subtract(directory, size)
        with self._root.open_directory(directory) as directory_fd:
            self._publisher.sync(directory_fd)
        return True
