"""Session of the writer: made again after it was lost.

Each transaction records its number, so that the next session finds out if a commit took place whose answer was lost.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import asyncpg

from downloadd.clock import Clock
from downloadd.errors import StartupError, StorageError, StoreUnavailableError
from downloadd.records.postgres.address import DatabaseAddress
from downloadd.records.postgres.operations import Operation, Outcome
from downloadd.records.postgres.postgres_errors import DRIVER_ERRORS, is_lost, storage_error
from downloadd.records.postgres.transaction import CommitInDoubtError, execute_batch

OWNER_LOCK: Final = 7_163_804_102
"""Key of the advisory lock of those that write into the database: one alone, or nodes that share it."""
TRANSACTION_SECONDS: Final = 60.0
"""Seconds after which a transaction of a server that does not answer is given up."""
SETUP_SECONDS: Final = 5.0
"""Seconds that a new connection may take to become the session."""
MIN_PAUSE_SECONDS: Final = 0.05
MAX_PAUSE_SECONDS: Final = 2.0
"""Limits of the pauses between two attempts to connect, each of which is twice as long as the one before."""

_OWN: Final = "SELECT pg_try_advisory_lock($1)"
_SHARE: Final = "SELECT pg_try_advisory_lock_shared($1)"
_WAIT_TO_OWN: Final = "SELECT pg_advisory_lock($1)"
_WAIT_TO_SHARE: Final = "SELECT pg_advisory_lock_shared($1)"
_OWNER: Final = """
SELECT coalesce(min(application_name), 'downloadd') FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND (l.classid::bigint << 32) + l.objid::bigint = $1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_BEGIN: Final = """
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
INSERT INTO commits (writer, number) VALUES ('{writer}', {number})
ON CONFLICT (writer) DO UPDATE SET number = excluded.number, changed = now()
"""
_MAKE_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
# After a restart of the server, another session may have the number of the process.
_END_BACKEND: Final = (
    "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2"
)
_BACKEND: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_FORGET_OLD: Final = "DELETE FROM commits WHERE changed < now() - interval '7 days' AND writer <> $1"
_FORGET: Final = "DELETE FROM commits WHERE writer = $1"
# Waits for a transaction that is still being committed.
_LAST_COMMIT: Final = "SELECT number FROM commits WHERE writer = $1 FOR UPDATE"


class WriterSession:
    """Session of the writer. For one task at a time."""

    def __init__(self, address: DatabaseAddress, clock: Clock, *, is_owner: bool) -> None:
        """Make a session that is not open yet.

        Args:
            address: the database.
            clock: the clock.
            is_owner: True if no other session may write into the database at the same time.
        """
        self._address = address
        self._clock = clock
        self._is_owner = is_owner
        self._setup_timeout = SETUP_SECONDS
        self._transaction_timeout = TRANSACTION_SECONDS
        # Letters and digits: it is part of statements.
        self._writer = uuid4().hex
        self._number = 0
        self._connection: asyncpg.Connection | None = None
        self._backend: Sequence[Any] | None = None
        # Detail of the last failure to connect.
        self._failure: str | None = None
        self._pause = MIN_PAUSE_SECONDS
        self._next_attempt = 0.0

    async def open(self, connection: asyncpg.Connection, *, patience: float) -> None:
        """Use a connection that was made for the start; wait `patience` seconds for an owner that ends.

        Raises:
            StartupError: another daemon, or a copy, writes into the database and does not share it.
        """
        if not await _lock_soon(connection, _WAIT_TO_OWN if self._is_owner else _WAIT_TO_SHARE, patience):
            owner = await connection.fetchval(_OWNER, OWNER_LOCK)
            raise StartupError(
                f"the database {self._address.label} is used by another daemon ({owner}); stop it, or choose another "
                "database"
            )
        await self._register(connection)
        self._connection = connection

    @property
    def is_connected(self) -> bool:
        """Return True if the connection was not lost, as far as it is known."""
        return self._connection is not None and not self._connection.is_closed()

    async def connect(self) -> asyncpg.Connection:
        """Return the connection, made again if it was lost and the pause since the last attempt is over.

        Raises:
            StoreUnavailableError: the database cannot be reached at the moment.
        """
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._failure is not None and self._clock.monotonic() < self._next_attempt:
            raise StoreUnavailableError(self._failure)
        try:
            connection = await self._connect()
        except (StoreUnavailableError, *DRIVER_ERRORS) as error:
            mapped = error if isinstance(error, StoreUnavailableError) else storage_error(error)
            self._failure = mapped.detail
            self._next_attempt = self._clock.monotonic() + self._pause
            self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS)
            raise StoreUnavailableError(mapped.detail) from None
        self._failure, self._pause = None, MIN_PAUSE_SECONDS
        self._connection = connection
        return connection

    async def commit(self, batch: Sequence[Operation[Any]]) -> list[Outcome]:
        """Return the results of operations once they are durable in one transaction.

        Raises:
            CommitInDoubtError: it is unknown if the transaction was committed.
            Exception: nothing was changed.
        """
        connection = await self.connect()
        self._number += 1
        try:
            async with asyncio.timeout(self._transaction_timeout):
                # One message: constants and a number.
                await connection.execute(_BEGIN.format(writer=self._writer, number=self._number))
                outcomes = await execute_batch(connection, batch)
        except BaseException as error:
            await self._roll_back(connection, error)
            raise
        try:
            async with asyncio.timeout(self._transaction_timeout):
                status = await connection.execute("COMMIT")
        except DRIVER_ERRORS as error:
            if not is_lost(error):
                await self._roll_back(connection, error)
                raise
            self._drop()
            raise CommitInDoubtError(error, outcomes) from None
        except BaseException:
            self._drop()
            raise
        if status != "COMMIT":
            raise StorageError("the daemon's records failed: a transaction was rolled back at its end")
        return outcomes

    async def took_place(self) -> bool:
        """Return True if the last transaction was committed, although its answer was lost.

        Raises:
            StoreUnavailableError: that cannot be found out at the moment.
        """
        connection = await self.connect()
        try:
            async with asyncio.timeout(self._transaction_timeout):
                number: int = await connection.fetchval(_LAST_COMMIT, self._writer)
                return number == self._number
        except DRIVER_ERRORS as error:
            self._drop()
            raise StoreUnavailableError(storage_error(error).detail) from None

    def abort(self) -> None:
        """Close the connection at once; a call under way fails."""
        if self._connection is not None:
            self._connection.terminate()

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is None or self._connection.is_closed():
            return
        try:
            async with asyncio.timeout(1.0):
                await self._connection.execute(_FORGET, self._writer)
                await self._connection.close()
        except DRIVER_ERRORS:
            self._drop()

    async def _connect(self) -> asyncpg.Connection:
        connection = await self._address.connect()
        try:
            async with asyncio.timeout(self._setup_timeout):
                await self._take_over(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _take_over(self, connection: asyncpg.Connection) -> None:
        """End the session before this one, and take its lock."""
        if self._backend is not None:
            # After a failure of the network the server still has the old session, with its locks.
            await connection.execute(_END_BACKEND, *self._backend)
        if not await connection.fetchval(_OWN if self._is_owner else _SHARE, OWNER_LOCK):
            raise StoreUnavailableError(
                "another daemon took over the database while it could not be reached; stop one of them"
            )
        await self._register(connection)

    async def _register(self, connection: asyncpg.Connection) -> None:
        await connection.execute(_MAKE_DURABLE)
        await connection.execute(_FORGET_OLD, self._writer)
        self._backend = await connection.fetchrow(_BACKEND)

    async def _roll_back(self, connection: asyncpg.Connection, error: BaseException) -> None:
        if is_lost(error) or not isinstance(error, Exception):
            self._drop()
            return
        try:
            async with asyncio.timeout(self._transaction_timeout):
                await connection.execute("ROLLBACK")
        except DRIVER_ERRORS:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def _lock_soon(connection: asyncpg.Connection, statement: str, seconds: float) -> bool:
    """Take the lock of the owner; the session of a process that was killed may hold it for a moment."""
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{max(1, round(seconds * 1000))}ms'")
            await connection.execute(statement, OWNER_LOCK)
    except asyncpg.LockNotAvailableError:
        return False
    return True
