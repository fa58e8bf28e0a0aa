"""Background tasks of import operations, one for each operation at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from downloadd.errors import DownloadError
from downloadd.import_operation import ImportOperation
from downloadd.imports.operations import Operations
from downloadd.imports.refusal import ImportRefusedError
from downloadd.records.import_protocol import ImportFencedError

log = structlog.get_logger()

RETRY_SECONDS: Final = 1.0
"""Seconds between a failure of the records or the storage and the next try."""

Work = Callable[[ImportOperation], Awaitable[None]]


class OperationTasks:
    """Owner of the background tasks."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """Return the number of operations with a task."""
        return len(self._tasks)

    def start(self, operation: ImportOperation, work: Work) -> None:
        """Start `work` on an operation, by the driver that holds it."""
        task = asyncio.get_running_loop().create_task(self._run(operation, work))
        self._tasks[operation.id] = task
        task.add_done_callback(partial(self._discard, operation.id))

    async def cancel(self, id: str) -> None:
        """Cancel the task of an operation and wait for its end."""
        task = self._tasks.pop(id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    async def close(self) -> None:
        """Cancel all tasks and wait for their ends; the next start continues them."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, operation: ImportOperation, work: Work) -> None:
        """Run `work`, and repeat it from the recorded state while the records or the storage fail.

        It ends when another driver has taken over the operation.
        """
        try:
            while True:
                if await self._try(operation, work):
                    return
                await asyncio.sleep(RETRY_SECONDS)
        except ImportFencedError:
            log.warning("import_driver_fenced", operation=operation.id, epoch=operation.epoch)

    async def _try(self, operation: ImportOperation, work: Work) -> bool:
        """Return True if `work` has ended, False if it must be repeated."""
        try:
            await work(await self._operations.reload(operation))
        except ImportFencedError:
            raise
        except DownloadError as error:
            log.error("import_delayed", operation=operation.id, error=error.code, detail=error.detail)
            return False
        except Exception:
            log.exception("import_failed_unexpectedly", operation=operation.id)
            failure = ImportRefusedError("the server failed unexpectedly; its log has the details")
            await self._operations.fail(operation, failure)
        return True

    def _discard(self, id: str, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(id) is task:
            del self._tasks[id]
