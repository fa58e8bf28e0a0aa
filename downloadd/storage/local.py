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
from downloadd.download import Conflict, join_path
from downloadd.errors import InvalidPathError, StorageGoneError
from downloadd.metrics import QuotaUse, StorageUse
from downloadd.storage.commit import Committer
from downloadd.storage.conflicts import Reservations, settle_name
from downloadd.storage.destination import StrayPart
from downloadd.storage.disk_threads import DiskThreads, Lane
from downloadd.storage.free_space import FreeSpace
from downloadd.storage.names import SafeDirectory, SafeName, parse_directory, parse_filename, parse_part_name, part_name
from downloadd.storage.part_file import PartFile, delete_part
from downloadd.storage.quotas import Quotas
from downloadd.storage.root import StorageRoot, is_out_of_reach, is_taken, status_of
from downloadd.terms import Quota, Terms

STRAYS_AT_ONCE: Final = 500
"""The most part files in one chunk of a sweep."""

READ_BYTES: Final = 1 << 20
"""Bytes of a file that are read at once."""

_DIRECTORIES_AT_ONCE: Final = 64


class LocalDestination:
    """A directory of this machine; implements `Destination`. To be used within `async with`.

    When the root vanishes, everything fails with `StorageGoneError` until a directory lies at its path again. A part
    that is open below an earlier one stays lost.

    Every part must be closed before the end of the `async with`, which waits for the threads still at work.

    Args:
        root: the storage root; made when missing.
        min_free: bytes of free space that no download may use up; looked up on the file system of the root.
        fsync: whether published files are brought to stable storage.
        clock: for the age of what is known about the free space; by default the machine's.
        terms: what holds in a directory, as it is now.

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
        terms: Callable[[str], Terms] = lambda directory: Terms(),
    ) -> None:
        clock = clock or SystemClock()
        self._terms = terms
        self._root = StorageRoot(root, fsync=fsync, terms=terms, moved=self._forget)
        self._quotas = Quotas(terms=terms, count=self._bytes_below, clock=clock)
        self._fsync = fsync
        self._min_free = min_free
        self._threads = DiskThreads()
        self._committer = Committer(fsync=fsync, umask=0)
        self._reservations = Reservations()
        self._turns: dict[SafeDirectory, _Turn] = {}
        self._parts: WeakSet[PartFile] = WeakSet()
        self._space = FreeSpace(self._root.space, min_free=min_free, clock=clock)

    async def __aenter__(self) -> Self:
        try:
            await self._threads.run(Lane.CALLS, "", self._root.__enter__)
            self._committer = Committer(fsync=self._fsync, umask=await self._threads.run(Lane.CALLS, "", _umask))
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
        name = part_name(safe, download_id, epoch)
        _require_part_name(name)
        candidates: list[str] = []
        if existing is not None:
            # A run that was killed between its takeover and its first record has left the part under its own epoch.
            earlier = _require_part_name(existing)
            candidates = [existing, *(part_name(safe, download_id, later) for later in range(earlier + 1, epoch))]
        place = parse_directory(directory)
        part = PartFile(
            threads=self._threads,
            root=self._root,
            committer=self._committer,
            directory=place,
            name=name,
            terms=self._terms,
            charge=self._quotas.charge(place, name),
            space=self._space,
        )
        self._parts.add(part)
        if existing is not None:
            await part.take_over(candidates)
        return part

    async def remove_part(self, *, directory: str, name: str) -> None:
        """Deletes a part file; does nothing when it is gone."""
        _require_part_name(name)
        place = parse_directory(directory)
        await self._threads.run(Lane.CALLS, join_path(place, name), self._delete_part, place, name)

    async def exists(self, *, directory: str, filename: str) -> bool:
        """Whether the final name is taken, be it by a file, a directory or a dangling link."""
        place, name = parse_directory(directory), parse_filename(filename)
        return await self._threads.run(Lane.CALLS, join_path(place, name), self._exists, place, name)

    async def choose_name(self, *, directory: str, filename: str, conflict: Conflict) -> str | None:
        """The name to publish under, by the conflict policy; None for `skip` when the name is taken.

        Concurrent callers get different names under `rename`; `release_name` gives a name back. Under the other
        policies a name counts as taken only when it is on disk, and `publish` has the last word.

        Raises:
            FileExistsAlreadyError: for `error` when the name is taken.
            InvalidPathError: for `overwrite` when the name is that of a directory.
        """
        place, name = parse_directory(directory), parse_filename(filename)
        async with self._turn_in(place):
            promised = self._reservations.of(place) if conflict is Conflict.RENAME else frozenset()
            chosen = await self._threads.run(
                Lane.CALLS, join_path(place, name), self._settle, place, name, conflict, promised
            )
            if chosen is not None and conflict is Conflict.RENAME:
                self._reservations.add(place, chosen)
        return chosen

    def release_name(self, *, directory: str, filename: str) -> None:
        """Forgets a name that `choose_name` gave, once it is published or given up."""
        self._reservations.discard(parse_directory(directory), filename)

    async def published(self, *, directory: str, filename: str, total: int, part_name: str | None) -> bool:
        """For recovery: whether the final file of a download that was `publishing` is in place.

        True when `filename` exists with `total` bytes and the part is gone, or is the same file (it is removed then).
        The name is on stable storage then, because the crash may have come before it was.
        """
        if part_name is not None:
            _require_part_name(part_name)
        place, name = parse_directory(directory), parse_filename(filename)
        return await self._threads.run(
            Lane.SYNCS, join_path(place, name), self._published, place, name, total, part_name
        )

    async def read_file(self, *, directory: str, filename: str) -> AsyncIterator[bytes]:
        """A finished file, piece by piece; never through a link."""
        place, name = parse_directory(directory), parse_filename(filename)
        path = join_path(place, name)
        fd = await self._threads.run(Lane.CALLS, path, self._open_file, place, name)
        try:
            while piece := await self._threads.run(Lane.CALLS, path, os.read, fd, READ_BYTES):
                yield piece
        finally:
            os.close(fd)

    async def require_free(self, needed: int) -> None:
        """Checks that `needed` more bytes leave `min_free` bytes free; what it knows is up to half a second old.

        Raises:
            InsufficientStorageError: they do not.
            StorageGoneError: the root is not there.
        """
        if not self._space.has_room(needed):
            await self._threads.run(Lane.CALLS, "", self._space.require, needed)

    async def directories(self, prefix: str, limit: int) -> list[str]:
        """Up to `limit` directories whose paths begin with `prefix` and have no slash after it, in order.

        Hidden ones, links, and those that no download can lie in, are left out.

        Raises:
            InvalidPathError: no directory can begin like that.
        """
        around, _, start = prefix.lstrip("/").rpartition("/")
        place = parse_directory(around)
        return await self._threads.run(Lane.CALLS, place, self._directories_in, place, start, limit)

    async def use(self, quotas: Sequence[Quota]) -> StorageUse:
        """How full the file system of the root is, and the directories that these quotas are for.

        Raises:
            StorageError: the disk says nothing.
        """
        space = await self._threads.run(Lane.CALLS, "", self._root.space)
        return StorageUse(
            free=space.free,
            size=space.capacity,
            reserved=self._min_free,
            quotas=[
                QuotaUse(
                    directory=quota.directory,
                    used=await self._threads.run(Lane.CALLS, quota.directory, self._quotas.used, quota.directory),
                    limit=quota.limit,
                )
                for quota in quotas
            ],
        )

    async def stray_parts(self) -> AsyncIterator[Sequence[StrayPart]]:
        """Yield all part files below the root but those that are open, in chunks, for the sweep after start.

        Directories that cannot be read, or that no download can lie in, are passed over. Links are not followed.
        """
        left = [SafeDirectory("")]
        while left:
            # One may be opened or closed while its directory is read.
            before = self._open_parts()
            surveyed = await self._threads.run(Lane.CALLS, "", self._survey, left)
            being_written = before | self._open_parts()
            found = [part for part in surveyed if (part.download_id, part.epoch) not in being_written]
            for start in range(0, len(found), STRAYS_AT_ONCE):
                yield found[start : start + STRAYS_AT_ONCE]

    def _open_parts(self) -> set[tuple[str, int] | None]:
        """Return the download ids and epochs of the parts that are open now.

        They are compared in place of names, which a disk may spell its own way.
        """
        return {parse_part_name(part.name) for part in self._parts if not part.closed}

    async def _close(self) -> None:
        await self._threads.close()
        self._root.__exit__(None, None, None)

    @asynccontextmanager
    async def _turn_in(self, directory: SafeDirectory) -> AsyncIterator[None]:
        """Lets one caller at a time choose a name in a directory."""
        turn = self._turns.setdefault(directory, _Turn())
        turn.callers += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.callers -= 1
            if not turn.callers:
                del self._turns[directory]

    # What follows runs in threads.

    def _forget(self) -> None:
        """The root is gone, or another one: what was known holds for neither."""
        self._space.forget()
        self._quotas.forget()

    def _open_file(self, directory: SafeDirectory, filename: SafeName) -> int:
        with self._root.directory(directory) as directory_fd:
            # Without O_NONBLOCK, opening a pipe would wait for a writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(filename.encode(), flags, dir_fd=directory_fd)

    def _directories_in(self, place: SafeDirectory, start: str, limit: int) -> list[str]:
        found = []
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            self._root.directory(place) as directory_fd,
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
        self._quotas.removed(directory, delete_part(self._root, directory, name))

    def _bytes_below(self, top: str, besides: frozenset[str]) -> int:
        """Bytes of all files below a directory that is configured, without those at some paths."""
        total = 0
        left = [SafeDirectory(top)]
        while left:
            directory = left.pop()
            try:
                with self._root.directory(directory) as directory_fd, os.scandir(directory_fd) as entries:
                    for entry in entries:
                        path = join_path(directory, os.fsdecode(entry.name))
                        if entry.is_dir(follow_symlinks=False):
                            # Where no download can lie, none adds to the quota.
                            with suppress(InvalidPathError):
                                left.append(parse_directory(path))
                        elif entry.is_file(follow_symlinks=False) and path not in besides:
                            total += entry.stat(follow_symlinks=False).st_size
            except OSError as error:
                if not is_out_of_reach(error):
                    raise
        return total

    def _exists(self, directory: SafeDirectory, filename: SafeName) -> bool:
        try:
            with self._root.directory(directory) as directory_fd:
                return status_of(filename, directory_fd) is not None
        except FileNotFoundError:
            return False

    def _settle(
        self, directory: SafeDirectory, filename: SafeName, conflict: Conflict, promised: frozenset[str]
    ) -> SafeName | None:
        path = join_path(directory, filename)
        try:
            with self._root.directory(directory) as directory_fd:
                if conflict is Conflict.OVERWRITE:
                    _refuse_directory(filename, directory_fd)
                return settle_name(
                    filename,
                    conflict,
                    path=path,
                    is_taken=lambda name: name in promised or status_of(name, directory_fd) is not None,
                )
        except FileNotFoundError:
            return settle_name(filename, conflict, path=path, is_taken=promised.__contains__)

    def _published(self, directory: SafeDirectory, filename: SafeName, total: int, part: str | None) -> bool:
        try:
            with self._root.directory(directory) as directory_fd:
                final = status_of(filename, directory_fd)
                if final is None or not stat.S_ISREG(final.st_mode) or final.st_size != total:
                    return False
                unfinished = status_of(part, directory_fd) if part is not None else None
                if part is not None and unfinished is not None:
                    if not os.path.samestat(final, unfinished):
                        return False
                    os.unlink(part.encode(), dir_fd=directory_fd)
                self._committer.sync(directory_fd)
                return True
        except OSError as error:
            if is_out_of_reach(error):
                return False
            raise

    def _survey(self, left: list[SafeDirectory]) -> list[StrayPart]:
        """Takes directories from `left`, puts theirs there, and returns the part files that it came by."""
        found: list[StrayPart] = []
        for _ in range(_DIRECTORIES_AT_ONCE):
            if not left or len(found) >= STRAYS_AT_ONCE:
                break
            directory = left.pop()
            try:
                self._survey_directory(directory, left, found)
            except (OSError, StorageGoneError):
                # Gone by now, or not ours to read (lost+found); a sweep takes what it finds.
                continue
        return found

    def _survey_directory(self, directory: SafeDirectory, left: list[SafeDirectory], found: list[StrayPart]) -> None:
        with self._root.directory(directory) as directory_fd, os.scandir(directory_fd) as entries:
            if directory and is_taken(directory_fd):
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
                    found.append(StrayPart(directory=directory, name=name, download_id=download_id, epoch=epoch))


class _Turn:
    """The lock of one directory, kept while somebody holds it or waits for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.callers = 0


def _require_part_name(name: str) -> int:
    """The epoch in the name of a part file."""
    # A row is trusted no further than a request: only our own hidden names are ever renamed or deleted as parts.
    parsed = parse_part_name(name)
    if parsed is None:
        raise InvalidPathError(f"{name!r} is not the name of a part file")
    return parsed[1]


def _refuse_directory(filename: SafeName, directory_fd: int) -> None:
    status = status_of(filename, directory_fd)
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise InvalidPathError(f"{filename} is a directory, which a download cannot overwrite")


def _umask() -> int:
    """The umask of the process, which can only be read by setting it; strict for that moment."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
