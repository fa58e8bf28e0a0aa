"""The thread that owns the writing connection: what arrives together is on_commit together."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

import msgspec
import structlog

from downloadd.clock import Clock
from downloadd.errors import DownloadError, ShuttingDownError, StoreUnavailableError
from downloadd.records.database import primary_code, storage_error

T = TypeVar("T")

log = structlog.get_logger()

MAX_BATCH_ROWS: Final = 512
"""Rows in one transaction, about: the last operation taken may bring more."""
LOCK_PATIENCE: Final = 2.0
"""Seconds that a transaction waits for a lock that another program holds, before all that is in it is refused."""
LOCK_SLICE: Final = 0.1
"""Seconds of them that are waited at once: in between it is looked whether the records are being closed."""


class Rejection(msgspec.Struct, frozen=True):
    """What an operation returns that wrote nothing and fails its caller: no reason to undo the others."""

    error: Exception


class _Operation(Generic[T]):
    """Something to be done in a transaction, and the one who waits for it."""

    __slots__ = ("future", "rows", "run")

    def __init__(self, run: Callable[[sqlite3.Cursor], T | Rejection], rows: int, future: asyncio.Future[T]) -> None:
        self.run = run
        self.rows = rows
        self.future = future


class Writer:
    """Runs operations in the order of their arrival, up to `MAX_BATCH_ROWS` rows in one durable transaction.

    `open_connection` is called in the thread, and so is `check`, before each transaction: what it raises, a
    `StoreUnavailableError`, fails all that is in it. `on_commit` is called on the event loop, with the rows of each
    transaction and the seconds that it took. The queue needs no bound: whoever puts something in waits for it.

    An operation that fails has changed nothing: its transaction did not begin, or was rolled back. While a lock lasts,
    only the first transaction is patient.
    """

    def __init__(
        self,
        open_connection: Callable[[], sqlite3.Connection],
        clock: Clock,
        on_commit: Callable[[int, float], None] | None = None,
        *,
        check: Callable[[], None] = lambda: None,
        patience: float = LOCK_PATIENCE,
    ) -> None:
        self._open_connection = open_connection
        self._clock = clock
        self._on_commit = on_commit
        self._check = check
        self._patience = patience
        # What is not available is said once, and so is its return.
        self._unavailable = False
        self._queue: SimpleQueue[_Operation[Any] | None] = SimpleQueue()
        self._closed = True
        self._loop: asyncio.AbstractEventLoop
        self._stopped: asyncio.Future[None]

    async def open(self) -> None:
        """Starts the thread; returns when its connection is open, and raises what opening it raises."""
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._stopped = self._loop.create_future()
        # A daemon thread, so that a loop that died without closing the records does not hang the interpreter.
        threading.Thread(target=self._run_thread, args=(opened,), name="records-writer", daemon=True).start()
        try:
            await opened
        except asyncio.CancelledError:
            self._queue.put(None)
            await self._stopped
            raise
        self._closed = False

    async def close(self) -> None:
        """Finishes what was put in, and closes the connection; waits for no lock of another program."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            await self._stopped

    async def run(self, run: Callable[[sqlite3.Cursor], T | Rejection], *, rows: int = 1) -> T:
        """Runs an operation in the thread and returns its result once it is durable.

        `run` may be called twice: when an operation of its transaction fails, all are undone and done again, each in
        a transaction of its own. The operation happens even if the caller is cancelled meanwhile.

        Raises:
            InsufficientStorageError: the disk is full.
            StoreUnavailableError: the database is locked, gone or cannot be written at the moment.
            StorageError: the database refused it for another reason.
            ShuttingDownError: the records are closed.
        """
        if self._closed:
            raise ShuttingDownError
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Operation(run, rows, future))
        return await future

    def _run_thread(self, opened: asyncio.Future[None]) -> None:
        try:
            connection = self._open_connection()
        except Exception as error:
            # Whatever it is, it belongs to who opens the records.
            self._post_results([(opened, Rejection(error)), (self._stopped, None)])
            return
        try:
            connection.execute(f"PRAGMA busy_timeout = {round(min(LOCK_SLICE, self._patience) * 1000)}")
            self._post_results([(opened, None)])
            self._process_queue(connection)
        finally:
            connection.close()
            self._post_results([(self._stopped, None)])

    def _process_queue(self, connection: sqlite3.Connection) -> None:
        cursor = connection.cursor()
        stopping = False
        while not stopping:
            first = self._queue.get()
            if first is None:
                break
            batch = [first]
            rows = first.rows
            while rows < MAX_BATCH_ROWS:
                try:
                    following = self._queue.get_nowait()
                except Empty:
                    break
                if following is None:
                    stopping = True
                    break
                batch.append(following)
                rows += following.rows
            started = self._clock.monotonic()
            outcomes = self._commit(cursor, batch)
            seconds = self._clock.monotonic() - started
            self._post_results(
                [(operation.future, outcome) for operation, outcome in zip(batch, outcomes, strict=True)], rows, seconds
            )

    def _commit(self, cursor: sqlite3.Cursor, batch: list[_Operation[Any]]) -> list[Any]:
        refused = self._begin(cursor)
        if refused is not None:
            return [refused] * len(batch)
        try:
            outcomes = [operation.run(cursor) for operation in batch]
            cursor.execute("COMMIT")
        except Exception as error:
            # It belongs to who waits for the operation; this thread must go on for all others.
            _roll_back(cursor)
            if len(batch) == 1:
                return [self._refusal(error)]
            return [self._commit(cursor, [operation])[0] for operation in batch]
        if self._unavailable:
            self._unavailable = False
            log.warning("records_available")
        return outcomes

    def _begin(self, cursor: sqlite3.Cursor) -> Rejection | None:
        """Begin a transaction, or return what refuses all that is in it."""
        waited = 0.0
        while True:
            try:
                self._check()
                cursor.execute("BEGIN IMMEDIATE")
            except (sqlite3.Error, DownloadError) as error:
                waited += LOCK_SLICE
                if _is_locked(error) and waited < self._patience and not (self._unavailable or self._closed):
                    continue
                return self._refusal(error)
            return None

    def _refusal(self, error: Exception) -> Rejection:
        mapped = _map_error(error)
        # Files that are gone are told of by whoever has looked for them.
        if isinstance(mapped, StoreUnavailableError) and mapped is not error and not self._unavailable:
            self._unavailable = True
            log.error("records_unavailable", detail=mapped.detail)
        return Rejection(mapped)

    def _post_results(
        self, results: list[tuple[asyncio.Future[Any], Any]], rows: int = 0, seconds: float = 0.0
    ) -> None:
        # One wake-up of the loop for all of them. A closed loop has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._set_results, results, rows, seconds)

    def _set_results(self, results: list[tuple[asyncio.Future[Any], Any]], rows: int, seconds: float) -> None:
        if rows and self._on_commit is not None:
            self._on_commit(rows, seconds)
        for future, outcome in results:
            if future.done():
                continue
            if isinstance(outcome, Rejection):
                future.set_exception(outcome.error)
            else:
                future.set_result(outcome)


def _roll_back(cursor: sqlite3.Cursor) -> None:
    # After some errors, a full disk among them, SQLite has rolled back by itself.
    if cursor.connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):
            cursor.execute("ROLLBACK")


def _is_locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_BUSY


def _map_error(error: Exception) -> Exception:
    if isinstance(error, (sqlite3.Error, OverflowError)):
        mapped = storage_error(error)
        mapped.__cause__ = error
        return mapped
    return error
