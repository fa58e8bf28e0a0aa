"""Thread pools for disk work, so that the event loop does not wait for the disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import Final, TypeVar

from aiofiles.os import wrap

from downloadd.errors import DownloadError, StorageAwayError
from downloadd.storage.os_errors import Cause, find_cause, map_os_error

T = TypeVar("T")


class DiskPool(Enum):
    """Kinds of disk work that must not delay each other."""

    CALLS = auto()
    """Short calls, and writes to the page cache."""
    SYNCS = auto()
    """Syncs to stable storage; those that wait together share one flush of the disk."""
    SOCKETS = auto()
    """Moves of bytes from sockets to files."""
    DIGESTS = auto()
    """Reading and hashing of whole files."""
    SMALL_FILES = auto()
    """Batches of small files."""


_THREADS: Final = {
    DiskPool.CALLS: 8,
    DiskPool.SYNCS: 4,
    DiskPool.SOCKETS: 4,
    DiskPool.DIGESTS: 4,
    DiskPool.SMALL_FILES: 2,
}
"""Threads in each pool."""


class DiskThreadPools:
    """Runs disk work in its own threads and maps errors of the operating system to `DownloadError`.

    Args:
        try_storage: tries the storage after an error that does not say if it concerns one file or the whole storage;
            called in a thread, and raises `StorageAwayError` for the latter.
    """

    def __init__(self, try_storage: Callable[[], None] = lambda: None) -> None:
        self._try_storage = try_storage
        self._pools = {
            pool: ThreadPoolExecutor(count, thread_name_prefix=f"disk-{pool.name.lower()}")
            for pool, count in _THREADS.items()
        }

    async def run(self, pool: DiskPool, path: str, work: Callable[..., T], *args: object) -> T:
        """Return `work(*args)`, called in a thread; `path` (below the root) is the one that errors name.

        Cancelled, it returns at once: work that has not started never starts, work that has started runs to its end.

        Raises:
            DownloadError: `work` raised an OSError.
        """
        try:
            return await wrap(work)(*args, executor=self._pools[pool])
        except OSError as error:
            raise await self._map(error, path) from error

    async def run_shielded(self, pool: DiskPool, path: str, work: Callable[..., T], *args: object) -> T:
        """Run like `run`, but do `work` even if the call is cancelled, which returns at once."""
        return await asyncio.shield(self.run(pool, path, work, *args))

    def submit(self, pool: DiskPool, work: Callable[[], None]) -> None:
        """Queue `work`, which must not raise, without waiting for it; may be called in any thread."""
        self._pools[pool].submit(work)

    async def close(self) -> None:
        """Wait for all work, including work whose caller was cancelled; no more is accepted afterwards."""
        for pool in self._pools.values():
            await asyncio.to_thread(pool.shutdown)

    async def _map(self, error: OSError, path: str) -> DownloadError:
        if find_cause(error) is Cause.OTHER:
            try:
                await wrap(self._try_storage)(executor=self._pools[DiskPool.CALLS])
            except StorageAwayError as away:
                return away
        return map_os_error(error, path)
