"""Takeover of downloads that no living node runs, and of those whose run is not known to its own node.

Each living node looks for them as often as it sends heartbeats. Whoever finds one first puts it back into the queue.
"""

import asyncio

import structlog

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import DownloadError
from downloadd.manager.desired_states import DesiredStates
from downloadd.manager.lease_gate import LeaseGate
from downloadd.manager.notifier import Notifier
from downloadd.manager.recovery import interrupt_abandoned
from downloadd.manager.run import StopReason
from downloadd.manager.run_table import RunTable
from downloadd.manager.runner import Runner
from downloadd.records.store import Store
from downloadd.states import FINISHED, WAITING
from downloadd.storage.destination import Destination

log = structlog.get_logger()


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

    async def watch(self) -> None:
        """Search until cancelled; in records that only this node can use, there is nothing to find."""
        if not self._records.is_shared:
            return
        while True:
            await asyncio.sleep(self._interval)
            # Without the lease, the other nodes act.
            if not self._lease.is_held:
                continue
            try:
                await self.search()
            except DownloadError as error:
                log.warning("takeover_failed", error=error.code, detail=error.detail)

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
        async for row in self._records.running_rows():
            log.warning("download_taken_over", download_id=row.id, epoch=row.epoch)
            if await self._put_back(row):
                self._notifier.count_taken_over()

    async def _put_back(self, row: Download) -> bool:
        changed = await interrupt_abandoned(
            row, records=self._records, destination=self._destination, clock=self._clock
        )
        if changed is None:
            return False
        before, after = changed
        if after.state in WAITING:
            await self._runner.enqueue(after, before=before.state)
        elif after.state not in FINISHED:
            await self._runner.publish_changed([(after, before.state)])
        return True
