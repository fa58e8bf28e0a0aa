"""Task that owns the writing session and commits concurrent operations together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg
import structlog

from downloadd.clock import Clock
from downloadd.errors import ShuttingDownError, StoreUnavailableError
from downloadd.records.ends import EndListener
from downloadd.records.postgres.operations import NO_NAMES, Operation, OperationQueue, Outcome, Run
from downloadd.records.postgres.postgres_errors import DRIVER_ERRORS, is_conflict, storage_error
from downloadd.records.postgres.session import WriterSession
from downloadd.records.postgres.transaction import CommitInDoubtError
from downloadd.records.writer import MAX_BATCH_ROWS, Ending, Rejection

T = TypeVar("T")

log = structlog.get_logger()

PATIENCE_SECONDS: Final = 2.0
"""Seconds for which operations are tried again before they are refused. While the database stays away, later ones are
refused at once."""
CLOSE_SECONDS: Final = 3.0
"""Seconds for which the queued operations are finished before the records close."""
_RETRY_SECONDS: Final = 0.02
_IDLE_RETRY_SECONDS: Final = 1.0
"""Seconds between two attempts of an idle writer to connect: the lock of the database went with the connection."""
_MAX_CONFLICTS: Final = 5


class Writer:
    """Writer that runs operations in order of arrival, up to `MAX_BATCH_ROWS` rows in one durable transaction.

    A failed operation has changed nothing. A commit whose answer is lost is looked up as soon as the database can be
    reached; until then the callers of its operations wait, however long, and those of later operations are refused.

    Attributes:
        on_ended: called after a commit, for each operation that ended downloads, with its ends in order; its caller and
            those of later operations continue after it.
        list_revision: number that grows with each commit that may have changed the waiting list or the ended downloads,
            before the callers of the operations continue.
        on_lists_changed: called each time that it has grown.
    """

    def __init__(
        self,
        session: WriterSession,
        clock: Clock,
        on_commit: Callable[[int, float], None] | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Create a writer that is not open yet.

        Args:
            session: the session.
            clock: the clock that measures transactions.
            on_commit: called after each commit, with the rows of the operations that stand and the seconds it took.
            patience: seconds for which operations are tried again.
        """
        self._session = session
        self._clock = clock
        self._on_commit = on_commit
        self._patience = patience
        self._close_timeout = CLOSE_SECONDS
        self._queue = OperationQueue()
        self._closed = True
        # True after `records_unavailable` was logged, until a transaction succeeds.
        self._is_unavailable = False
        self._task: asyncio.Task[None] | None = None
        self.on_ended: EndListener = lambda ends: None
        self.on_lists_changed: Callable[[], None] = lambda: None
        self.list_revision = 0

    async def open(self, connection: asyncpg.Connection) -> None:
        """Begin to write with a connection; raise what `WriterSession.open` raises."""
        await self._session.open(connection, patience=self._patience)
        self._closed = False
        self._task = asyncio.get_running_loop().create_task(self._process(), name="records-writer")

    async def close(self) -> None:
        """Finish the queued operations, and close the connection; does not wait for a database that is away."""
        if self._closed:
            return
        self._closed = True
        self._queue.wake()
        if self._task is not None:
            _, unfinished = await asyncio.wait([self._task], timeout=self._close_timeout)
            if unfinished:
                # The server does not answer.
                self._session.abort()
            await self._task
        await self._session.close()

    async def run(self, run: Callable[[asyncpg.Connection], Awaitable[T | Rejection]], *, rows: int = 1) -> T:
        """Run an operation in a transaction of its own and return its result once it is durable.

        `run` may be called again after a rollback. The operation takes place even if the caller is cancelled meanwhile.

        Raises:
            InsufficientStorageError: the disk of the server is full.
            StoreUnavailableError: the database cannot be written at the moment.
            StorageError: the database failed for another reason.
            ShuttingDownError: the records are closed.
        """

        async def run_one(connection: asyncpg.Connection, items: Sequence[None]) -> list[Outcome]:
            return [await run(connection)]

        result: T = await self.submit(run_one, None, rows=rows, is_alone=True)
        return result

    async def submit(
        self,
        run: Run,
        item: Any,
        *,
        rows: int = 1,
        ids: frozenset[str] = NO_NAMES,
        seqs: Sequence[int] = (),
        is_alone: bool = False,
        changes_lists: bool = True,
    ) -> Any:
        """Run an operation, in one transaction with others; see `Operation` for the arguments and `run` for errors."""
        if self._closed:
            raise ShuttingDownError
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put(
            Operation(
                run,
                item,
                future,
                rows=rows,
                ids=ids,
                seqs=seqs,
                is_alone=is_alone,
                changes_lists=changes_lists,
            )
        )
        return await future

    async def _process(self) -> None:
        while True:
            batch = self._queue.take(MAX_BATCH_ROWS)
            if batch:
                await self._write(batch)
            elif self._closed:
                return
            else:
                await self._wait()

    async def _wait(self) -> None:
        if self._session.is_connected:
            await self._queue.wait(_IDLE_RETRY_SECONDS)
            return
        try:
            await self._session.connect()
        except StoreUnavailableError as error:
            self._report_unavailable(error)
            await self._queue.wait(_IDLE_RETRY_SECONDS)
        else:
            self._report_available()

    async def _write(self, batch: list[Operation[Any]]) -> None:
        started = self._clock.monotonic()
        deadline = None
        doubt: CommitInDoubtError | None = None
        failure: Exception
        conflicts = 0
        while True:
            try:
                if doubt is not None and await self._session.took_place():
                    outcomes = doubt.outcomes
                else:
                    doubt = None
                    outcomes = await self._session.commit(batch)
            except CommitInDoubtError as error:
                doubt, failure = error, storage_error(error.cause)
            except Exception as error:
                if is_conflict(error) and conflicts < _MAX_CONFLICTS:
                    conflicts += 1
                    continue
                failure = storage_error(error) if isinstance(error, DRIVER_ERRORS) else error
            else:
                self._report_available()
                self._finish(batch, outcomes, self._clock.monotonic() - started)
                return
            if not isinstance(failure, StoreUnavailableError):
                await self._write_each(batch, failure)
                return
            now = self._clock.monotonic()
            if deadline is None:
                deadline = now + (0.0 if self._is_unavailable else self._patience)
            if now >= deadline or self._closed:
                self._refuse(self._queue.take_all(), failure)
                # A caller that is refused takes its operation for one that changed nothing.
                if doubt is None or self._closed:
                    self._refuse(batch, failure)
                    return
            await asyncio.sleep(_RETRY_SECONDS)

    async def _write_each(self, batch: Sequence[Operation[Any]], failure: Exception) -> None:
        """Repeat operations of a failed transaction, each in a transaction of its own."""
        if len(batch) == 1:
            batch[0].resolve(Rejection(failure))
            return
        for operation in batch:
            await self._write([operation])

    def _refuse(self, operations: Sequence[Operation[Any]], failure: StoreUnavailableError) -> None:
        self._report_unavailable(failure)
        for operation in operations:
            operation.refuse(failure)

    def _finish(self, batch: Sequence[Operation[Any]], outcomes: Sequence[Outcome], seconds: float) -> None:
        results = list(zip(batch, outcomes, strict=True))
        rows = sum(operation.rows for operation, outcome in results if not isinstance(outcome, Rejection))
        if rows and self._on_commit is not None:
            self._on_commit(rows, seconds)
        if any(operation.changes_lists for operation in batch):
            self.list_revision += 1
            self.on_lists_changed()
        for operation, outcome in results:
            operation.resolve(outcome)
            if isinstance(outcome, Ending):
                self.on_ended(outcome.ends)

    def _report_unavailable(self, error: StoreUnavailableError) -> None:
        if not self._is_unavailable:
            self._is_unavailable = True
            log.error("records_unavailable", detail=error.detail)

    def _report_available(self) -> None:
        if self._is_unavailable:
            self._is_unavailable = False
            log.warning("records_available")
