"""The threads that wait for the disk, so that the event loop does not."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import Final, TypeVar

from aiofiles.os import wrap

from downloadd.storage.os_errors import translate

T = TypeVar("T")


class Lane(Enum):
    """Kinds of disk work that must not hold each other up."""

    CALLS = auto()
    """Short calls, and writes that end in the page cache."""
    SYNCS = auto()
    """What waits for stable storage; those that wait together share the flush of the disk."""
    SOCKETS = auto()
    """Moving what has come from sockets to files."""
    DIGESTS = auto()
    """Reading and hashing whole files."""


_THREADS: Final = {Lane.CALLS: 8, Lane.SYNCS: 4, Lane.SOCKETS: 4, Lane.DIGESTS: 4}


class DiskThreads:
    """Runs disk work in threads of its own, and what the operating system refuses comes out as a `DownloadError`."""

    def __init__(self) -> None:
        self._lanes = {
            lane: ThreadPoolExecutor(count, thread_name_prefix=f"disk-{lane.name.lower()}")
            for lane, count in _THREADS.items()
        }

    async def run(self, lane: Lane, path: str, work: Callable[..., T], *args: object) -> T:
        """What `work(*args)` returns, called in a thread; `path` (below the root) is what it is about.

        Cancelled, it returns at once: work that has not begun never will, work that has goes on to its end.

        Raises:
            DownloadError: `work` raised an OSError.
        """
        try:
            return await wrap(work)(*args, executor=self._lanes[lane])
        except OSError as error:
            raise translate(error, path) from error

    async def run_to_end(self, lane: Lane, path: str, work: Callable[..., T], *args: object) -> T:
        """Like `run`, but cancelled it returns at once and `work` is done all the same."""
        return await asyncio.shield(self.run(lane, path, work, *args))

    def start(self, lane: Lane, work: Callable[[], None]) -> None:
        """Lets `work`, which must not raise, be done in a thread while nobody waits for it; from any thread."""
        self._lanes[lane].submit(work)

    async def close(self) -> None:
        """Waits for all work, also for what nobody waits for any more; there can be none afterwards."""
        for pool in self._lanes.values():
            await asyncio.to_thread(pool.shutdown)
