"""Final names in a storage root: taken, free and reserved ones."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from downloadd.download import Conflict, join_path
from downloadd.errors import InvalidPathError
from downloadd.storage.conflicts import Reservations, resolve_conflict
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.name_limits import NameLimits
from downloadd.storage.names import SafeDirectory, SafeName
from downloadd.storage.root import StorageRoot, stat_entry


class FinalNames:
    """Choice and reservation of final names, for all downloads of a storage root."""

    def __init__(self, root: StorageRoot, threads: DiskThreadPools) -> None:
        self._root = root
        self._limits = NameLimits(root)
        self._threads = threads
        self._reservations = Reservations()
        self._locks: dict[SafeDirectory, _DirectoryLock] = {}

    async def exists(self, directory: SafeDirectory, filename: SafeName) -> bool:
        """Return True if the name is taken by a file, a directory or a link, even a dangling one."""
        path = join_path(directory, filename)
        return await self._threads.run(DiskPool.CALLS, path, self._exists, directory, filename)

    async def reserve(self, directory: SafeDirectory, filename: SafeName, conflict: Conflict) -> SafeName | None:
        """Reserve the name to publish under, by the conflict policy; return None for `skip` when the name is taken.

        Concurrent callers get different names under `rename`. Under the other policies only a name on disk is taken,
        and publication decides.

        Raises:
            FileExistsAlreadyError: for `error` when the name is taken.
            InvalidPathError: for `overwrite` when the name is that of a directory.
        """
        async with self._lock(directory):
            reserved_names = self._reservations.names_in(directory) if conflict is Conflict.RENAME else frozenset()
            chosen = await self._threads.run(
                DiskPool.CALLS,
                join_path(directory, filename),
                self._resolve_conflict,
                directory,
                filename,
                conflict,
                reserved_names,
            )
            if chosen is not None and conflict is Conflict.RENAME:
                self._reservations.add(directory, chosen)
        return chosen

    async def max_name_bytes(self, directory: SafeDirectory) -> int:
        """Return the bytes of the longest name that the file system of a directory takes."""
        known = self._limits.find_known(directory)
        if known is not None:
            return known
        return await self._threads.run(DiskPool.CALLS, directory, self._limits.measure, directory)

    def invalidate(self) -> None:
        """Discard the limits of names, after the root has changed."""
        self._limits.invalidate()

    def release(self, directory: SafeDirectory, filename: SafeName) -> None:
        """Release a reserved name; do nothing if it is not reserved."""
        self._reservations.discard(directory, filename)

    @asynccontextmanager
    async def _lock(self, directory: SafeDirectory) -> AsyncIterator[None]:
        """Let one caller at a time choose a name in a directory."""
        directory_lock = self._locks.setdefault(directory, _DirectoryLock())
        directory_lock.users += 1
        try:
            async with directory_lock.lock:
                yield
        finally:
            directory_lock.users -= 1
            if not directory_lock.users:
                del self._locks[directory]

    # The methods below run in threads.

    def _exists(self, directory: SafeDirectory, filename: SafeName) -> bool:
        try:
            with self._root.open_directory(directory) as directory_fd:
                return stat_entry(filename, directory_fd) is not None
        except FileNotFoundError:
            return False

    def _resolve_conflict(
        self, directory: SafeDirectory, filename: SafeName, conflict: Conflict, reserved_names: frozenset[SafeName]
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
                    max_name_bytes=self._limits.measure(directory),
                )
        except FileNotFoundError:
            return resolve_conflict(
                filename,
                conflict,
                path=path,
                is_taken=reserved_names.__contains__,
                max_name_bytes=self._limits.measure(directory),
            )


class _DirectoryLock:
    """Lock of one directory, kept while a caller holds it or waits for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


def _check_not_directory(filename: SafeName, directory_fd: int) -> None:
    status = stat_entry(filename, directory_fd)
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise InvalidPathError(f"{filename} is a directory, which a download cannot overwrite")
