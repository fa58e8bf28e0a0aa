"""The threads that wait for the disk, so that the event loop does not."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import Final, TypeVar

from aiofiles.os import wrap

from downloadd.storage.os_errors import map_os_error

T = TypeVar("T")


class DiskPool(Enum):
    """Kinds of disk work that must not hold each other up."""

    CALLS = auto()
    """Short calls, and writes that end in the page cache."""
    SYNCS = auto()
    """What waits for stable storage; those that wait together share the flush of the disk."""
    SOCKETS = auto()
    """Moving what has come from sockets to files."""
    DIGESTS = auto()
    """Reading and hashing whole files."""


_THREADS: Final = {DiskPool.CALLS: 8, DiskPool.SYNCS: 4, DiskPool.SOCKETS: 4, DiskPool.DIGESTS: 4}


class DiskThreadPools:
    """Runs disk work in threads of its own, and what the operating system refuses comes out as a `DownloadError`."""

    def __init__(self) -> None:
        self._pools = {
            pool: ThreadPoolExecutor(count, thread_name_prefix=f"disk-{pool.name.lower()}")
            for pool, count in _THREADS.items()
        }

    async def run(self, pool: DiskPool, path: str, work: Callable[..., T], *args: object) -> T:
        """What `work(*args)` returns, called in a thread; `path` (below the root) is what it is about.

        Cancelled, it returns at once: work that has not begun never will, work that has goes on to its end.

        Raises:
            DownloadError: `work` raised an OSError.
        """
        try:
            return await wrap(work)(*args, executor=self._pools[pool])
        except OSError as error:
            raise map_os_error(error, path) from error

    async def run_shielded(self, pool: DiskPool, path: str, work: Callable[..., T], *args: object) -> T:
        """Like `run`, but cancelled it returns at once and `work` is done all the same."""
        return await asyncio.shield(self.run(pool, path, work, *args))

    def submit(self, pool: DiskPool, work: Callable[[], None]) -> None:
        """Lets `work`, which must not raise, be done in a thread while nobody waits for it; from any thread."""
        self._pools[pool].submit(work)

    async def close(self) -> None:
        """Waits for all work, also for what nobody waits for any more; there can be none afterwards."""
        for pool in self._pools.values():
            await asyncio.to_thread(pool.shutdown)
