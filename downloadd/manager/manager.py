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
from downloadd.download import Conflict, Desired, Download, Snapshot, ids_of, new_id
from downloadd.errors import (
    DownloadError,
    ErrorCode,
    FileExistsAlreadyError,
    InsufficientStorageError,
    NotFoundError,
    QueueFullError,
    ShuttingDownError,
    StorageError,
    StorageGoneError,
)
from downloadd.events import DownloadChanged, DownloadEnded, EventBus
from downloadd.manager import lifecycle
from downloadd.manager.dispatcher import Dispatcher
from downloadd.manager.intake import Order, accept_order, refuse
from downloadd.manager.leftovers import remove_leftover
from downloadd.manager.rate import DownloadPace, RateLimit
from downloadd.manager.recovery import reconcile, sweep
from downloadd.manager.run import HostWaits, Run, Stop, insist, report_broken
from downloadd.manager.scheduler import Limits
from downloadd.manager.supervision import Pulse, feel, stands_still
from downloadd.metrics import Metrics, Origins
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.masking import show_url
from downloadd.policy.policy import Policy
from downloadd.records.protocol import ActiveFilter, HistoryFilter, Records, StoredAnswer, Waiting
from downloadd.states import ENDED, RUNNING, WAITING, Hold, State
from downloadd.storage.destination import Destination
from downloadd.transfer.session import Session

log = structlog.get_logger()

DRAIN_SECONDS: Final = 6.0
"""How long runs have to put their bytes and rows in order when the daemon stops."""
QUEUE_RETRY_AFTER: Final = 30
"""Seconds that a client is asked to wait when the queue is full."""
ORDERS_AT_ONCE: Final = 250
"""Orders that are judged before the event loop gets its turn again."""
WRITES_A_SECOND: Final = 500
"""Small writes that all running downloads together may cause."""
SOONEST_FLUSH: Final = 0.25
"""Seconds."""
PULSE_SECONDS: Final = 5.0
"""How often it is looked whether a run moves."""
LITTLE_ROOM: Final = 1 << 20
"""Bytes; a disk with less room is full."""
ROOM_SECONDS: Final = 2.0
"""How often a full disk is looked at."""
LONGEST_HOLD: Final = 60.0
"""Seconds for which the queue is held back by a full disk before some may try."""
NO_ROOM: Final = "there is no room on the disk"
"""What downloads wait for then, in words."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the orders of one request."""

    downloads: Sequence[Download] = ()
    """One per order: `queued`, or `failed` when it was refused."""
    replayed: StoredAnswer | None = None
    """The first answer to a request with the same Idempotency-Key; nothing was started now."""


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
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
        self._rate = RateLimit(config.speed_limit)
        self._paces: dict[str, DownloadPace] = {}
        self._runs: dict[str, Run] = {}
        self._duties: set[asyncio.Task[None]] = set()
        self._performing: set[asyncio.Task[None]] = set()
        self._given_up: dict[str, asyncio.Future[Download]] = {}
        # Runs that were given up, and hang on something that cannot be cancelled.
        self._hanging: set[asyncio.Task[None]] = set()
        # What users want of downloads whose claim is on its way, so that no run exists yet that could be told.
        self._early_stops: dict[str, Stop] = {}
        self._watchers: dict[str, list[asyncio.Future[Download]]] = {}
        self._accepting = 0
        self._short_of_room = asyncio.Event()
        self._closing = False

    async def __aenter__(self) -> Self:
        """Puts records and disk in order, then lets downloads start."""
        ended = await reconcile(self._records, self._destination, self._clock)
        for download in ended:
            self._has_ended(download)
        self._bus.remember_ended(await self._records.last_ended_seq())
        async for chunk in self._records.waiting():
            self._dispatcher.enqueue(chunk)
        self._own(self._duties, self._dispatcher.dispatch(self._start_picked))
        self._own(self._duties, self._follow_progress())
        self._own(self._duties, self._supervise())
        self._own(self._duties, self._wait_for_room())
        self._own(self._duties, sweep(self._records, self._destination))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hands every run back; what has come is kept and goes on after the next start."""
        self._closing = True
        await _cancel(self._duties)
        for run in self._runs.values():
            run.stop(Stop.INTERRUPT)
        if self._performing:
            await asyncio.wait(self._performing, timeout=DRAIN_SECONDS)
        await _cancel(self._performing)

    def configure(self, *, policy: Policy, directories: DirectoryRules, config: DownloadsConfig) -> None:
        """Sets policy and limits for what starts from now on."""
        self._policy = policy
        self._directories = directories
        self._config = config
        self._rate.rate = config.speed_limit
        self._dispatcher.change_limits(limits_of(config))

    # -- starting ------------------------------------------------------------------------------------------------------

    async def start(
        self,
        orders: Sequence[Order],
        *,
        user: str,
        request_id: str | None = None,
        answer: Callable[[Sequence[Download]], StoredAnswer | None] | None = None,
    ) -> Started:
        """Judges orders and writes them all down, durably, in one transaction; accepted ones run when it is their turn.

        `request_id` is what the request is called in the log. `answer` makes the answer that is kept under the
        request's Idempotency-Key, if one is to be kept.

        Raises:
            ShuttingDownError: the daemon stops and accepts nothing.
            IdempotencyKeyReusedError: the key belongs to another request.
        """
        if self._closing:
            raise ShuttingDownError
        self._accepting += len(orders)
        try:
            downloads = await self._judge(orders, user, request_id)
            accepted = await self._records.accept(downloads, answer(downloads) if answer is not None else None)
        finally:
            self._accepting -= len(orders)
        if accepted.replayed is not None:
            return Started(replayed=accepted.replayed)
        waiting: list[Waiting] = []
        with self._bus.telling_later():
            for number, (download, seq) in enumerate(zip(downloads, accepted.seqs, strict=True)):
                if number % ORDERS_AT_ONCE == ORDERS_AT_ONCE - 1:
                    await asyncio.sleep(0)
                row = replace(download, seq=seq)
                if row.state is State.QUEUED:
                    waiting.append(Waiting(seq=seq, host=row.progress.host, priority=row.control.priority))
                    if self._bus.watched:
                        self._bus.publish(DownloadChanged(snapshot=self._snapshot(row)))
                else:
                    self._has_ended(row)
        self._metrics.accepted(len(waiting))
        self._dispatcher.enqueue(waiting)
        return Started(downloads=downloads)

    async def _judge(self, orders: Sequence[Order], user: str, request_id: str | None) -> list[Download]:
        now = self._clock.wall()
        room = self._room + len(orders)
        downloads: list[Download] = []
        for number, order in enumerate(orders):
            if number % ORDERS_AT_ONCE == ORDERS_AT_ONCE - 1:
                await asyncio.sleep(0)
            download = accept_order(
                order,
                policy=self._policy,
                directories=self._directories,
                defaults=self._config,
                user=user,
                now=now,
                id=order.id or new_id(now, getrandbits(74)),
                request_id=request_id,
            )
            if download.state is State.QUEUED:
                try:
                    await self._require_free_name(download)
                    if room <= 0:
                        raise QueueFullError(self._config.max_queued, retry_after=QUEUE_RETRY_AFTER)
                    room -= 1
                except DownloadError as error:
                    download = refuse(download, error, now=now)
            downloads.append(download)
        return downloads

    @property
    def _room(self) -> int:
        """How many more downloads may wait."""
        return self._config.max_queued - self._dispatcher.waiting - self._accepting

    async def _require_free_name(self, download: Download) -> None:
        if download.request.conflict is not Conflict.ERROR or download.request.requested_name is None:
            return
        try:
            exists = await self._destination.exists(
                directory=download.request.directory, filename=download.request.requested_name
            )
        except StorageGoneError:
            # It is asked again before anything is fetched.
            return
        if exists:
            raise FileExistsAlreadyError(download.file_path)

    def retry_after(self) -> int:
        """Seconds that a client is asked to wait when the queue is full."""
        return QUEUE_RETRY_AFTER

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
                self._dispatcher.withdraw(after.seq)
                with self._bus.telling_later():
                    await self._remove_part(before)
                    self._has_ended(after)
                return after
            after = await self._stopped(after, Stop.CANCEL)
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
                self._dispatcher.withdraw(after.seq)
                self._has_changed(after)
                return self._snapshot(after)
            after = await self._stopped(after, Stop.PAUSE)
            if after.state is State.PAUSED:
                return self._snapshot(after)

    async def resume(self, id: str) -> Snapshot:
        """Lets a paused download go on.

        Raises:
            NotFoundError: no download has this id.
            InvalidStateError: it is not paused.
        """
        _, after = await self._amend(id, lifecycle.resume)
        self._waits(after)
        return self._snapshot(after)

    async def retry(self, id: str) -> Snapshot:
        """Tries a failed, cancelled or skipped download again, or a retrying one without further delay.

        Raises:
            NotFoundError: no download has this id.
            InvalidStateError: there is nothing to retry.
            QueueFullError: it has ended, and there is no room to wait in.
        """
        full = None if self._room > 0 else QueueFullError(self._config.max_queued, retry_after=QUEUE_RETRY_AFTER)
        # Several that come at once must not all find the same room.
        self._accepting += 1
        try:
            _, after = await self._amend(id, partial(lifecycle.retry, full=full))
        finally:
            self._accepting -= 1
        self._waits(after)
        return self._snapshot(after)

    async def amend(self, id: str, amendment: Amendment) -> Snapshot:
        """Changes priority, speed limit or URL of an active download.

        Raises:
            NotFoundError: no download has this id.
            InvalidStateError: it has ended already, or runs and gets another URL.
            InvalidUrlError, DomainBlockedError: the new URL may not be fetched.
        """
        change = partial(lifecycle.amend, priority=amendment.priority, speed_limit=amendment.speed_limit)
        if amendment.url is not None:
            url = self._policy.judge(amendment.url)
            change = partial(
                lifecycle.redirect,
                url=amendment.url,
                redacted_url=show_url(amendment.url),
                host=url.host,
                then=change,
            )
        _, after = await self._amend(id, change)
        pace = self._paces.get(id)
        if pace is not None:
            pace.limit(after.control.speed_limit)
        if after.state in WAITING:
            self._waits(after)
        else:
            self._has_changed(after)
        return self._snapshot(after)

    async def _amend(self, id: str, change: Callable[[Download], Download]) -> tuple[Download, Download]:
        changed = await self._records.amend(id, change)
        if changed is None:
            raise NotFoundError("no download has this id")
        run = self._runs.get(id)
        if run is not None:
            run.amended(changed[1])
        return changed

    async def _stopped(self, download: Download, why: Stop) -> Download:
        """Tells the run of a download to stop and waits until it has."""
        moved = self._watch(download.id)
        run = self._runs.get(download.id)
        if run is not None:
            run.stop(why)
        else:
            # Either its claim is on its way here, or its run has just ended.
            row = await self._records.get(download.id)
            if row is not None and row.state not in RUNNING:
                self._unwatch(download.id, moved)
                return row
            run = self._runs.get(download.id)
            if run is not None:
                run.stop(why)
            else:
                self._early_stops[download.id] = why
        try:
            return await moved
        finally:
            # A run that was just ending never takes it up, and the next one must not.
            self._early_stops.pop(download.id, None)

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

    async def active(self, wanted: ActiveFilter) -> list[Snapshot]:
        """Downloads that have not ended, oldest first, as they are now."""
        states = wanted.states
        known = {run.download.seq: run.download for run in self._runs.values()}
        if states is None or not states & RUNNING:
            return [self._snapshot(row) for row in await self._records.active(wanted, known)]
        # A run's state is finer than its row: rows of all running states are read, and judged by the run.
        rows = await self._records.active(
            replace(wanted, states=states | RUNNING, limit=wanted.limit + len(self._runs)), known
        )
        snapshots = [self._snapshot(row) for row in rows]
        return [one for one in snapshots if one.download.state in states][: wanted.limit]

    async def counts(self) -> Counter[State]:
        """How many downloads are in each active state."""
        counts = Counter(await self._records.counts())
        # The state of a run is finer than that of its row.
        for state in RUNNING:
            del counts[state]
        counts.update(run.download.state for run in self._runs.values())
        return counts

    def holds(self) -> Mapping[Hold, int]:
        """How many downloads wait for what; what none waits for may be left out."""
        return self._dispatcher.holds()

    def origins(self) -> Origins:
        """How hosts are used."""
        return self._dispatcher.origins()

    async def history(self, wanted: HistoryFilter) -> list[Download]:
        """A page of ended downloads."""
        return await self._records.history(wanted)

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
            moved = self._watch(id)
            download = (await self.get(id)).download
            left = deadline - self._clock.monotonic()
            if download.state in ENDED or left <= 0:
                self._unwatch(id, moved)
                return download
            done, _ = await asyncio.wait((moved,), timeout=left)
            if not done:
                self._unwatch(id, moved)

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
                return self._dispatcher.reason(row.progress.host, row.progress.not_before)
            case _:
                return None

    # -- running -------------------------------------------------------------------------------------------------------

    async def _start_picked(self, seqs: Sequence[int]) -> None:
        claimed = await insist(lambda: self._records.claim(seqs), "claim_failed")
        for seq in set(seqs) - {download.seq for download in claimed}:
            self._dispatcher.finished(seq)
        now = self._clock.wall()
        for download in claimed:
            self._metrics.attempt_started(now - download.start_time if download.epoch == 1 else None)
            pace = DownloadPace(RateLimit(download.control.speed_limit), self._rate)
            run = Run(
                download,
                records=self._records,
                session=self._session,
                destination=self._destination,
                clock=self._clock,
                pace=pace,
                flush_interval=self._flush_interval,
                max_size=self._config.max_size,
                # The manifest of an import has them all.
                record_checksum=self._config.record_checksum or download.request.operation is not None,
                places=self._dispatcher,
                retries=self._config.retries,
                changed=self._run_changed,
            )
            self._paces[download.id] = pace
            self._runs[download.id] = run
            early = self._early_stops.pop(download.id, None) or (Stop.INTERRUPT if self._closing else None)
            if early is not None:
                run.stop(early)
            self._own(self._performing, self._perform(run))

    async def _perform(self, run: Run) -> None:
        id, seq = run.download.id, run.download.seq
        self._run_changed(run)
        outcome: tuple[Download, HostWaits | None] | None = None
        performing = asyncio.get_running_loop().create_task(run.perform())
        given_up = self._given_up[id] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((performing, given_up), return_when=asyncio.FIRST_COMPLETED)
            if performing.done():
                outcome = performing.result()
            else:
                outcome = given_up.result(), None
                # It ends when what it hangs on lets go of it, finds that the row is no longer its own, and tidies up.
                run.stop(Stop.CANCEL)
                self._own(self._hanging, _ended(performing))
        except asyncio.CancelledError:
            performing.cancel()
            await asyncio.wait((performing,))
            raise
        finally:
            del self._given_up[id]
            del self._runs[id]
            del self._paces[id]
            self._metrics.received(run.take_count())
            if outcome is not None:
                self._hold_back(*outcome)
            self._dispatcher.finished(seq)
        if outcome is not None:
            await self._settle(outcome[0])

    async def _supervise(self) -> None:
        """Gives up runs that have stood still for too long."""
        pulses: dict[str, Pulse] = {}
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            now = self._clock.monotonic()
            pulses = {
                id: feel(
                    pulses.get(id),
                    state=run.download.state,
                    taken=run.taken,
                    asked=run.asked,
                    waits=self._paces[id].is_waited_for or run.waits_for_records,
                    now=now,
                )
                for id, run in self._runs.items()
            }
            for id, pulse in pulses.items():
                run = self._runs.get(id)
                if run is not None and stands_still(
                    pulse,
                    size=run.download.progress.total or run.taken,
                    stall_timeout=self._config.stall_timeout,
                    now=now,
                ):
                    await self._give_up(run, seconds=now - pulse.seen_at)

    async def _give_up(self, run: Run, *, seconds: float) -> None:
        error = StorageError(f"nothing has moved for {seconds:.0f} s: the storage does not answer")
        log.error("run_stands_still", state=run.download.state, detail=error.detail, **ids_of(run.download))
        row = lifecycle.failed(run.download, error, now=self._clock.wall())
        failed = await insist(partial(self._records.save, row), "outcome_not_recorded", **ids_of(row))
        given_up = self._given_up.get(row.id)
        if failed is not None and given_up is not None:
            given_up.set_result(failed)

    def _hold_back(self, row: Download, host_waits: HostWaits | None) -> None:
        """Before the place of a run is free: what must not start in it."""
        if host_waits is not None:
            self._dispatcher.block(host_waits.host, host_waits.until)
        is_lacking = row.result.error is ErrorCode.INSUFFICIENT_STORAGE or (
            row.result.error is ErrorCode.STORAGE_ERROR and row.state in WAITING
        )
        if is_lacking and not self._short_of_room.is_set():
            # Until it has been looked at what is the matter.
            self._dispatcher.lack_room(NO_ROOM)
            self._short_of_room.set()

    async def _wait_for_room(self) -> None:
        """Holds the queue back while the disk is full or gone, so that it is not spent on attempts which must fail.

        Now and then some go on all the same when it is full: what fills it may be the parts of those that wait, and it
        is free again only when these have used up their retries. A disk that is gone nobody but an administrator can
        bring back.
        """
        while True:
            await self._short_of_room.wait()
            until = self._clock.monotonic() + LONGEST_HOLD
            told: str | None = None
            while (lacking := await self._what_is_lacking()) is not None:
                is_gone = isinstance(lacking, StorageGoneError)
                if not is_gone and self._clock.monotonic() >= until:
                    break
                reason = lacking.detail if is_gone else NO_ROOM
                if reason != told:
                    (log.error if is_gone else log.warning)("queue_held", reason=reason)
                    told = reason
                self._dispatcher.lack_room(reason)
                await asyncio.sleep(ROOM_SECONDS)
            self._short_of_room.clear()
            self._dispatcher.lack_room(None)
            if told is not None:
                log.info("queue_released", reason=told)

    async def _what_is_lacking(self) -> InsufficientStorageError | StorageGoneError | None:
        try:
            await self._destination.require_free(LITTLE_ROOM)
        except (InsufficientStorageError, StorageGoneError) as error:
            return error
        except DownloadError:
            # What is wrong with the disk besides is for the attempts to tell.
            pass
        return None

    async def _settle(self, row: Download) -> None:
        if row.state in WAITING and row.control.desired is not Desired.RUN:
            # The user's wish and the end of the attempt crossed; the wish still holds.
            before, row = await insist(
                lambda: self._amend(row.id, partial(lifecycle.obey, now=self._clock.wall())), "wish_not_recorded"
            )
            if row.state is before.state:
                # Somebody else's wish came first, and was told by whoever granted it.
                self._tell_watchers(row)
                return
            if row.state in ENDED:
                with self._bus.telling_later():
                    await self._remove_part(before)
                    self._has_ended(row)
                return
        if row.state in ENDED:
            self._has_ended(row)
        elif row.state in WAITING:
            if row.result.error is not None:
                self._metrics.attempt_failed(row.result.error)
            self._waits(row)
        else:
            self._has_changed(row)
        self._tell_watchers(row)

    async def _remove_part(self, download: Download) -> None:
        """Removes what has come, if something has."""
        if download.progress.part_name is not None:
            await remove_leftover(
                self._destination,
                download_id=download.id,
                directory=download.request.directory,
                name=download.progress.part_name,
            )

    def _flush_interval(self) -> float:
        return max(SOONEST_FLUSH, len(self._runs) / WRITES_A_SECOND)

    # -- telling -------------------------------------------------------------------------------------------------------

    def _waits(self, row: Download) -> None:
        self._dispatcher.enqueue(
            [
                Waiting(
                    seq=row.seq,
                    host=row.progress.host,
                    priority=row.control.priority,
                    not_before=row.progress.not_before,
                )
            ]
        )
        self._has_changed(row)

    def _has_changed(self, row: Download) -> None:
        self._bus.publish(DownloadChanged(snapshot=self._snapshot(row)))

    def _run_changed(self, run: Run) -> None:
        self._bus.publish(DownloadChanged(snapshot=run.snapshot()))

    def _has_ended(self, row: Download) -> None:
        # The clock may have been set back since.
        seconds = max(0, (row.result.end_time or row.start_time) - row.start_time)
        self._metrics.ended(row.state, row.result.error, seconds)
        log.info(
            "download_ended",
            **ids_of(row),
            outcome=row.state,
            error=row.result.error,
            detail=row.result.detail,
            path=row.file_path,
            url=row.request.redacted_url,
            size=row.progress.total if row.state is State.COMPLETED else None,
            attempts=row.progress.attempt,
        )
        self._bus.publish(DownloadEnded(download=row))
        self._tell_watchers(row)

    async def _follow_progress(self) -> None:
        """Once a second, counts what has come in and tells those who watch which downloads have moved."""
        while True:
            await asyncio.sleep(1)
            for run in self._runs.values():
                received = run.take_count()
                self._metrics.received(received)
                if received and self._bus.watched:
                    self._run_changed(run)

    def _watch(self, id: str) -> asyncio.Future[Download]:
        moved: asyncio.Future[Download] = asyncio.get_running_loop().create_future()
        self._watchers.setdefault(id, []).append(moved)
        return moved

    def _unwatch(self, id: str, moved: asyncio.Future[Download]) -> None:
        watchers = self._watchers.get(id, [])
        if moved in watchers:
            watchers.remove(moved)
        if not watchers:
            self._watchers.pop(id, None)

    def _tell_watchers(self, row: Download) -> None:
        for moved in self._watchers.pop(row.id, ()):
            if not moved.done():
                moved.set_result(row)

    def _own(self, keep: set[asyncio.Task[None]], work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        keep.add(task)
        task.add_done_callback(keep.discard)
        task.add_done_callback(report_broken)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tuple(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _ended(performing: asyncio.Task[tuple[Download, HostWaits | None] | None]) -> None:
    await performing


def limits_of(config: DownloadsConfig) -> Limits:
    """The dispatcher's part of the configuration."""
    return Limits(max_concurrent=config.max_concurrent, max_per_host=config.max_per_host)
