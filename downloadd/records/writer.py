"""Thread that owns the writing connection and commits concurrent operations together."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

import msgspec
import structlog

from downloadd.clock import Clock
from downloadd.errors import DownloadError, ShuttingDownError, StoreUnavailableError
from downloadd.records.ends import EndListener, RecordedEnd
from downloadd.records.sqlite_errors import is_locked, storage_error

T = TypeVar("T")

log = structlog.get_logger()

MAX_BATCH_ROWS: Final = 512
"""Approximate upper limit of the rows in one transaction: the last operation may exceed it."""
LOCK_TIMEOUT_SECONDS: Final = 2.0
"""Seconds that a transaction waits for the lock of another program before its operations are refused."""
LOCK_POLL_SECONDS: Final = 0.1
"""Seconds of one wait for the lock; between the waits, the thread checks if the records are being closed."""


class Rejection(msgspec.Struct, frozen=True):
    """Result of an operation that wrote nothing and raises `error`; the other operations of its transaction stand."""

    error: Exception


class Ending(msgspec.Struct, Generic[T], frozen=True):
    """Result of an operation that ended downloads, with these ends."""

    result: T
    ends: Sequence[RecordedEnd]


class _Operation(Generic[T]):
    """Operation of a transaction, with the future of its caller."""

    __slots__ = ("future", "rows", "run")

    def __init__(self, run: "WriteOperation[T]", rows: int, future: asyncio.Future[T]) -> None:
        self.run = run
        self.rows = rows
        self.future = future


WriteOperation = Callable[[sqlite3.Cursor], T | Rejection | Ending[T]]
"""Work of an operation in its transaction."""


class Writer:
    """Writer that runs operations in order of arrival, up to `MAX_BATCH_ROWS` rows in one durable transaction.

    The queue needs no bound: each caller waits for its operation. A failed operation has changed nothing: its
    transaction did not begin, or was rolled back. While a lock lasts, only the first transaction waits for it.

    Attributes:
        on_ended: called on the event loop after a commit, for each operation that ended downloads, with its ends in
            order; its caller and those of later operations continue after it.
    """

    def __init__(
        self,
        open_connection: Callable[[], sqlite3.Connection],
        clock: Clock,
        on_commit: Callable[[int, float], None] | None = None,
        *,
        check: Callable[[], None] = lambda: None,
        lock_timeout: float = LOCK_TIMEOUT_SECONDS,
        take_changes: Callable[[], Callable[[], None] | None] = lambda: None,
    ) -> None:
        """Create a writer that is not open yet.

        Args:
            open_connection: called in the thread.
            clock: the clock that measures transactions.
            on_commit: called on the event loop after each commit, with the rows of the operations that stand and the
                duration in seconds, which includes the wait for the lock.
            check: called in the thread before each transaction; a `StoreUnavailableError` that it raises refuses all
                operations of the transaction.
            lock_timeout: seconds that a transaction waits for the lock of another program.
            take_changes: called in the thread after each transaction; the function that it returns is called on the
                event loop before the callers of the operations continue.
        """
        self._open_connection = open_connection
        self._clock = clock
        self._on_commit = on_commit
        self._check = check
        self._lock_timeout = lock_timeout
        self._take_changes = take_changes
        # True after `records_unavailable` was logged, until a transaction succeeds.
        self._is_unavailable = False
        self._queue: SimpleQueue[_Operation[Any] | None] = SimpleQueue()
        self._closed = True
        self._loop: asyncio.AbstractEventLoop
        self._stopped: asyncio.Future[None]
        self.on_ended: EndListener = lambda ends: None

    async def open(self) -> None:
        """Start the thread and return when its connection is open; raise what opening it raises."""
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._stopped = self._loop.create_future()
        # A daemon thread, so that the interpreter can exit after a loop that ended without closing the records.
        threading.Thread(target=self._run_thread, args=(opened,), name="records-writer", daemon=True).start()
        try:
            await opened
        except asyncio.CancelledError:
            self._queue.put(None)
            await self._stopped
            raise
        self._closed = False

    async def close(self) -> None:
        """Finish the queued operations and close the connection, without waiting for a lock of another program."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            await self._stopped

    async def run(self, run: WriteOperation[T], *, rows: int = 1) -> T:
        """Run an operation in the thread and return its result once it is durable.

        `run` may be called twice: if an operation of its transaction fails, all are rolled back and repeated, each in
        a transaction of its own. The operation takes place even if the caller is cancelled meanwhile.

        Raises:
            InsufficientStorageError: the disk is full.
            StoreUnavailableError: the database is locked, missing or cannot be written at the moment.
            StorageError: the database failed for another reason.
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
            # Raised in the task that opens the records.
            self._post_results([(opened, Rejection(error)), (self._stopped, None)])
            return
        try:
            connection.execute(f"PRAGMA busy_timeout = {round(min(LOCK_POLL_SECONDS, self._lock_timeout) * 1000)}")
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
            results = list(zip(batch, outcomes, strict=True))
            committed = sum(operation.rows for operation, outcome in results if not isinstance(outcome, Rejection))
            self._post_results(
                [(operation.future, outcome) for operation, outcome in results],
                committed,
                seconds,
                self._take_changes(),
            )

    def _commit(self, cursor: sqlite3.Cursor, batch: list[_Operation[Any]]) -> list[Any]:
        refused = self._begin(cursor)
        if refused is not None:
            return [refused] * len(batch)
        try:
            outcomes = [operation.run(cursor) for operation in batch]
            cursor.execute("COMMIT")
        except Exception as error:
            # Raised in the task that waits for the operation; this thread goes on.
            _roll_back(cursor)
            if len(batch) == 1:
                return [self._refusal(error)]
            return [self._commit(cursor, [operation])[0] for operation in batch]
        if self._is_unavailable:
            self._is_unavailable = False
            log.warning("records_available")
        return outcomes

    def _begin(self, cursor: sqlite3.Cursor) -> Rejection | None:
        """Begin a transaction, or return the reason why all of its operations are refused."""
        waited = 0.0
        while True:
            try:
                self._check()
                cursor.execute("BEGIN IMMEDIATE")
            except (sqlite3.Error, DownloadError) as error:
                waited += LOCK_POLL_SECONDS
                if is_locked(error) and waited < self._lock_timeout and not (self._is_unavailable or self._closed):
                    continue
                return self._refusal(error)
            return None

    def _refusal(self, error: Exception) -> Rejection:
        mapped = _map_error(error)
        # `check` logs its own error.
        if isinstance(mapped, StoreUnavailableError) and mapped is not error and not self._is_unavailable:
            self._is_unavailable = True
            log.error("records_unavailable", detail=mapped.detail)
        return Rejection(mapped)

    def _post_results(
        self,
        results: list[tuple[asyncio.Future[Any], Any]],
        rows: int = 0,
        seconds: float = 0.0,
        publish_changes: Callable[[], None] | None = None,
    ) -> None:
        # One call of the loop for all of them. On a closed loop, no caller waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._set_results, results, rows, seconds, publish_changes)

    def _set_results(
        self,
        results: list[tuple[asyncio.Future[Any], Any]],
        rows: int,
        seconds: float,
        publish_changes: Callable[[], None] | None,
    ) -> None:
        if publish_changes is not None:
            publish_changes()
        if rows and self._on_commit is not None:
            self._on_commit(rows, seconds)
        for future, outcome in results:
            ends: Sequence[RecordedEnd] = ()
            if isinstance(outcome, Ending):
                ends, outcome = outcome.ends, outcome.result
            if not future.done():
                if isinstance(outcome, Rejection):
                    future.set_exception(outcome.error)
                else:
                    future.set_result(outcome)
            if ends:
                self.on_ended(ends)


def _roll_back(cursor: sqlite3.Cursor) -> None:
    # After some errors, such as a full disk, SQLite has rolled back by itself.
    if cursor.connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):
            cursor.execute("ROLLBACK")


def _map_error(error: Exception) -> Exception:
    if isinstance(error, (sqlite3.Error, OverflowError)):
        mapped = storage_error(error)
        mapped.__cause__ = error
        return mapped
    return error
