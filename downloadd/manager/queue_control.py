"""The waiting list: its pages, moves in it, and pauses of all downloads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from downloadd.download import Download, Snapshot
from downloadd.errors import DownloadError, NotFoundError
from downloadd.manager import lifecycle
from downloadd.manager.dispatcher import Queue
from downloadd.manager.notifier import Notifier
from downloadd.manager.run import StopReason
from downloadd.manager.run_table import RunTable
from downloadd.manager.runner import Runner
from downloadd.manager.space_queue import SpaceQueue
from downloadd.queue_move import QueueMove
from downloadd.records.waiting_list import ChangedDownload, ChunkRequest, QueueChunk, QueueRecords
from downloadd.states import RUNNING

CanUse = Callable[[str], bool]
"""Returns True if a user may change downloads to a directory."""


class QueueControl:
    """Changes of the waiting list by users."""

    def __init__(
        self,
        *,
        queue: QueueRecords,
        waiting: Queue,
        space: SpaceQueue,
        runner: Runner,
        runs: RunTable,
        notifier: Notifier,
    ) -> None:
        self._queue = queue
        self._waiting = waiting
        self._space = space
        self._runner = runner
        self._runs = runs
        self._notifier = notifier

    async def page(self, offset: int, limit: int) -> list[Snapshot]:
        """Return a part of the list, without reasons.

        It is counted from the end backwards if `offset` is negative, -1 for the last one.
        """
        return await self._runs.snapshots_without_reasons(await self._queue.page(offset, limit))

    async def revision(self) -> int:
        """Return a number that grows when the list or a row of it has changed; runs change their own without it."""
        return await self._queue.revision()

    async def move(self, id: str, move: QueueMove) -> int:
        """Move a download; return its new index, from 0.

        It takes the priority of its new neighbours. On return, the move is durable.

        Raises:
            NotFoundError: the id is unknown.
            InvalidStateError: the download is neither queued nor paused.
        """
        moved = await self._queue.move(id, move, lifecycle.require_in_waiting_list)
        if moved is None:
            raise NotFoundError("no download has this id")
        self._waiting.reorder(moved.changed)
        self._space.reorder(moved.changed)
        if moved.changed:
            await self._runner.publish_changed([(row, row.state) for row in (moved.after, *moved.neighbours)])
        return moved.index

    async def pause_all(self, can_use: CanUse) -> int:
        """Pause all active downloads in directories for which `can_use` returns True; return their number.

        Each of several transactions pauses some. If one fails, or the daemon is killed, a repeated call pauses the
        rest. It returns when all runs have stopped. Downloads that are accepted meanwhile are not paused.
        """
        count = 0
        failures: list[DownloadError] = []

        async def stop(row: Download) -> None:
            try:
                await self._stop(row)
            except DownloadError as error:
                failures.append(error)

        async with asyncio.TaskGroup() as group:
            try:
                async for changed in self._chunks(self._queue.pause_chunk, can_use):
                    count += len(changed)
                    for one in changed:
                        if one.before not in RUNNING:
                            self._waiting.dequeue(one.waiting.seq)
                            self._space.discard(one.waiting.seq)
                        elif one.row is not None:
                            group.create_task(stop(one.row))
                    await self._runner.publish_changed(
                        [(one.row, one.before) for one in changed if one.row is not None and one.before not in RUNNING]
                    )
            except DownloadError as error:
                failures.append(error)
        if failures:
            # After the runs have stopped, and not in a group of exceptions.
            raise failures[0]
        return count

    async def resume_all(self, can_use: CanUse) -> int:
        """Resume all paused downloads in directories for which `can_use` returns True; return their number.

        It works as `pause_all` does. Those of the first transaction may start before one of a later transaction that
        stands before them.
        """
        count = 0
        async for changed in self._chunks(self._queue.resume_chunk, can_use):
            count += len(changed)
            self._waiting.enqueue([one.waiting for one in changed])
            await self._runner.publish_changed([(one.row, one.before) for one in changed if one.row is not None])
        return count

    async def _chunks(
        self, change: Callable[[ChunkRequest, CanUse], Awaitable[QueueChunk]], can_use: CanUse
    ) -> AsyncIterator[Sequence[ChangedDownload]]:
        """Apply a change to all downloads that were accepted until now, and yield those of each transaction."""
        until = await self._queue.last_seq()
        after: int | None = 0
        while after is not None:
            request = ChunkRequest(after=after, until=until, with_rows=self._notifier.is_watched)
            chunk = await change(request, can_use)
            if chunk.changed and not request.with_rows:
                # Their ids are not known.
                self._notifier.hint_all_changed()
            yield chunk.changed
            after = chunk.last_seq

    async def _stop(self, row: Download) -> None:
        active = self._runs.get(row.id)
        if active is not None:
            active.run.apply_amended(row)
        await self._runner.stop(row, StopReason.PAUSE)
