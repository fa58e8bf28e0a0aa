"""Takeover of downloads that no living node runs, and of those whose run is not known to its own node.

Each living node looks for them as often as it sends heartbeats. Whoever finds one first puts it back into the queue.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import DownloadError
from downloadd.manager.desired_states import DesiredStates
from downloadd.manager.lease_gate import LeaseGate
from downloadd.manager.notifier import Notifier
from downloadd.manager.recovery import interrupt_abandoned, sweep
from downloadd.manager.run import StopReason
from downloadd.manager.run_table import RunTable
from downloadd.manager.runner import Runner
from downloadd.manager.tasks import TaskSet
from downloadd.records.store import Store
from downloadd.states import FINISHED, WAITING
from downloadd.storage.destination import Destination

log = structlog.get_logger()

SWEEP_SECONDS: Final = 60.0
"""Seconds after a takeover until part files are removed that the gone node had not recorded."""
MAX_TOGETHER: Final = 32
"""Downloads of gone nodes that are put back at once."""
RETURN_INTERVALS: Final = 3
"""Searches that a node leaves out after it has regained its lease, so that other nodes can regain theirs."""


class AbandonedDownloads:
    """Puts downloads back whose node is gone, and stops runs here that another node has taken over."""

    def __init__(
        self,
        *,
        records: Store,
        destination: Destination,
        lease: LeaseGate,
        runs: RunTable,
        runner: Runner,
        desired_states: DesiredStates,
        notifier: Notifier,
        clock: Clock,
        interval: float,
    ) -> None:
        """Take the parts; `interval` is the number of seconds between two searches."""
        self._records = records
        self._destination = destination
        self._lease = lease
        self._runs = runs
        self._runner = runner
        self._desired_states = desired_states
        self._notifier = notifier
        self._clock = clock
        self._interval = interval
        # Runs that the records name and that were not under way at the last search: (seq, epoch).
        self._unknown: frozenset[tuple[int, int]] = frozenset()
        self._sweep_at: float | None = None
        # Searches to leave out.
        self._skipped = 0

    async def watch(self) -> None:
        """Search until cancelled; in records that only this node can use, there is nothing to find."""
        if not self._records.is_shared:
            return
        tasks = TaskSet()
        try:
            await self._watch(tasks)
        finally:
            await tasks.cancel()

    async def _watch(self, tasks: TaskSet) -> None:
        while True:
            await asyncio.sleep(self._interval)
            if self._sweep_at is not None and self._clock.monotonic() >= self._sweep_at:
                self._sweep_at = None
                tasks.spawn(sweep(self._records, self._destination))
            if not self.may_search():
                continue
            try:
                await self.search()
            except DownloadError as error:
                log.warning("takeover_failed", error=error.code, detail=error.detail)

    def may_search(self) -> bool:
        """Return True if this node may take over now; call it once for each search."""
        if not self._lease.is_held:
            # The other nodes act. If the database was away, they have lost their leases too, and return soon.
            self._skipped = RETURN_INTERVALS
        elif self._skipped:
            self._skipped -= 1
        else:
            return True
        return False

    async def search(self) -> None:
        """Compare the runs here with the records, and put back what no living node runs."""
        known = {(active.run.download.seq, active.run.download.epoch): active for active in self._runs}
        runs = await self._records.runs.held()
        self._desired_states.apply_held(runs)
        held = {(one.seq, one.epoch): one.id for one in runs}
        for key, active in known.items():
            if key not in held and not active.is_ended:
                # If it has not just ended by itself: it finds out with its next write.
                active.run.stop(StopReason.INTERRUPT)
        unknown = held.keys() - known.keys()
        # One that is seen once is being started or has just ended; a claim whose answer was lost is seen again.
        for seq, epoch in sorted(unknown & self._unknown):
            row = await self._records.get(held[seq, epoch])
            if row is not None and row.epoch == epoch and self._runs.get(row.id) is None:
                await self._put_back(row)
        self._unknown = frozenset(unknown)
        if self._records.admission is not None:
            await self._records.admission.free_abandoned()
        taken_over: list[Download] = []
        async for row in self._records.running_rows():
            taken_over.append(row)
            if len(taken_over) == MAX_TOGETHER:
                await self._take_over(taken_over)
                taken_over.clear()
        await self._take_over(taken_over)

    async def _take_over(self, rows: Sequence[Download]) -> None:
        """Put downloads of gone nodes back: together, because their writes share commits then."""
        for row in rows:
            log.warning("download_taken_over", download_id=row.id, epoch=row.epoch)
        results = await asyncio.gather(*map(self._put_back, rows), return_exceptions=True)
        for result in results:
            if result is True:
                self._notifier.count_taken_over()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _put_back(self, row: Download) -> bool:
        changed = await interrupt_abandoned(
            row, records=self._records, destination=self._destination, clock=self._clock
        )
        if changed is None:
            return False
        if self._sweep_at is None:
            self._sweep_at = self._clock.monotonic() + SWEEP_SECONDS
        before, after = changed
        if after.state in WAITING:
            await self._runner.enqueue(after, before=before.state)
        elif after.state not in FINISHED:
            await self._runner.publish_changed([(after, before.state)])
        return True
