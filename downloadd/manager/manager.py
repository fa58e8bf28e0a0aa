"""The manager: accepts downloads, runs them when their turn comes, and does what users want of them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from random import getrandbits
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig
from downloadd.download import Conflict, Desired, Download, Snapshot, log_fields, new_id
from downloadd.download_request import DownloadRequest
from downloadd.errors import (
    DownloadError,
    ErrorCode,
    FileExistsAlreadyError,
    InsufficientStorageError,
    NotFoundError,
    QueueFullError,
    ShuttingDownError,
    StorageError,
    StorageRootMissingError,
)
from downloadd.events import DownloadChanged, DownloadEnded, EventBus
from downloadd.manager import lifecycle
from downloadd.manager.admission import admit, refuse
from downloadd.manager.discard_part import discard_part
from downloadd.manager.dispatcher import Dispatcher
from downloadd.manager.rate_limit import DownloadLimiter, TokenBucket
from downloadd.manager.recovery import reconcile, sweep
from downloadd.manager.run import HostBackoff, Run, StopReason, log_task_failure, retry_forever
from downloadd.manager.scheduler import Limits
from downloadd.manager.stall_detection import Activity, is_stalled, observe
from downloadd.metrics import Metrics, OriginUsage
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.policy.redaction import redact_url
from downloadd.records.protocol import ActiveFilter, HistoryFilter, Records, StoredResponse, WaitingDownload
from downloadd.states import FINISHED, RUNNING, WAITING, State, WaitReason
from downloadd.storage.destination import Destination
from downloadd.transfer.session import Session

log = structlog.get_logger()

DRAIN_SECONDS: Final = 6.0
"""How long runs have to put their bytes and rows in order when the daemon stops."""
QUEUE_FULL_RETRY_AFTER_SECONDS: Final = 30
"""Seconds that a client is asked to wait when the queue is full."""
ADMISSION_BATCH_SIZE: Final = 250
"""Orders that are judged before the event loop gets its turn again."""
MAX_WRITES_PER_SECOND: Final = 500
"""Small writes that all running downloads together may cause."""
MIN_FLUSH_SECONDS: Final = 0.25
"""Seconds."""
STALL_CHECK_SECONDS: Final = 5.0
"""How often it is looked whether a run moves."""
MIN_FREE_BYTES: Final = 1 << 20
"""Bytes; a disk with less room is full."""
STORAGE_CHECK_SECONDS: Final = 2.0
"""How often a full disk is looked at."""
MAX_SUSPENSION_SECONDS: Final = 60.0
"""Seconds for which the queue is held back by a full disk before some may try."""
DISK_FULL_REASON: Final = "there is no room on the disk"
"""What downloads wait for then, in words."""


class StartResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the download request of one request."""

    downloads: Sequence[Download] = ()
    """One per request: `queued`, or `failed` when it was refused."""
    replayed: StoredResponse | None = None
    """The first answer to a request with the same Idempotency-Key; nothing was started now."""


class DownloadChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a user changes in an active download; None leaves a value as it is."""

    priority: int | None = None
    speed_limit: int | None = None
    """Bytes a second; 0 for none."""
    url: str | None = None


class Manager:
    """Owns every run. Opens with `async with`, after the parts it is given."""

    def __init__(
        self,
        *,
        records: Records,
        destination: Destination,
        session: Session,
        dispatcher: Dispatcher,
        bus: EventBus,
        metrics: Metrics,
        clock: Clock,
        policy: Policy,
        directories: DirectoryRules,
        config: DownloadsConfig,
    ) -> None:
        self._records = records
        self._destination = destination
        self._session = session
        self._dispatcher = dispatcher
        self._bus = bus
        self._metrics = metrics
        self._clock = clock
        self._policy = policy
        self._directories = directories
        self._config = config
        self._rate = TokenBucket(config.speed_limit)
        self._limiters: dict[str, DownloadLimiter] = {}
        self._runs: dict[str, Run] = {}
        self._background_tasks: set[asyncio.Task[None]] = set()
        self._run_tasks: set[asyncio.Task[None]] = set()
        self._aborted: dict[str, asyncio.Future[Download]] = {}
        # Runs that were given up, and hang on something that cannot be cancelled.
        self._stuck_tasks: set[asyncio.Task[None]] = set()
        # What users want of downloads whose claim is on its way, so that no run exists yet that could be told.
        self._pending_stops: dict[str, StopReason] = {}
        self._waiters: dict[str, list[asyncio.Future[Download]]] = {}
        self._admitting = 0
        self._storage_failed = asyncio.Event()
        self._closing = False

    async def __aenter__(self) -> Self:
        """Puts records and disk in order, then lets downloads start."""
        ended = await reconcile(self._records, self._destination, self._clock)
        for download in ended:
            self._publish_finished(download)
        self._bus.record_ended_seq(await self._records.last_ended_seq())
        async for chunk in self._records.waiting():
            self._dispatcher.enqueue(chunk)
        self._spawn(self._background_tasks, self._dispatcher.dispatch(self._start_picked))
        self._spawn(self._background_tasks, self._publish_progress())
        self._spawn(self._background_tasks, self._detect_stalls())
        self._spawn(self._background_tasks, self._watch_storage())
        self._spawn(self._background_tasks, sweep(self._records, self._destination))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hands every run back; what has come is kept and goes on after the next start."""
        self._closing = True
        await _cancel(self._background_tasks)
        for run in self._runs.values():
            run.stop(StopReason.INTERRUPT)
        if self._run_tasks:
            await asyncio.wait(self._run_tasks, timeout=DRAIN_SECONDS)
        await _cancel(self._run_tasks)

    def configure(self, *, policy: Policy, directories: DirectoryRules, config: DownloadsConfig) -> None:
        """Sets policy and limits for what starts from now on."""
        self._policy = policy
        self._directories = directories
        self._config = config
        self._rate.rate = config.speed_limit
        self._dispatcher.change_limits(scheduler_limits(config))

    # -- starting ------------------------------------------------------------------------------------------------------

    async def start(
        self,
        requests: Sequence[DownloadRequest],
        *,
        user: str,
        request_id: str | None = None,
        make_stored_response: Callable[[Sequence[Download]], StoredResponse | None] | None = None,
    ) -> StartResult:
        """Judges requests and writes them all down, durably, in one transaction; accepted ones run when it is their turn.

        `request_id` is what the request is called in the log. `make_stored_response` makes the answer that is kept under the
        request's Idempotency-Key, if one is to be kept.

        Raises:
            ShuttingDownError: the daemon stops and accepts nothing.
            IdempotencyKeyReusedError: the key belongs to another request.
        """
        if self._closing:
            raise ShuttingDownError
        self._admitting += len(requests)
        try:
            downloads = await self._admit(requests, user, request_id)
            accepted = await self._records.accept(
                downloads, make_stored_response(downloads) if make_stored_response is not None else None
            )
        finally:
            self._admitting -= len(requests)
        if accepted.replayed is not None:
            return StartResult(replayed=accepted.replayed)
        waiting: list[WaitingDownload] = []
        with self._bus.deferring_publication():
            for number, (download, seq) in enumerate(zip(downloads, accepted.seqs, strict=True)):
                if number % ADMISSION_BATCH_SIZE == ADMISSION_BATCH_SIZE - 1:
                    await asyncio.sleep(0)
                row = replace(download, seq=seq)
                if row.state is State.QUEUED:
                    waiting.append(WaitingDownload(seq=seq, host=row.progress.host, priority=row.control.priority))
                    if self._bus.is_watched:
                        self._bus.publish(DownloadChanged(snapshot=self._snapshot(row)))
                else:
                    self._publish_finished(row)
        self._metrics.accepted(len(waiting))
        self._dispatcher.enqueue(waiting)
        return StartResult(downloads=downloads)

    async def _admit(self, requests: Sequence[DownloadRequest], user: str, request_id: str | None) -> list[Download]:
        now = self._clock.wall()
        free_slots = self._free_queue_slots + len(requests)
        downloads: list[Download] = []
        for number, request in enumerate(requests):
            if number % ADMISSION_BATCH_SIZE == ADMISSION_BATCH_SIZE - 1:
                await asyncio.sleep(0)
            download = admit(
                request,
                policy=self._policy,
                directories=self._directories,
                defaults=self._config,
                user=user,
                now=now,
                id=request.id or new_id(now, getrandbits(74)),
                request_id=request_id,
            )
            if download.state is State.QUEUED:
                try:
                    await self._require_free_name(download)
                    if free_slots <= 0:
                        raise QueueFullError(self._config.max_queued, retry_after=QUEUE_FULL_RETRY_AFTER_SECONDS)
                    free_slots -= 1
                except DownloadError as error:
                    download = refuse(download, error, now=now)
            downloads.append(download)
        return downloads

    @property
    def _free_queue_slots(self) -> int:
        """How many more downloads may wait."""
        return self._config.max_queued - self._dispatcher.waiting - self._admitting

    async def _require_free_name(self, download: Download) -> None:
        if download.request.conflict is not Conflict.ERROR or download.request.requested_name is None:
            return
        try:
            exists = await self._destination.exists(
                directory=download.request.directory, filename=download.request.requested_name
            )
        except StorageRootMissingError:
            # It is asked again before anything is fetched.
            return
        if exists:
            raise FileExistsAlreadyError(download.file_path)

    def retry_after(self) -> int:
        """Seconds that a client is asked to wait when the queue is full."""
        return QUEUE_FULL_RETRY_AFTER_SECONDS

    # -- what users want -----------------------------------------------------------------------------------------------

    async def cancel(self, id: str) -> Download:
        """Cancels an active download and removes its part file; returns the final row.

        Raises:
            NotFoundError: no download has this id.
            InvalidStateError: it has ended already.
        """
        while True:
            before, after = await self._amend(id, partial(lifecycle.cancel, now=self._clock.wall()))
            if after.state not in RUNNING:
                self._dispatcher.dequeue(after.seq)
                with self._bus.deferring_publication():
                    await self._remove_part(before)
                    self._publish_finished(after)
                return after
            after = await self._stop_run(after, StopReason.CANCEL)
            if after.state is State.CANCELLED:
                return after

    async def pause(self, id: str) -> Snapshot:
        """Pauses an active download; what has come is kept.

        Raises:
            NotFoundError: no download has this id.
            InvalidStateError: it has ended already.
        """
        while True:
            _, after = await self._amend(id, lifecycle.pause)
            if after.state not in RUNNING:
                self._dispatcher.dequeue(after.seq)
                self._publish_changed(after)
                return self._snapshot(after)
            after = await self._stop_run(after, StopReason.PAUSE)
            if after.state is State.PAUSED:
                return self._snapshot(after)

    async def resume(self, id: str) -> Snapshot:
        """Lets a paused download go on.

        Raises:
            NotFoundError: no download has this id.
            InvalidStateError: it is not paused.
        """
        _, after = await self._amend(id, lifecycle.resume)
        self._enqueue(after)
        return self._snapshot(after)

    async def retry(self, id: str) -> Snapshot:
        """Tries a failed, cancelled or skipped download again, or a retrying one without further delay.

        Raises:
            NotFoundError: no download has this id.
            InvalidStateError: there is nothing to retry.
            QueueFullError: it has ended, and there is no room to wait in.
        """
        full = (
            None
            if self._free_queue_slots > 0
            else QueueFullError(self._config.max_queued, retry_after=QUEUE_FULL_RETRY_AFTER_SECONDS)
        )
        # Several that come at once must not all find the same room.
        self._admitting += 1
        try:
            _, after = await self._amend(id, partial(lifecycle.retry, full=full))
        finally:
            self._admitting -= 1
        self._enqueue(after)
        return self._snapshot(after)

    async def amend(self, id: str, changes: DownloadChange) -> Snapshot:
        """Changes priority, speed limit or URL of an active download.

        Raises:
            NotFoundError: no download has this id.
            InvalidStateError: it has ended already, or runs and gets another URL.
            InvalidUrlError, DomainBlockedError: the new URL may not be fetched.
        """
        change = partial(lifecycle.amend, priority=changes.priority, speed_limit=changes.speed_limit)
        if changes.url is not None:
            url = self._policy.check_url(changes.url)
            change = partial(
                lifecycle.change_url,
                url=changes.url,
                redacted_url=redact_url(changes.url),
                host=url.host,
                change=change,
            )
        _, after = await self._amend(id, change)
        limiter = self._limiters.get(id)
        if limiter is not None:
            limiter.set_rate(after.control.speed_limit)
        if after.state in WAITING:
            self._enqueue(after)
        else:
            self._publish_changed(after)
        return self._snapshot(after)

    async def _amend(self, id: str, change: Callable[[Download], Download]) -> tuple[Download, Download]:
        changed = await self._records.amend(id, change)
        if changed is None:
            raise NotFoundError("no download has this id")
        run = self._runs.get(id)
        if run is not None:
            run.apply_amended(changed[1])
        return changed

    async def _stop_run(self, download: Download, reason: StopReason) -> Download:
        """Tells the run of a download to stop and waits until it has."""
        waiter = self._add_waiter(download.id)
        run = self._runs.get(download.id)
        if run is not None:
            run.stop(reason)
        else:
            # Either its claim is on its way here, or its run has just ended.
            row = await self._records.get(download.id)
            if row is not None and row.state not in RUNNING:
                self._remove_waiter(download.id, waiter)
                return row
            run = self._runs.get(download.id)
            if run is not None:
                run.stop(reason)
            else:
                self._pending_stops[download.id] = reason
        try:
            return await waiter
        finally:
            # A run that was just ending never takes it up, and the next one must not.
            self._pending_stops.pop(download.id, None)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def get(self, id: str) -> Snapshot:
        """One download, active or ended.

        Raises:
            NotFoundError: no download has this id.
        """
        download = await self._records.get(id)
        if download is None:
            raise NotFoundError("no download has this id")
        return self._snapshot(download)

    async def active(self, criteria: ActiveFilter) -> list[Snapshot]:
        """Downloads that have not ended, oldest first, as they are now."""
        states = criteria.states
        known = {run.download.seq: run.download for run in self._runs.values()}
        if states is None or not states & RUNNING:
            return [self._snapshot(row) for row in await self._records.active(criteria, known)]
        # A run's state is finer than its row: rows of all running states are read, and judged by the run.
        rows = await self._records.active(
            replace(criteria, states=states | RUNNING, limit=criteria.limit + len(self._runs)), known
        )
        snapshots = [self._snapshot(row) for row in rows]
        return [one for one in snapshots if one.download.state in states][: criteria.limit]

    async def counts(self) -> Counter[State]:
        """How many downloads are in each active state."""
        counts = Counter(await self._records.counts())
        # The state of a run is finer than that of its row.
        for state in RUNNING:
            del counts[state]
        counts.update(run.download.state for run in self._runs.values())
        return counts

    def wait_reasons(self) -> Mapping[WaitReason, int]:
        """How many downloads wait for what; what none waits for may be left out."""
        return self._dispatcher.wait_reasons()

    def origins(self) -> OriginUsage:
        """How hosts are used."""
        return self._dispatcher.origins()

    async def history(self, criteria: HistoryFilter) -> list[Download]:
        """A page of ended downloads."""
        return await self._records.history(criteria)

    async def ended_since(self, ended_seq: int, limit: int) -> list[Download]:
        """Downloads that ended after the one with `ended_seq`, oldest end first."""
        return await self._records.history(HistoryFilter(after_ended_seq=ended_seq, limit=limit))

    async def wait(self, id: str, seconds: float) -> Download:
        """The row once the download has ended, or as it is after so many seconds.

        Raises:
            NotFoundError: no download has this id.
        """
        deadline = self._clock.monotonic() + seconds
        while True:
            waiter = self._add_waiter(id)
            download = (await self.get(id)).download
            left = deadline - self._clock.monotonic()
            if download.state in FINISHED or left <= 0:
                self._remove_waiter(id, waiter)
                return download
            done, _ = await asyncio.wait((waiter,), timeout=left)
            if not done:
                self._remove_waiter(id, waiter)

    def _snapshot(self, row: Download) -> Snapshot:
        run = self._runs.get(row.id)
        if run is not None and row.state in RUNNING:
            return run.snapshot()
        return Snapshot(download=row, reason=self._reason(row))

    def _reason(self, row: Download) -> str | None:
        match row.state:
            case State.PAUSED:
                return "paused by a user"
            case State.QUEUED | State.RETRYING:
                return self._dispatcher.describe_wait(row.progress.host, row.progress.not_before)
            case _:
                return None

    # -- running -------------------------------------------------------------------------------------------------------

    async def _start_picked(self, seqs: Sequence[int]) -> None:
        claimed = await retry_forever(lambda: self._records.claim(seqs), "claim_failed")
        for seq in set(seqs) - {download.seq for download in claimed}:
            self._dispatcher.finish(seq)
        now = self._clock.wall()
        for download in claimed:
            self._metrics.attempt_started(now - download.start_time if download.epoch == 1 else None)
            limiter = DownloadLimiter(TokenBucket(download.control.speed_limit), self._rate)
            run = Run(
                download,
                records=self._records,
                session=self._session,
                destination=self._destination,
                clock=self._clock,
                limiter=limiter,
                flush_interval=self._flush_interval,
                max_size=self._config.max_size,
                # The manifest of an import has them all.
                record_checksum=self._config.record_checksum or download.request.operation is not None,
                slots=self._dispatcher,
                retries=self._config.retries,
                on_change=self._publish_run,
            )
            self._limiters[download.id] = limiter
            self._runs[download.id] = run
            pending = self._pending_stops.pop(download.id, None) or (StopReason.INTERRUPT if self._closing else None)
            if pending is not None:
                run.stop(pending)
            self._spawn(self._run_tasks, self._perform(run))

    async def _perform(self, run: Run) -> None:
        id, seq = run.download.id, run.download.seq
        self._publish_run(run)
        outcome: tuple[Download, HostBackoff | None] | None = None
        task = asyncio.get_running_loop().create_task(run.perform())
        aborted = self._aborted[id] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((task, aborted), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                outcome = task.result()
            else:
                outcome = aborted.result(), None
                # It ends when what it hangs on lets go of it, finds that the row is no longer its own, and tidies up.
                run.stop(StopReason.CANCEL)
                self._spawn(self._stuck_tasks, _finish_task(task))
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait((task,))
            raise
        finally:
            del self._aborted[id]
            del self._runs[id]
            del self._limiters[id]
            self._metrics.received(run.pop_received_bytes())
            if outcome is not None:
                self._throttle(*outcome)
            self._dispatcher.finish(seq)
        if outcome is not None:
            await self._settle(outcome[0])

    async def _detect_stalls(self) -> None:
        """Gives up runs that have stood still for too long."""
        activities: dict[str, Activity] = {}
        while True:
            await asyncio.sleep(STALL_CHECK_SECONDS)
            now = self._clock.monotonic()
            activities = {
                id: observe(
                    activities.get(id),
                    state=run.download.state,
                    received_bytes=run.received_bytes,
                    request_count=run.request_count,
                    waits=self._limiters[id].is_waiting or run.waits_for_records,
                    now=now,
                )
                for id, run in self._runs.items()
            }
            for id, activity in activities.items():
                run = self._runs.get(id)
                if run is not None and is_stalled(
                    activity,
                    size=run.download.progress.total or run.received_bytes,
                    stall_timeout=self._config.stall_timeout,
                    now=now,
                ):
                    await self._abort_stalled(run, seconds=now - activity.since)

    async def _abort_stalled(self, run: Run, *, seconds: float) -> None:
        error = StorageError(f"nothing has moved for {seconds:.0f} s: the storage does not answer")
        log.error("run_stalled", state=run.download.state, detail=error.detail, **log_fields(run.download))
        row = lifecycle.mark_failed(run.download, error, now=self._clock.wall())
        failed = await retry_forever(partial(self._records.save, row), "outcome_write_failed", **log_fields(row))
        aborted = self._aborted.get(row.id)
        if failed is not None and aborted is not None:
            aborted.set_result(failed)

    def _throttle(self, row: Download, host_backoff: HostBackoff | None) -> None:
        """Before the place of a run is free: what must not start in it."""
        if host_backoff is not None:
            self._dispatcher.block(host_backoff.host, host_backoff.until)
        is_storage_failure = row.result.error is ErrorCode.INSUFFICIENT_STORAGE or (
            row.result.error is ErrorCode.STORAGE_ERROR and row.state in WAITING
        )
        if is_storage_failure and not self._storage_failed.is_set():
            # Until it has been looked at what is the matter.
            self._dispatcher.set_suspension(DISK_FULL_REASON)
            self._storage_failed.set()

    async def _watch_storage(self) -> None:
        """Holds the queue back while the disk is full or gone, so that it is not spent on attempts which must fail.

        Now and then some go on all the same when it is full: what fills it may be the parts of those that wait, and it
        is free again only when these have used up their retries. A disk that is gone nobody but an administrator can
        bring back.
        """
        while True:
            await self._storage_failed.wait()
            until = self._clock.monotonic() + MAX_SUSPENSION_SECONDS
            logged_reason: str | None = None
            while (failure := await self._check_storage()) is not None:
                is_gone = isinstance(failure, StorageRootMissingError)
                if not is_gone and self._clock.monotonic() >= until:
                    break
                reason = failure.detail if is_gone else DISK_FULL_REASON
                if reason != logged_reason:
                    (log.error if is_gone else log.warning)("queue_suspended", reason=reason)
                    logged_reason = reason
                self._dispatcher.set_suspension(reason)
                await asyncio.sleep(STORAGE_CHECK_SECONDS)
            self._storage_failed.clear()
            self._dispatcher.set_suspension(None)
            if logged_reason is not None:
                log.info("queue_resumed", reason=logged_reason)

    async def _check_storage(self) -> InsufficientStorageError | StorageRootMissingError | None:
        try:
            await self._destination.check_free_space(MIN_FREE_BYTES)
        except (InsufficientStorageError, StorageRootMissingError) as error:
            return error
        except DownloadError:
            # What is wrong with the disk besides is for the attempts to tell.
            pass
        return None

    async def _settle(self, row: Download) -> None:
        if row.state in WAITING and row.control.desired is not Desired.RUN:
            # The user's wish and the end of the attempt crossed; the wish still holds.
            before, row = await retry_forever(
                lambda: self._amend(row.id, partial(lifecycle.apply_desired, now=self._clock.wall())),
                "desired_state_write_failed",
            )
            if row.state is before.state:
                # Somebody else's wish came first, and was told by whoever granted it.
                self._notify_waiters(row)
                return
            if row.state in FINISHED:
                with self._bus.deferring_publication():
                    await self._remove_part(before)
                    self._publish_finished(row)
                return
        if row.state in FINISHED:
            self._publish_finished(row)
        elif row.state in WAITING:
            if row.result.error is not None:
                self._metrics.attempt_failed(row.result.error)
            self._enqueue(row)
        else:
            self._publish_changed(row)
        self._notify_waiters(row)

    async def _remove_part(self, download: Download) -> None:
        """Removes what has come, if something has."""
        if download.progress.part_name is not None:
            await discard_part(
                self._destination,
                download_id=download.id,
                directory=download.request.directory,
                name=download.progress.part_name,
            )

    def _flush_interval(self) -> float:
        return max(MIN_FLUSH_SECONDS, len(self._runs) / MAX_WRITES_PER_SECOND)

    # -- telling -------------------------------------------------------------------------------------------------------

    def _enqueue(self, row: Download) -> None:
        self._dispatcher.enqueue(
            [
                WaitingDownload(
                    seq=row.seq,
                    host=row.progress.host,
                    priority=row.control.priority,
                    not_before=row.progress.not_before,
                )
            ]
        )
        self._publish_changed(row)

    def _publish_changed(self, row: Download) -> None:
        self._bus.publish(DownloadChanged(snapshot=self._snapshot(row)))

    def _publish_run(self, run: Run) -> None:
        self._bus.publish(DownloadChanged(snapshot=run.snapshot()))

    def _publish_finished(self, row: Download) -> None:
        # The clock may have been set back since.
        seconds = max(0, (row.result.end_time or row.start_time) - row.start_time)
        self._metrics.ended(row.state, row.result.error, seconds)
        log.info(
            "download_ended",
            **log_fields(row),
            outcome=row.state,
            error=row.result.error,
            detail=row.result.detail,
            path=row.file_path,
            url=row.request.redacted_url,
            size=row.progress.total if row.state is State.COMPLETED else None,
            attempts=row.progress.attempt,
        )
        self._bus.publish(DownloadEnded(download=row))
        self._notify_waiters(row)

    async def _publish_progress(self) -> None:
        """Once a second, counts what has come in and tells those who watch which downloads have moved."""
        while True:
            await asyncio.sleep(1)
            for run in self._runs.values():
                received = run.pop_received_bytes()
                self._metrics.received(received)
                if received and self._bus.is_watched:
                    self._publish_run(run)

    def _add_waiter(self, id: str) -> asyncio.Future[Download]:
        waiter: asyncio.Future[Download] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(id, []).append(waiter)
        return waiter

    def _remove_waiter(self, id: str, waiter: asyncio.Future[Download]) -> None:
        waiters = self._waiters.get(id, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(id, None)

    def _notify_waiters(self, row: Download) -> None:
        for waiter in self._waiters.pop(row.id, ()):
            if not waiter.done():
                waiter.set_result(row)

    def _spawn(self, keep: set[asyncio.Task[None]], work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        keep.add(task)
        task.add_done_callback(keep.discard)
        task.add_done_callback(log_task_failure)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tuple(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _finish_task(task: asyncio.Task[tuple[Download, HostBackoff | None] | None]) -> None:
    await task


def scheduler_limits(config: DownloadsConfig) -> Limits:
    """The dispatcher's part of the configuration."""
    return Limits(max_concurrent=config.max_concurrent, max_per_host=config.max_per_host)
