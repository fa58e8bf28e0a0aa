"""Owner of tasks that run until they end or are cancelled."""

import asyncio
from collections.abc import Coroutine, Iterator

import structlog

log = structlog.get_logger()


class TaskSet:
    """Tasks that are kept until they end, and whose failures are logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        return iter(self._tasks)

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run `work` in a task of this set; return the task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def release(self, task: asyncio.Task[None]) -> None:
        """Wait for a task no more; it runs until it ends."""
        self._tasks.discard(task)

    async def wait(self, seconds: float) -> None:
        """Return when all tasks have ended, or after `seconds`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def cancel(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        log_task_failure(task)


def log_task_failure(task: asyncio.Task[None]) -> None:
    """Log the exception that ended a task; for `add_done_callback`."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task_failed", exc_info=error)
