"""Threads that read the database, each with a connection of its own."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Final, TypeVar

from downloadd.errors import ShuttingDownError
from downloadd.records.sqlite_errors import storage_error

T = TypeVar("T")

_CANCEL_CHECK_STEPS: Final = 100_000
"""Instructions of SQLite's virtual machine between two checks for a cancelled read: some milliseconds."""


class ReaderPool:
    """Pool of reading threads with as many connections."""

    def __init__(self, name: str, threads: int) -> None:
        """Create a pool that is not open yet; `name` begins the names of its threads."""
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._connections: SimpleQueue[sqlite3.Connection | None] = SimpleQueue()
        self._opened = 0
        self._closed = True

    async def open(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Open the connections; raise what `connect` raises."""
        loop = asyncio.get_running_loop()
        while self._opened < self._threads:
            self._connections.put(await loop.run_in_executor(self._executor, connect))
            self._opened += 1
        self._closed = False

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run `read` in one of the threads and return its result.

        Raises:
            StoreUnavailableError: the database cannot be read at the moment.
            StorageError: the database failed.
            ShuttingDownError: the pool is closed.
        """
        if self._closed:
            raise ShuttingDownError
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._read, read)

    async def run_cancellable(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run `read` like `run`; cancelling the caller interrupts it, so that its thread is free soon."""
        cancelled = threading.Event()

        def run(connection: sqlite3.Connection) -> T:
            connection.set_progress_handler(cancelled.is_set, _CANCEL_CHECK_STEPS)
            try:
                return read(connection)
            finally:
                connection.set_progress_handler(None, 0)

        try:
            return await self.run(run)
        finally:
            cancelled.set()

    async def close(self) -> None:
        """Wait for the reads under way and close the connections."""
        self._closed = True
        opened, self._opened = self._opened, 0
        if opened:
            # In a thread of this pool: all threads of the loop's own executor may be blocked.
            await asyncio.get_running_loop().run_in_executor(self._executor, self._close_connections, opened)
        self._executor.shutdown(wait=False)

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connections.get()
        try:
            if connection is None:
                raise ShuttingDownError
            return read(connection)
        except (sqlite3.Error, OverflowError) as error:
            raise storage_error(error) from error
        finally:
            self._connections.put(connection)

    def _close_connections(self, opened: int) -> None:
        for _ in range(opened):
            # Waits until the connection is not in use.
            connection = self._connections.get()
            if connection is not None:
                connection.close()
        # Reads that are still queued take this in turn, and raise.
        self._connections.put(None)
