"""The Destination that is a directory of this machine."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from heapq import nsmallest
from types import TracebackType
from typing import Final, Self
from weakref import WeakSet

from downloadd.clock import Clock, SystemClock
from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.download import Conflict, join_path
from downloadd.errors import InvalidPathError, StorageRootMissingError
from downloadd.metrics import QuotaUsage, StorageUsage
from downloadd.storage.conflicts import Reservations, resolve_conflict
from downloadd.storage.destination import PartEntry
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.free_space import FreeSpace
from downloadd.storage.names import (
    SafeDirectory,
    SafeName,
    format_part_name,
    parse_directory,
    parse_filename,
    parse_part_name,
)
from downloadd.storage.part_file import PartFile, delete_part
from downloadd.storage.publisher import Publisher
from downloadd.storage.quotas import Quotas
from downloadd.storage.root import StorageRoot, is_locked, is_missing, stat_entry

MAX_PARTS_PER_CHUNK: Final = 500
"""The most part files in one chunk of a sweep."""

READ_CHUNK_BYTES: Final = 1 << 20
"""Bytes of a file that are read at once."""

_MAX_DIRECTORIES_PER_SCAN: Final = 64


class LocalDestination:
    """A directory of this machine; implements `Destination`. To be used within `async with`.

    When the root vanishes, everything fails with `StorageRootMissingError` until a directory lies at its path again. A part
    that is open below an earlier one stays lost.

    Every part must be closed before the end of the `async with`, which waits for the threads still at work.

    Args:
        root: the storage root; made when missing.
        min_free: bytes of free space that no download may use up; looked up on the file system of the root.
        fsync: whether published files are brought to stable storage.
        clock: for the age of what is known about the free space; by default the machine's.
        directory_settings: what holds in a directory, as it is now.

    Raises:
        StorageError: on entering, when the root cannot be used; the sentence names it.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        min_free: int,
        fsync: bool,
        clock: Clock | None = None,
        directory_settings: Callable[[str], DirectorySettings] = lambda directory: DirectorySettings(),
    ) -> None:
        clock = clock or SystemClock()
        self._directory_settings = directory_settings
        self._root = StorageRoot(root, fsync=fsync, directory_settings=directory_settings, on_change=self._invalidate)
        self._quotas = Quotas(directory_settings=directory_settings, count_bytes=self._count_bytes, clock=clock)
        self._fsync = fsync
        self._min_free = min_free
        self._threads = DiskThreadPools()
        self._publisher = Publisher(fsync=fsync, umask=0)
        self._reservations = Reservations()
        self._name_locks: dict[SafeDirectory, _NameLock] = {}
        self._parts: WeakSet[PartFile] = WeakSet()
        self._space = FreeSpace(self._root.measure_space, min_free=min_free, clock=clock)

    async def __aenter__(self) -> Self:
        try:
            await self._threads.run(DiskPool.CALLS, "", self._root.__enter__)
            self._publisher = Publisher(
                fsync=self._fsync, umask=await self._threads.run(DiskPool.CALLS, "", _read_umask)
            )
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._close()

    async def open_part(
        self, *, directory: str, filename: str, download_id: str, epoch: int, existing: str | None
    ) -> PartFile:
        """The part of a run.

        `existing` names the part of an earlier epoch; it is taken over by renaming it to this epoch's name. If it is
        gone, or not a plain file of its own, an empty part is made, and the directory when it is missing. If it is
        None, that waits until there is something to write. Cancelled, the files are as before.

        Raises:
            DownloadError: the part cannot be made there.
        """
        safe = parse_filename(filename)
        name = format_part_name(safe, download_id, epoch)
        _check_part_name(name)
        candidates: list[str] = []
        if existing is not None:
            # A run that was killed between its takeover and its first record has left the part under its own epoch.
            earlier = _check_part_name(existing)
            candidates = [
                existing,
                *(format_part_name(safe, download_id, later) for later in range(earlier + 1, epoch)),
            ]
        place = parse_directory(directory)
        part = PartFile(
            threads=self._threads,
            root=self._root,
            publisher=self._publisher,
            directory=place,
            name=name,
            directory_settings=self._directory_settings,
            charge=self._quotas.charge(place, name),
            space=self._space,
        )
        self._parts.add(part)
        if existing is not None:
            await part.adopt(candidates)
        return part

    async def remove_part(self, *, directory: str, name: str) -> None:
        """Deletes a part file; does nothing when it is gone."""
        _check_part_name(name)
        place = parse_directory(directory)
        await self._threads.run(DiskPool.CALLS, join_path(place, name), self._delete_part, place, name)

    async def exists(self, *, directory: str, filename: str) -> bool:
        """Whether the final name is taken, be it by a file, a directory or a dangling link."""
        place, name = parse_directory(directory), parse_filename(filename)
        return await self._threads.run(DiskPool.CALLS, join_path(place, name), self._exists, place, name)

    async def reserve_name(self, *, directory: str, filename: str, conflict: Conflict) -> str | None:
        """The name to publish under, by the conflict policy; None for `skip` when the name is taken.

        Concurrent callers get different names under `rename`; `release_name` gives a name back. Under the other
        policies a name counts as taken only when it is on disk, and `publish` has the last word.

        Raises:
            FileExistsAlreadyError: for `error` when the name is taken.
            InvalidPathError: for `overwrite` when the name is that of a directory.
        """
        place, name = parse_directory(directory), parse_filename(filename)
        async with self._name_lock(place):
            reserved_names = self._reservations.names_in(place) if conflict is Conflict.RENAME else frozenset()
            chosen = await self._threads.run(
                DiskPool.CALLS, join_path(place, name), self._resolve_conflict, place, name, conflict, reserved_names
            )
            if chosen is not None and conflict is Conflict.RENAME:
                self._reservations.add(place, chosen)
        return chosen

    def release_name(self, *, directory: str, filename: str) -> None:
        """Forgets a name that `reserve_name` gave, once it is published or given up."""
        self._reservations.discard(parse_directory(directory), filename)

    async def is_published(self, *, directory: str, filename: str, total: int, part_name: str | None) -> bool:
        """For recovery: whether the final file of a download that was `publishing` is in place.

        True when `filename` exists with `total` bytes and the part is gone, or is the same file (it is removed then).
        The name is on stable storage then, because the crash may have come before it was.
        """
        if part_name is not None:
            _check_part_name(part_name)
        place, name = parse_directory(directory), parse_filename(filename)
        return await self._threads.run(
            DiskPool.SYNCS, join_path(place, name), self._published, place, name, total, part_name
        )

    async def read_file(self, *, directory: str, filename: str) -> AsyncIterator[bytes]:
        """A finished file, piece by piece; never through a link."""
        place, name = parse_directory(directory), parse_filename(filename)
        path = join_path(place, name)
        fd = await self._threads.run(DiskPool.CALLS, path, self._open_file, place, name)
        try:
            while piece := await self._threads.run(DiskPool.CALLS, path, os.read, fd, READ_CHUNK_BYTES):
                yield piece
        finally:
            os.close(fd)

    async def check_free_space(self, needed: int) -> None:
        """Checks that `needed` more bytes leave `min_free` bytes free; what it knows is up to half a second old.

        Raises:
            InsufficientStorageError: they do not.
            StorageRootMissingError: the root is not there.
        """
        if not self._space.has_space(needed):
            await self._threads.run(DiskPool.CALLS, "", self._space.check, needed)

    async def directories(self, prefix: str, limit: int) -> list[str]:
        """Up to `limit` directories whose paths begin with `prefix` and have no slash after it, in order.

        Hidden ones, links, and those that no download can lie in, are left out.

        Raises:
            InvalidPathError: no directory can begin like that.
        """
        around, _, start = prefix.lstrip("/").rpartition("/")
        place = parse_directory(around)
        return await self._threads.run(DiskPool.CALLS, place, self._directories_in, place, start, limit)

    async def measure_use(self, quotas: Sequence[Quota]) -> StorageUsage:
        """How full the file system of the root is, and the directories that these quotas are for.

        Raises:
            StorageError: the disk says nothing.
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

    async def list_parts(self) -> AsyncIterator[Sequence[PartEntry]]:
        """Yield all part files below the root but those that are open, in chunks, for the sweep after start.

        Directories that cannot be read, or that no download can lie in, are passed over. Links are not followed.
        """
        left = [SafeDirectory("")]
        while left:
            # One may be opened or closed while its directory is read.
            before = self._open_part_ids()
            scanned = await self._threads.run(DiskPool.CALLS, "", self._scan, left)
            being_written = before | self._open_part_ids()
            found = [part for part in scanned if (part.download_id, part.epoch) not in being_written]
            for start in range(0, len(found), MAX_PARTS_PER_CHUNK):
                yield found[start : start + MAX_PARTS_PER_CHUNK]

    def _open_part_ids(self) -> set[tuple[str, int] | None]:
        """Return the download ids and epochs of the parts that are open now.

        They are compared in place of names, which a disk may spell its own way.
        """
        return {parse_part_name(part.name) for part in self._parts if not part.is_closed}

    async def _close(self) -> None:
        await self._threads.close()
        self._root.__exit__(None, None, None)

    @asynccontextmanager
    async def _name_lock(self, directory: SafeDirectory) -> AsyncIterator[None]:
        """Lets one caller at a time choose a name in a directory."""
        name_lock = self._name_locks.setdefault(directory, _NameLock())
        name_lock.users += 1
        try:
            async with name_lock.lock:
                yield
        finally:
            name_lock.users -= 1
            if not name_lock.users:
                del self._name_locks[directory]

    # What follows runs in threads.

    def _invalidate(self) -> None:
        """The root is gone, or another one: what was known holds for neither."""
        self._space.invalidate()
        self._quotas.invalidate()

    def _open_file(self, directory: SafeDirectory, filename: SafeName) -> int:
        with self._root.open_directory(directory) as directory_fd:
            # Without O_NONBLOCK, opening a pipe would wait for a writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(filename.encode(), flags, dir_fd=directory_fd)

    def _directories_in(self, place: SafeDirectory, start: str, limit: int) -> list[str]:
        found = []
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            self._root.open_directory(place) as directory_fd,
            os.scandir(directory_fd) as entries,
        ):
            for entry in entries:
                if not entry.name.startswith(start) or entry.name.startswith("."):
                    continue
                with suppress(InvalidPathError):
                    path = parse_directory(join_path(place, entry.name))
                    if entry.is_dir(follow_symlinks=False):
                        found.append(path)
        return nsmallest(limit, found)

    def _delete_part(self, directory: SafeDirectory, name: str) -> None:
        self._quotas.subtract(directory, delete_part(self._root, directory, name))

    def _count_bytes(self, top: str, besides: frozenset[str]) -> int:
        """Bytes of all files below a directory that is configured, without those at some paths."""
        total = 0
        left = [SafeDirectory(top)]
        while left:
            directory = left.pop()
            try:
                with self._root.open_directory(directory) as directory_fd, os.scandir(directory_fd) as entries:
                    for entry in entries:
                        path = join_path(directory, os.fsdecode(entry.name))
                        if entry.is_dir(follow_symlinks=False):
                            # Where no download can lie, none adds to the quota.
                            with suppress(InvalidPathError):
                                left.append(parse_directory(path))
                        elif entry.is_file(follow_symlinks=False) and path not in besides:
                            total += entry.stat(follow_symlinks=False).st_size
            except OSError as error:
                if not is_missing(error):
                    raise
        return total

    def _exists(self, directory: SafeDirectory, filename: SafeName) -> bool:
        try:
            with self._root.open_directory(directory) as directory_fd:
                return stat_entry(filename, directory_fd) is not None
        except FileNotFoundError:
            return False

    def _resolve_conflict(
        self, directory: SafeDirectory, filename: SafeName, conflict: Conflict, reserved_names: frozenset[str]
    ) -> SafeName | None:
        path = join_path(directory, filename)
        try:
            with self._root.open_directory(directory) as directory_fd:
                if conflict is Conflict.OVERWRITE:
                    _check_not_directory(filename, directory_fd)
                return resolve_conflict(
                    filename,
                    conflict,
                    path=path,
                    is_taken=lambda name: name in reserved_names or stat_entry(name, directory_fd) is not None,
                )
        except FileNotFoundError:
            return resolve_conflict(filename, conflict, path=path, is_taken=reserved_names.__contains__)

    def _published(self, directory: SafeDirectory, filename: SafeName, total: int, part: str | None) -> bool:
        try:
            with self._root.open_directory(directory) as directory_fd:
                final = stat_entry(filename, directory_fd)
                if final is None or not stat.S_ISREG(final.st_mode) or final.st_size != total:
                    return False
                unfinished = stat_entry(part, directory_fd) if part is not None else None
                if part is not None and unfinished is not None:
                    if not os.path.samestat(final, unfinished):
                        return False
                    os.unlink(part.encode(), dir_fd=directory_fd)
                self._publisher.sync(directory_fd)
                return True
        except OSError as error:
            if is_missing(error):
                return False
            raise

    def _scan(self, left: list[SafeDirectory]) -> list[PartEntry]:
        """Takes directories from `left`, puts theirs there, and returns the part files that it came by."""
        found: list[PartEntry] = []
        for _ in range(_MAX_DIRECTORIES_PER_SCAN):
            if not left or len(found) >= MAX_PARTS_PER_CHUNK:
                break
            directory = left.pop()
            try:
                self._scan_directory(directory, left, found)
            except (OSError, StorageRootMissingError):
                # Gone by now, or not ours to read (lost+found); a sweep takes what it finds.
                continue
        return found

    def _scan_directory(self, directory: SafeDirectory, left: list[SafeDirectory], found: list[PartEntry]) -> None:
        with self._root.open_directory(directory) as directory_fd, os.scandir(directory_fd) as entries:
            if directory and is_locked(directory_fd):
                # The root of another daemon, whose parts are not stray.
                return
            for entry in entries:
                try:
                    name = os.fsencode(entry.name).decode()
                    if entry.is_dir(follow_symlinks=False):
                        left.append(parse_directory(join_path(directory, name)))
                except (UnicodeDecodeError, InvalidPathError):
                    # No download can lie there.
                    continue
                parsed = parse_part_name(name)
                if parsed is not None and entry.is_file(follow_symlinks=False):
                    download_id, epoch = parsed
                    found.append(PartEntry(directory=directory, name=name, download_id=download_id, epoch=epoch))


class _NameLock:
    """The lock of one directory, kept while somebody holds it or waits for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


def _check_part_name(name: str) -> int:
    """The epoch in the name of a part file."""
    # A row is trusted no further than a request: only our own hidden names are ever renamed or deleted as parts.
    parsed = parse_part_name(name)
    if parsed is None:
        raise InvalidPathError(f"{name!r} is not the name of a part file")
    return parsed[1]


def _check_not_directory(filename: SafeName, directory_fd: int) -> None:
    status = stat_entry(filename, directory_fd)
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise InvalidPathError(f"{filename} is a directory, which a download cannot overwrite")


def _read_umask() -> int:
    """The umask of the process, which can only be read by setting it; strict for that moment."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
