"""Owner of the runs: claims, starts and stops them, and applies their outcomes."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig
from downloadd.download import Desired, Download, log_fields
from downloadd.errors import NotFoundError, ShuttingDownError
from downloadd.manager import lifecycle
from downloadd.manager.discard_part import discard_part_of
from downloadd.manager.dispatcher import Dispatcher
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.notifier import Notifier
from downloadd.manager.other_nodes import OtherNodes
from downloadd.manager.run import Run, StopReason
from downloadd.manager.run_factory import RunFactory
from downloadd.manager.run_restart import Change, RestartNeededError, RestartRequest
from downloadd.manager.run_table import ActiveRun, RunTable
from downloadd.manager.space_queue import SpaceQueue
from downloadd.manager.storage_gate import StorageGate
from downloadd.manager.tasks import TaskSet
from downloadd.manager.waiters import Waiters
from downloadd.records.availability import once_available
from downloadd.records.protocol import Records, WaitingDownload
from downloadd.states import FINISHED, RUNNING, WAITING, State
from downloadd.storage.destination import Destination

log = structlog.get_logger()

DRAIN_SECONDS: Final = 6.0
"""Seconds that runs have to write their bytes and rows when the daemon stops."""
MAX_REMOVAL_SECONDS: Final = 60.0
"""Seconds for which a run keeps its slot while its part files are removed; a hanging disk keeps no slot for longer."""


class Runner:
    """Runs downloads when the dispatcher starts them. Close it after the tasks that use it."""

    def __init__(
        self,
        *,
        records: Records,
        destination: Destination,
        dispatcher: Dispatcher,
        notifier: Notifier,
        gate: StorageGate,
        space: SpaceQueue,
        runs: RunTable,
        factory: RunFactory,
        others: OtherNodes,
        clock: Clock,
    ) -> None:
        self._records = records
        self._destination = destination
        self._queue = dispatcher.queue
        self._slots = dispatcher.slots
        self._notifier = notifier
        self._gate = gate
        self._space = space
        self._runs = runs
        self._factory = factory
        self._others = others
        self._clock = clock
        self._tasks = TaskSet()
        self._stop_waiters = Waiters()
        # Tasks of aborted runs that wait for something that cannot be cancelled.
        self._stuck_tasks: set[asyncio.Task[None]] = set()
        # Stops for downloads that are being claimed: they have no run yet.
        self._pending_stops: dict[str, StopReason] = {}
        # Rows of such downloads that users have changed.
        self._pending_rows: dict[str, Download] = {}
        # Changes of such downloads, for which their runs are restarted.
        self._pending_restarts: dict[str, list[RestartRequest]] = {}
        self._closing = False
        self._are_runs_allowed = True

    def configure(self, config: DownloadsConfig) -> None:
        """Set the speed limit over all downloads, and the settings of runs that start from now on."""
        self._factory.configure(config)

    async def dispatch(self) -> None:
        """Start downloads within the limits until cancelled."""
        await self._queue.dispatch(self._start_claimed)

    def allow_runs(self, is_allowed: bool) -> None:
        """Interrupt all runs, and those that start until runs are allowed again; what they received is kept."""
        self._are_runs_allowed = is_allowed
        if not is_allowed:
            for active in self._runs:
                active.run.stop(StopReason.INTERRUPT)

    def begin_closing(self) -> None:
        """Interrupt every run that starts from now on."""
        self._closing = True

    async def close(self) -> None:
        """Interrupt all runs, after `begin_closing`; the next start continues from what they received."""
        self.allow_runs(False)
        await self._tasks.wait(DRAIN_SECONDS)
        await self._tasks.cancel()
        await self._factory.close()

    # -- for user actions ----------------------------------------------------------------------------------------------

    async def amend(self, id: str, change: Callable[[Download], Download]) -> tuple[Download, Download]:
        """Change a row, and the run of the download if it has one; return the row before and after.

        Raises:
            NotFoundError: the id is unknown.
        """
        changed = await self._records.amend(id, change)
        if changed is None:
            raise NotFoundError("no download has this id")
        row = changed[1]
        active = self._runs.get(id)
        if active is None and not await self._others.hint(row):
            active = self._runs.get(id)
            if active is None and row.state in RUNNING:
                self._pending_rows[id] = row
        if active is not None:
            active.apply_amended(row)
        return changed

    async def enqueue(self, row: Download, *, before: State, target: str | None = None) -> None:
        """Add a waiting download to the queue, and publish it.

        Args:
            row: the download.
            before: its state before.
            target: the origin that it is redirected to.
        """
        self._space.discard(row.seq)
        self._queue.enqueue([WaitingDownload.of(row, not_before=row.progress.not_before, target=target)])
        await self.publish_changed([(row, before)])

    async def publish_changed(self, changes: Sequence[tuple[Download, State]]) -> None:
        """Publish active downloads as they are now, each with its state before, which counts if it does not run."""
        self._notifier.hint_changed([row.id for row, _ in changes])
        if not self._notifier.is_watched:
            return
        snapshots = await self._runs.snapshots([row for row, _ in changes])
        for (row, before), snapshot in zip(changes, snapshots, strict=True):
            active = self._runs.get(row.id)
            if active is not None and row.state in RUNNING:
                self.publish_run(active)
            else:
                self._notifier.publish_changed(snapshot, before=before)

    async def clean_up(self, row: Download) -> None:
        """Remove what a download has kept that ended without a run; `row` is that before the end."""
        self._factory.forget(row.id)
        await discard_part_of(self._destination, row)

    async def stop(self, download: Download, reason: StopReason) -> Download:
        """Stop the run of a download, and return the row when it has ended; on another node, after a while anyway.

        The desired state is recorded already, so that unavailable records delay the result and do not fail it.
        """
        waiter = self._stop_waiters.add(download.id)
        try:
            if not self._runs.stop(download.id, reason):
                # Its claim is under way, or its run has just ended.
                row = await once_available(partial(self._records.get, download.id))
                if row is not None and row.state not in RUNNING:
                    return row
                if row is not None and await self._others.runs(row):
                    return await self._others.wait_until_stopped(row)
                if not self._runs.stop(download.id, reason):
                    self._pending_stops[download.id] = reason
            return await self._wait_for_end(download.id, waiter)
        finally:
            self._stop_waiters.remove(download.id, waiter)

    async def restart(self, id: str, change: Change) -> tuple[Download, Download]:
        """Stop the run of a download, change its row, and run it again; return the row before and after.

        The next run begins in the slot of this one, if it has it still, and if the row waits for a slot of the same
        origin. If the run ends otherwise, the change is made to the row of its end.

        Raises:
            NotFoundError: the id is unknown.
            Exception: `change` has raised it.
        """
        active = self._runs.get(id)
        if active is None:
            # Its run has just ended, or its claim is under way. A row that is only read may be older than the end.
            with suppress(RestartNeededError):
                return await self._amend_waiting(id, change)
            active = self._runs.get(id)
        request = RestartRequest(change)
        if active is None:
            # Its claim is under way.
            self._pending_restarts.setdefault(id, []).append(request)
        else:
            active.restarts.append(request)
            active.run.stop(StopReason.INTERRUPT)
        return await request.wait()

    async def _amend_waiting(self, id: str, change: Change) -> tuple[Download, Download]:
        before, after = await self.amend(id, change)
        if after.state in WAITING:
            await self.enqueue(after, before=before.state)
        return before, after

    async def _wait_for_end(self, id: str, waiter: asyncio.Future[Download]) -> Download:
        try:
            return await waiter
        finally:
            # A run that was just ending never applies it, and the next run must not.
            self._pending_stops.pop(id, None)

    # -- running -------------------------------------------------------------------------------------------------------

    def _start_claimed(self, claimed: Sequence[Download], *, reported_state: State | None = None) -> None:
        """Start runs of claimed downloads; `reported_state` is what subscribers know of them."""
        now = self._clock.wall()
        for download in claimed:
            self._space.discard(download.seq)
            self._notifier.count_attempt(download, now=now)
            active = self._factory.make(download, on_change=self._publish_change, on_received=self._free_slots)
            active.reported_state = reported_state or active.reported_state
            self._runs.add(active)
            amended = self._pending_rows.pop(download.id, None)
            if amended is not None:
                active.apply_amended(amended)
            is_allowed = self._are_runs_allowed and not self._closing
            pending = self._pending_stops.pop(download.id, None) or (None if is_allowed else StopReason.INTERRUPT)
            if pending is not None:
                active.run.stop(pending)
            if restarts := self._pending_restarts.pop(download.id, None):
                active.restarts += restarts
                active.run.stop(StopReason.INTERRUPT)
            active.task = self._tasks.spawn(self._perform(active))

    async def _perform(self, active: ActiveRun) -> None:
        self.publish_run(active)
        outcome: Download | None = None
        row: Download | None = None
        is_restarted = has_stray_parts = False
        try:
            row = outcome = await active.run.perform()
            if outcome is None and not active.is_ended:
                self._notifier.count_fenced()
            has_stray_parts = active.run.has_stray_parts
            if active.restarts:
                row = await self._apply_restarts(active, outcome)
                is_restarted = row is not None and self._may_keep_slot(row)
        finally:
            is_aborted = active.is_ended
            if not is_aborted:
                self._end_run(active, outcome, keeps_slot=is_restarted or has_stray_parts)
            for request in active.restarts:
                request.refuse(ShuttingDownError())
        if row is None or outcome is None or is_aborted:
            await active.run.remove_stray_parts()
        elif is_restarted:
            await self._remove_stray_parts(active)
            self._start_claimed(await self._queue.claim_again(row.seq), reported_state=active.reported_state)
        else:
            is_published = row.state is not outcome.state
            await self._settle(row, active, keeps_slot=has_stray_parts, is_published=is_published)

    async def _apply_restarts(self, active: ActiveRun, outcome: Download | None) -> Download | None:
        """Make the changes for which a run was stopped, and return the row that follows its outcome.

        Its state is another one than that of the outcome if an action of a user came first.
        """
        row = outcome
        while active.restarts:
            request = active.restarts.pop(0)
            changed = await request.apply(partial(self.amend, active.run.download.id))
            if row is None or row.state in FINISHED:
                continue
            if changed is None:
                # Such an action may be the reason why it was refused.
                read = partial(self._records.amend, row.id, lambda row: row)
                present = await retry_forever(read, "outcome_read_failed", **log_fields(row))
                # None if it was removed from the history since.
                changed = row if present is None else present[1]
            row = changed
        return row

    async def _refuse_restarts(self, active: ActiveRun) -> None:
        await self._apply_restarts(active, None)

    def _may_keep_slot(self, row: Download) -> bool:
        """Return True if a restarted run may begin in the slot of the one before."""
        is_ready = row.state is State.QUEUED and row.control.desired is Desired.RUN
        return is_ready and not self._closing and self._queue.holds_slots(row.seq, row.progress.origin)

    def abort(self, active: ActiveRun, outcome: Download) -> None:
        """End a run that makes no progress with a row that is recorded.

        Its task ends when the operation that it waits for returns, finds that the row is not its own any more, and
        cleans up.
        """
        if active.is_ended or active.task is None:
            return
        self._end_run(active, outcome)
        self._tasks.release(active.task)
        self._stuck_tasks.add(active.task)
        active.task.add_done_callback(self._stuck_tasks.discard)
        active.run.stop(StopReason.CANCEL)
        self._tasks.spawn(self._settle(outcome, active))
        self._tasks.spawn(self._refuse_restarts(active))

    def _end_run(self, active: ActiveRun, outcome: Download | None, *, keeps_slot: bool = False) -> None:
        active.is_ended = True
        run = active.run
        self._runs.remove(run.download.id)
        if outcome is None or outcome.state in FINISHED:
            self._factory.forget(run.download.id)
        self._notifier.count_received(active.pop_received_bytes())
        if outcome is not None:
            # Before the slot of the run is free for another one.
            self._gate.report_outcome(outcome, lacks_space=run.pending_space is not None)
            self._space.notify_run_ended(outcome.seq)
        if not keeps_slot:
            self._queue.finish(run.download.seq)

    async def _settle(
        self, row: Download, active: ActiveRun, *, keeps_slot: bool = False, is_published: bool = False
    ) -> None:
        """Enqueue or publish a download whose run has ended, and wake the callers that have stopped it.

        Its stray part files are removed in between, while it `keeps_slot`, so that the next run has their space. Users
        may have changed the row when that is done. The row `is_published` already if an action of a user came first.
        """
        run, before = active.run, active.reported_state
        try:
            if is_published:
                pass
            elif row.state in WAITING and row.control.desired is not Desired.RUN:
                row = await self._apply_desired(row, active)
            elif row.state in WAITING and run.pending_space is not None:
                self._space.add(row, run.pending_space)
                await self.publish_changed([(row, before)])
            else:
                await self._publish_outcome(row, before=before, target=run.target_of(row.progress.origin))
            if keeps_slot:
                await self._remove_stray_parts(active)
        finally:
            if keeps_slot:
                self._queue.finish(row.seq)
        self._stop_waiters.notify(row)

    async def _remove_stray_parts(self, active: ActiveRun) -> None:
        try:
            async with asyncio.timeout(MAX_REMOVAL_SECONDS):
                await active.run.remove_stray_parts()
        except TimeoutError:
            log.error("part_removal_stalled", **log_fields(active.run.download))

    async def _apply_desired(self, row: Download, active: ActiveRun) -> Download:
        """Apply a user's action that crossed with the end of the attempt; return the row then."""
        with self._runs.settling(active):
            deferred, after = await retry_forever(
                lambda: self.amend(row.id, partial(lifecycle.apply_desired, now=self._clock.wall())),
                "desired_state_write_failed",
            )
        if after.state in FINISHED and deferred.state not in FINISHED:
            await self.clean_up(deferred)
        elif after.state is not deferred.state:
            await self._publish_outcome(after, before=active.reported_state)
        # Otherwise another action came first, and was published by its caller.
        return after

    async def _publish_outcome(self, row: Download, *, before: State, target: str | None = None) -> None:
        """Publish what follows a run, unless it is the end, which `EndedFollower` publishes."""
        if row.state in WAITING:
            if row.state is State.RETRYING and row.result.error is not None:
                self._notifier.count_failed_attempt(row.result.error)
            await self.enqueue(row, before=before, target=target)
        elif row.state not in FINISHED:
            await self.publish_changed([(row, before)])

    def _free_slots(self, run: Run) -> None:
        self._slots.free(run.download.seq)

    def _publish_change(self, run: Run) -> None:
        active = self._runs.get(run.download.id)
        # An aborted run may still change.
        if active is not None and active.run is run:
            self.publish_run(active)

    def publish_run(self, active: ActiveRun) -> None:
        """Publish a download that runs here as it is now."""
        if active.reported_state in FINISHED:
            return
        before = active.report_state()
        if before is not active.reported_state:
            self._notifier.hint_changed([active.run.download.id])
        if self._notifier.is_watched:
            self._notifier.publish_changed(self._runs.snapshot_of_run(active), before=before)
