"""Connections that read the database."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import asyncpg

from downloadd.errors import ShuttingDownError
from downloadd.records.postgres.address import DatabaseAddress
from downloadd.records.postgres.postgres_errors import DRIVER_ERRORS, is_lost, storage_error

T = TypeVar("T")

_ATTEMPTS: Final = 3
"""Attempts of a read: connections that are idle may have been lost unnoticed, with a restart of the server."""
CANCEL_SECONDS: Final = 5.0
"""Seconds for which the end of a cancelled query is waited for; then its connection is closed."""


class ReaderPool:
    """Pool of reading connections, which are made again after they were lost."""

    def __init__(
        self, address: DatabaseAddress, size: int, *, timeout: float, cancel_timeout: float = CANCEL_SECONDS
    ) -> None:
        """Make a pool that is not open yet.

        Args:
            address: the database.
            size: number of connections.
            timeout: seconds that a read may take.
            cancel_timeout: seconds that a read may take to end after it was cancelled.
        """
        self._address = address
        self._size = size
        self._timeout = timeout
        self._cancel_timeout = cancel_timeout
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Allow reads; connections are made when they are needed."""
        self._pool = await asyncpg.create_pool(
            min_size=0,
            max_size=self._size,
            max_inactive_connection_lifetime=0,
            connect=self._connect,
            reset=_keep,
        )

    async def close(self) -> None:
        """Close all connections; reads under way fail."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def run(self, read: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run `read` with a connection and return its result; cancelling the caller ends its query. It may run twice.

        Raises:
            StoreUnavailableError: the database cannot be read at the moment.
            StorageError: the database failed.
            ShuttingDownError: the pool is closed.
        """
        attempt = 1
        while True:
            pool = self._pool
            if pool is None:
                raise ShuttingDownError
            try:
                async with asyncio.timeout(self._timeout):
                    connection = await pool.acquire()
                    try:
                        return await read(connection)
                    finally:
                        # A server that does not answer does not end the query either: the connection is closed then.
                        with suppress(*DRIVER_ERRORS):
                            await pool.release(connection, timeout=self._cancel_timeout)
            except DRIVER_ERRORS as error:
                if self._pool is None:
                    raise ShuttingDownError from None
                if not is_lost(error) or isinstance(error, OSError) or attempt == _ATTEMPTS:
                    raise storage_error(error) from None
                attempt += 1

    async def _connect(self, *arguments: Any, **options: Any) -> asyncpg.Connection:
        return await self._address.connect({"default_transaction_read_only": "on"})


async def _keep(connection: asyncpg.Connection) -> None:
    """Keep the state of a connection that returns to the pool: reads leave none behind."""
