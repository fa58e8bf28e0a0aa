"""Import operations that no living node drives: those of the daemon before at a start, and of nodes that are gone."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import structlog

from downloadd.errors import DownloadError
from downloadd.import_operation import FINISHED_STATES, ImportOperation, ImportState
from downloadd.imports.operations import Operations
from downloadd.manager.tasks import TaskSet
from downloadd.records.import_protocol import ImportOperationRecords

log = structlog.get_logger()

UNFINISHED_STATES: Final = frozenset(ImportState) - FINISHED_STATES
_DRIVEN_STATES: Final = UNFINISHED_STATES - {ImportState.UPLOADED, ImportState.READY, ImportState.SELECTING}
"""States that a task works on. The others wait for a call of the user, on any node."""


class AbandonedImports:
    """Continues import operations here. Opens and closes with `async with`."""

    def __init__(
        self,
        records: ImportOperationRecords,
        operations: Operations,
        *,
        drive: Callable[[ImportOperation], Awaitable[None]],
        interval: float | None,
    ) -> None:
        """Take the parts.

        Args:
            records: the records of operations.
            operations: claims them.
            drive: continues a claimed operation.
            interval: seconds between two searches; None if only the start needs one, because there is no other node.
        """
        self._records = records
        self._operations = operations
        self._drive = drive
        self._interval = interval
        self._tasks = TaskSet()

    async def __aenter__(self) -> Self:
        await self.search()
        if self._interval is not None:
            self._tasks.spawn(self._watch(self._interval))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.cancel()

    async def search(self) -> None:
        """Continue the operations that no living node drives."""
        for operation in await self._records.abandoned():
            driven = await self._operations.claim_abandoned(operation, _DRIVEN_STATES)
            if driven is not None:
                log.info("import_continued", operation=driven.id, state=driven.state, epoch=driven.epoch)
                await self._drive(driven)

    async def _watch(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            try:
                await self.search()
            except DownloadError as error:
                log.warning("import_takeover_failed", error=error.code, detail=error.detail)
