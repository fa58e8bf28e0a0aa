"""The manager: starts downloads, applies the actions of users to them, and reports their state."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig, HostConfig
from downloadd.download import Desired, Download, Snapshot
from downloadd.download_request import DownloadRequest
from downloadd.errors import NotFoundError
from downloadd.import_operation import Driver
from downloadd.manager import lifecycle
from downloadd.manager.admission_control import AdmissionControl
from downloadd.manager.amender import Amender
from downloadd.manager.dispatcher import Dispatcher
from downloadd.manager.ended_follower import EndedFollower
from downloadd.manager.kept_parts import KeptParts
from downloadd.manager.limits import Limits
from downloadd.manager.live_runs import LiveRuns
from downloadd.manager.notifier import Notifier
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.manager.protocol import DownloadChange, MakeStoredResponse, StartResult
from downloadd.manager.queue_report import OriginList
from downloadd.manager.recovery import reconcile, sweep
from downloadd.manager.run import StopReason
from downloadd.manager.run_table import RunTable
from downloadd.manager.runner import Runner
from downloadd.manager.space_queue import SpaceQueue
from downloadd.manager.stall_monitor import StallMonitor
from downloadd.manager.storage_gate import StorageGate
from downloadd.manager.tasks import TaskSet
from downloadd.metrics import KeptUsage, OriginUsage
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.origin_proxies import OriginProxies
from downloadd.policy.policy import Policy
from downloadd.records.protocol import ActiveFilter, HistoryFilter, Records
from downloadd.states import FINISHED, RUNNING, State, WaitReason
from downloadd.storage.destination import Destination


class Manager:
    """Downloads from their acceptance to their end. Opens with `async with`, after the parts it is given."""

    def __init__(
        self,
        *,
        records: Records,
        destination: Destination,
        dispatcher: Dispatcher,
        notifier: Notifier,
        follower: EndedFollower,
        gate: StorageGate,
        space: SpaceQueue,
        admission: AdmissionControl,
        amender: Amender,
        runs: RunTable,
        live_runs: LiveRuns,
        runner: Runner,
        stalls: StallMonitor,
        origins: OriginMonitor,
        kept_parts: KeptParts,
        background: Sequence[Callable[[], Coroutine[object, object, None]]],
        clock: Clock,
    ) -> None:
        """Take the parts; `background` has functions that work until they are cancelled."""
        self._records = records
        self._destination = destination
        self._dispatcher = dispatcher
        self._queue = dispatcher.queue
        self._origin_states = dispatcher.origins
        self._notifier = notifier
        self._follower = follower
        self._gate = gate
        self._space = space
        self._admission = admission
        self._amender = amender
        self._runs = runs
        self._live_runs = live_runs
        self._runner = runner
        self._stalls = stalls
        self._origins = origins
        self._kept_parts = kept_parts
        self._background = background
        self._clock = clock
        self._tasks = TaskSet()

    async def __aenter__(self) -> Self:
        """Reconcile records and disk, then let downloads start."""
        await self._follower.open()
        await reconcile(self._records, self._destination, self._clock)
        await self._origins.restore()
        if not self._records.is_shared:
            # Shared records keep the queue themselves.
            async for chunk in self._records.waiting():
                self._queue.enqueue(chunk)
        await self._gate.open()
        self._tasks.spawn(self._follower.follow())
        self._tasks.spawn(self._runner.dispatch())
        self._tasks.spawn(self._stalls.watch())
        self._tasks.spawn(self._gate.watch())
        self._tasks.spawn(self._space.watch())
        self._tasks.spawn(self._origins.remove_recovered())
        self._tasks.spawn(sweep(self._records, self._destination))
        self._tasks.spawn(self._kept_parts.watch())
        for work in self._background:
            self._tasks.spawn(work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Interrupt all runs; what they received is kept, and the next start continues from it."""
        self._admission.close()
        self._runner.begin_closing()
        await self._tasks.cancel()
        await self._runner.close()
        await self._dispatcher.close()

    def configure(
        self,
        *,
        policy: Policy,
        directories: DirectoryRules,
        config: DownloadsConfig,
        hosts: Sequence[HostConfig] = (),
        proxies: OriginProxies | None = None,
    ) -> None:
        """Set policy and limits for downloads that start from now on."""
        self._admission.configure(policy=policy, directories=directories, config=config, proxies=proxies)
        self._runner.configure(config)
        self._stalls.configure(config, hosts)
        limits = Limits.from_config(config, hosts)
        self._queue.change_limits(replace(limits, runs_by_user=self._queue.limits.runs_by_user))

    # -- user actions --------------------------------------------------------------------------------------------------

    async def start(
        self,
        requests: Sequence[DownloadRequest],
        *,
        user: str,
        request_id: str | None = None,
        make_stored_response: MakeStoredResponse | None = None,
        driver: Driver | None = None,
    ) -> StartResult:
        """Check the requests and record them durably, in one transaction; see `AdmissionControl.start`."""
        return await self._admission.start(
            requests, user=user, request_id=request_id, make_stored_response=make_stored_response, driver=driver
        )

    async def cancel(self, id: str) -> Download:
        """Cancel an active download and remove its part file; return the final row.

        If another node runs it and does not obey soon, the row is the present one.

        Raises:
            NotFoundError: the id is unknown.
            InvalidStateError: the download has ended already.
        """
        while True:
            before, after = await self._runner.amend(id, partial(lifecycle.cancel, now=self._clock.wall()))
            if after.state not in RUNNING:
                self._queue.dequeue(after.seq)
                self._space.discard(after.seq)
                await self._runner.clean_up(before)
                return after
            after = await self._runner.stop(after, StopReason.CANCEL)
            if after.state is State.CANCELLED or after.state in RUNNING:
                return after

    async def pause(self, id: str) -> Snapshot:
        """Pause an active download; the received bytes are kept.

        Raises:
            NotFoundError: the id is unknown.
            InvalidStateError: the download has ended already, or is being cancelled.
        """
        while True:
            before, after = await self._runner.amend(id, lifecycle.pause)
            if after.state not in RUNNING:
                self._queue.dequeue(after.seq)
                self._space.discard(after.seq)
                await self._runner.publish_changed([(after, before.state)])
                return await self._runs.snapshot(after)
            after = await self._runner.stop(after, StopReason.PAUSE)
            if after.state is State.PAUSED or after.state in RUNNING:
                return await self._runs.snapshot(after)

    async def resume(self, id: str) -> Snapshot:
        """Resume a paused download.

        Raises:
            NotFoundError: the id is unknown.
            InvalidStateError: the download is not paused.
        """
        before, after = await self._runner.amend(id, lifecycle.resume)
        await self._runner.enqueue(after, before=before.state)
        return await self._runs.snapshot(after)

    async def retry(self, id: str, url: str | None = None) -> Snapshot:
        """Retry a failed, cancelled or skipped download, or a retrying one without further delay.

        A part file that was kept is continued, also at a new `url` that has the same bytes.

        Raises:
            NotFoundError: the id is unknown.
            InvalidStateError: the download cannot be retried, or only with a new URL.
            InvalidUrlError, DomainBlockedError: the new URL may not be fetched.
            QueueFullError: the download has ended, and the queue is full.
        """
        new_url = None if url is None else self._admission.check_new_url(url)
        async with self._admission.reserving_slot() as full:
            change = partial(lifecycle.retry, now=self._clock.wall(), url=new_url, full=full)
            before, after = await self._runner.amend(id, change)
        await self._runner.enqueue(after, before=before.state)
        return await self._runs.snapshot(after)

    async def amend(self, id: str, changes: DownloadChange) -> Snapshot:
        """Change an active download, or one that can be retried and gets a URL; see `Amender.amend`."""
        return await self._amender.amend(id, changes)

    # -- state ---------------------------------------------------------------------------------------------------------

    async def get(self, id: str) -> Snapshot:
        """Return a download, active or finished.

        Raises:
            NotFoundError: the id is unknown.
        """
        download = await self._records.get(id)
        if download is None:
            raise NotFoundError("no download has this id")
        return await self._runs.snapshot(download)

    async def active(self, criteria: ActiveFilter) -> list[Snapshot]:
        """Return active downloads as they are now, oldest first."""
        states = criteria.states
        known = {active.run.download.seq: active.run.download for active in self._runs}
        if states is None or not states & RUNNING:
            return await self._runs.snapshots(await self._records.active(criteria, known))
        # The state of a run is finer than that of its row: rows of all running states are read, and filtered by the
        # state of the run.
        rows = await self._records.active(
            replace(criteria, states=states | RUNNING, limit=criteria.limit + len(self._runs)), known
        )
        snapshots = await self._runs.snapshots(rows)
        return [one for one in snapshots if one.download.state in states][: criteria.limit]

    async def counts(self) -> Counter[State]:
        """Return the number of downloads in each active state; those that are being paused count as paused.

        With very many waiting downloads, the numbers may be some seconds old.
        """
        counts = Counter(await self._records.counts())
        # The state of a run is finer than that of its row.
        for state in RUNNING:
            del counts[state]
        rows = [active.run.download for active in self._runs]
        counts.update(await self._live_runs.count())
        counts.update(State.PAUSED if row.control.desired is Desired.PAUSE else row.state for row in rows)
        return counts

    def speed(self) -> float:
        """Return the bytes a second of all downloads together, over the last seconds."""
        return self.own_speed() + self._live_runs.speed

    def own_speed(self) -> float:
        """Return the bytes a second of the downloads that this node runs."""
        return sum(active.run.speed for active in self._runs)

    async def wait_reasons(self) -> Mapping[WaitReason, int]:
        """Return the number of waiting downloads per reason; reasons without downloads may be left out."""
        reasons = Counter(await self._queue.wait_reasons())
        # The queue counts those that wait for space as delayed.
        # One that is being put back into the queue is in neither, or in both.
        reasons[WaitReason.DELAYED] = max(0, reasons[WaitReason.DELAYED] - self._space.waiting)
        reasons[WaitReason.STORAGE_UNAVAILABLE] += self._space.waiting
        return reasons

    async def origin_usage(self) -> OriginUsage:
        """Return the use of all origins together."""
        return await self._origin_states.usage()

    async def origins(self, limit: int) -> OriginList:
        """Return up to `limit` origins that are in use or not healthy, the ones in trouble first."""
        return await self._origin_states.listing(limit)

    async def kept_parts(self) -> KeptUsage:
        """Return the number and size of the part files of failed downloads."""
        return await self._kept_parts.usage()

    def storage_problem(self) -> str | None:
        """Return why the storage suspends the queue, in words; None if it does not."""
        return self._gate.problem

    async def history(self, criteria: HistoryFilter) -> list[Download]:
        """Return a page of finished downloads."""
        return await self._records.history(criteria)

    async def ended_since(self, ended_seq: int, limit: int) -> list[Download]:
        """Return downloads that ended after the one with `ended_seq`, oldest end first."""
        return await self._records.history(HistoryFilter(after_ended_seq=ended_seq, limit=limit))

    async def wait(self, id: str, seconds: float) -> Download:
        """Return the row when the download has ended, or as it is after `seconds`.

        Raises:
            NotFoundError: the id is unknown.
        """
        deadline = self._clock.monotonic() + seconds
        while True:
            waiter = self._notifier.ends.add(id)
            try:
                download = (await self.get(id)).download
                left = deadline - self._clock.monotonic()
                if download.state in FINISHED or left <= 0:
                    return download
                await asyncio.wait((waiter,), timeout=left)
            finally:
                self._notifier.ends.remove(id, waiter)
