"""One run of a download: from the claim until the row records the outcome.

A run makes one attempt. After a transient failure the row waits again, and a later run, under a higher epoch, tries
again; so a download that waits for a retry takes no slot, and survives a restart.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from functools import partial

import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig
from downloadd.download import Download, Snapshot, log_fields
from downloadd.errors import (
    AlreadyThereError,
    DayQuotaPendingError,
    DownloadError,
    DownloadTimeoutError,
    InternalError,
    SpacePendingError,
    StorageError,
    UnchangedError,
)
from downloadd.manager import lifecycle
from downloadd.manager.amendment import RequestChangedError, adopt_request, use_requested_name
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.manager.outcomes import Outcomes
from downloadd.manager.publication import Publication
from downloadd.manager.rate_limit import UntimedLimiter
from downloadd.manager.recovery import discard_fenced_part
from downloadd.manager.row_writer import FencedError, RowWriter
from downloadd.manager.run_snapshot import current_speed, take_snapshot
from downloadd.manager.run_timer import RunTimer
from downloadd.manager.small_publications import SmallPublications
from downloadd.manager.verification import verify_digests, verify_size
from downloadd.origin.cookies import CookieJar
from downloadd.records.protocol import Records
from downloadd.states import State
from downloadd.storage.destination import Destination, Part, RemotePart
from downloadd.transfer.attempt import Attempt, FetchResult
from downloadd.transfer.connection_slots import ConnectionSlots
from downloadd.transfer.present_files import PresentFiles
from downloadd.transfer.quota import ReceiveQuota
from downloadd.transfer.receiver import RateLimiter
from downloadd.transfer.session import Session
from downloadd.transfer.source_requests import NoSlotError
from downloadd.transfer.speed_floor import SpeedPolicy

log = structlog.get_logger()


class StopReason(StrEnum):
    """Reason why a run is stopped."""

    PAUSE = "pause"
    CANCEL = "cancel"
    INTERRUPT = "interrupt"
    """The daemon stops, or the run is restarted; the download continues with the next run."""


class Run:
    """One run of one claimed download.

    Attributes:
        pending_space: the error of a run that has ended because the disk has no space for the download yet.
        has_stray_parts: True if part files are left that the recorded outcome does not name.
    """

    def __init__(
        self,
        download: Download,
        *,
        records: Records,
        session: Session,
        cookies: CookieJar,
        destination: Destination,
        clock: Clock,
        limiter: RateLimiter,
        set_speed_limit: Callable[[int], None],
        flush_interval: Callable[[], float],
        slots: ConnectionSlots,
        origins: OriginMonitor,
        config: DownloadsConfig,
        keeps_parts: bool,
        small_files: SmallPublications,
        present_files: PresentFiles,
        speed_policy: SpeedPolicy,
        quota: ReceiveQuota,
        on_change: Callable[["Run"], None],
        on_received: Callable[["Run"], None],
        is_takeover: bool = False,
    ) -> None:
        """Make a run that has not begun; see `Attempt` for the parts.

        Args:
            download: the row as `Records.claim` returned it.
            records: the store of the row.
            session: the client for origins.
            cookies: those that responses to earlier runs of the download have set; this run adds to them.
            destination: the storage of the file.
            clock: the clock.
            limiter: the speed limits.
            set_speed_limit: sets that of the download, in bytes a second; 0 for none.
            flush_interval: returns seconds after which received bytes are written even if they are few.
            slots: the slots for further connections.
            origins: the health of the origins, which learns of answers and failures.
            config: the settings of downloads.
            keeps_parts: keep the part file of a failed download for a retry.
            small_files: publishes small files together.
            present_files: compares files that are on the disk.
            speed_policy: times of the measurement of a least speed.
            quota: the quotas of the user.
            on_change: called when the state has changed.
            on_received: called when the run needs its origin no longer.
            is_takeover: another process has written the part file, and may still have it open.
        """
        self._clock = clock
        self._origins = origins
        self._quota = quota
        self._stop: StopReason | None = None
        self.pending_space: SpacePendingError | None = None
        self.has_stray_parts = False
        self._reported: set[str] = set()
        # The task of the run, while a stop cancels it.
        self._transferring: asyncio.Task[object] | None = None
        self._timer = RunTimer(clock, timeout=download.request.timeout, spent_before=download.progress.time_spent)
        self._writer = RowWriter(records, self._timer)
        self._set_speed_limit = set_speed_limit
        self._discard_fenced = partial(discard_fenced_part, records, destination)
        self._publication = Publication(
            destination, clock, save=self._writer.save, small_files=small_files, present_files=present_files
        )
        self._on_change = partial(on_change, self)
        self._on_received = partial(on_received, self)
        self._log_fields = {**log_fields(download), "attempt": download.progress.attempt}
        self._attempt = Attempt(
            use_requested_name(download),
            session=session,
            cookies=cookies,
            destination=destination,
            clock=clock,
            save=self._writer.save,
            change_row=self._change_row,
            on_change=self._on_attempt_change,
            limiter=UntimedLimiter(limiter, self._timer.paused) if download.request.timeout else limiter,
            flush_interval=flush_interval,
            max_size=config.max_size,
            # The manifest of an import lists the checksum of each file.
            record_checksum=config.record_checksum or download.request.operation is not None,
            allows_overlap=config.resume == "evidence",
            slots=slots,
            speed_policy=speed_policy,
            quota=quota,
            present_files=present_files,
            is_takeover=is_takeover,
        )
        self._outcomes = Outcomes(
            self._attempt,
            timer=self._timer,
            origins=origins,
            clock=clock,
            config=config,
            keeps_parts=keeps_parts,
            log_fields=self._log_fields,
        )

    @property
    def download(self) -> Download:
        """Return the row as this run knows it, finer than the recorded one."""
        return self._attempt.download

    @property
    def received_bytes(self) -> int:
        """Return the bytes that origins have sent to this run."""
        return self._attempt.received_bytes

    @property
    def uploaded_bytes(self) -> int | None:
        """Return the bytes that another machine has of the file; None while it is not sent to one."""
        return self._publication.uploaded

    @property
    def request_count(self) -> int:
        """Return the number of requests that this run has made, to all sources."""
        return self._attempt.request_count

    @property
    def is_waiting(self) -> bool:
        """Return True while this run waits for unavailable records, an upload or a file on the disk.

        These have time limits of their own.
        """
        return self._writer.is_waiting or self._publication.is_waiting or self._attempt.is_reading_disk

    def target_of(self, origin: str) -> str | None:
        """Return the origin that redirects of `origin` led this run to last; None if they did not."""
        return self._attempt.target_of(origin)

    def apply_amended(self, row: Download) -> None:
        """Apply what a user has changed in the row; the next write of the row would find it too."""
        self._attempt.download = adopt_request(replace(self._attempt.download, control=row.control), row.request)

    async def _change_row(self, change: Callable[[Download], Download]) -> None:
        self.apply_amended(await self._writer.change(self.download, change))
        self._set_speed_limit(self.download.control.speed_limit)

    @property
    def speed(self) -> float:
        """Return the bytes a second over the last seconds; 0 while nothing is transferred."""
        return current_speed(self._attempt, self._clock.monotonic())

    def snapshot(self) -> Snapshot:
        """Return the download as it is now."""
        return take_snapshot(self._attempt, self._clock.monotonic(), uploaded=self._publication.uploaded)

    def stop(self, reason: StopReason) -> None:
        """Stop the run, unless its file is being published already. A cancel is not replaced by another reason."""
        if self._stop is not StopReason.CANCEL:
            self._stop = reason
        transferring, self._transferring = self._transferring, None
        if transferring is not None:
            transferring.cancel()

    async def perform(self) -> Download | None:
        """Make the attempt and record its outcome; return the row, or None when another run holds the download now.

        Then call `remove_stray_parts`.
        """
        row: Download | None = None
        try:
            row = await self._perform()
        finally:
            self._quota.end(row)
        return row

    async def _perform(self) -> Download | None:
        log.info(
            "attempt_started",
            **self._log_fields,
            url=self.download.request.redacted_url,
            received=self.download.progress.received,
        )
        try:
            try:
                fetched = await self._transfer_until_stopped()
                row = await self._finish(fetched)
            except asyncio.CancelledError:
                if self._publication.is_interrupted:
                    raise
                row = await self._handle_stop(self._stop or StopReason.INTERRUPT)
            except (DownloadError, NoSlotError) as error:
                row = await self._handle_error(error)
            except FencedError:
                raise
            except Exception:
                log.exception("run_crashed", **self._log_fields)
                row = await self._handle_error(InternalError())
            return await self._write_outcome(row)
        except FencedError:
            log.warning("run_fenced", **self._log_fields, epoch=self.download.epoch)
            if self._stop is StopReason.CANCEL:
                # No run continues a cancelled download.
                await self._outcomes.remove_part()
            elif (part := self._attempt.part) is not None:
                await part.close()
                await self._discard_fenced(self.download, part.name)
            return None

    async def remove_stray_parts(self) -> None:
        """Remove the part files that the recorded outcome does not name.

        Not before it is recorded: another run may hold the download, and continue from them. Not before it is known to
        others either: a removal takes seconds for a large file, and has no end on a disk that does not answer.
        """
        if self.has_stray_parts:
            await self._outcomes.remove_part()
            self.has_stray_parts = False

    async def _transfer_until_stopped(self) -> FetchResult:
        """Transfer and verify the file. A stop cancels it; it does not cancel what the run does then."""
        if self._stop is not None:
            raise asyncio.CancelledError
        task = self._transferring = asyncio.current_task()
        try:
            return await self._transfer()
        finally:
            if self._transferring is None and task is not None:
                task.uncancel()
            self._transferring = None

    def report_answer(self) -> None:
        """Report the origins that have answered, each once, so that other downloads of them may start."""
        answered_by, redirected_by = self._attempt.answered_by, self._attempt.redirected_by
        for origin in (answered_by | redirected_by) - self._reported:
            self._reported.add(origin)
            is_redirect = origin not in answered_by
            self._origins.report_answer(origin, self.download.seq, is_redirect=is_redirect)

    def _on_attempt_change(self) -> None:
        self.report_answer()
        self._on_change()

    async def _transfer(self) -> FetchResult:
        self._outcomes.check_time_left()
        try:
            async with self._timer.limited():
                if self.download.progress.publishing:
                    self._attempt.download = await self._publication.claim(self.download)
                    if await self._publication.is_done(self.download):
                        return FetchResult.PUBLISHED
                    self._attempt.download = lifecycle.mark_unpublished(self.download)
                fetched = await self._attempt.fetch()
                self.report_answer()
                self._on_received()
                if fetched is FetchResult.COMPLETE:
                    await self._verify(self._part())
        except TimeoutError:
            raise DownloadTimeoutError(self.download.request.timeout) from None
        if fetched is FetchResult.COMPLETE:
            part = self._part()
            with self._timer.paused():
                if isinstance(part, RemotePart):
                    await self._attempt.record_complete()
                await self._publication.upload(part, self.download)
        return fetched

    async def _verify(self, part: Part) -> None:
        verify_size(part, self.download)
        self._attempt.download = lifecycle.mark_verifying(self.download, total=part.size, warning=self._attempt.warning)
        await self._verify_digests(part)
        await self._attempt.remove_superseded_part()

    async def _verify_digests(self, part: Part) -> None:
        """Verify the digests that are expected, also if a user changes them meanwhile."""
        algorithms = self._attempt.algorithms
        while algorithms:
            self._on_change()
            known = self.download
            verified = await verify_digests(part, known, algorithms)
            request = self.download.request
            self._attempt.download = adopt_request(verified, request)
            if request.requested_checksum == known.request.requested_checksum:
                return
            algorithms = self._attempt.algorithms

    async def _finish(self, fetched: FetchResult) -> Download:
        """Publish the file, or remove the part file if the name is taken and is to be kept."""
        match fetched:
            case FetchResult.PUBLISHED:
                await self._attempt.remove_superseded_part()
                return lifecycle.mark_published(self.download, now=self._clock.wall())
            case FetchResult.COMPLETE:
                try:
                    row = await self._publish()
                except AlreadyThereError as error:
                    return self._outcomes.skip(error)
                if row is not None:
                    return row
            case FetchResult.UNCHANGED:
                return self._outcomes.skip(UnchangedError())
            case FetchResult.ALREADY_THERE:
                return self._outcomes.skip(AlreadyThereError(self.download.file_path))
            case FetchResult.SKIPPED:
                pass
        return self._outcomes.skip()

    async def _publish(self) -> Download | None:
        while True:
            known = self.download
            try:
                return await self._publication.publish(self._part(), known)
            except RequestChangedError as changed:
                self._attempt.download = adopt_request(known, changed.request)
                if changed.request.requested_checksum != known.request.requested_checksum:
                    await self._verify_digests(self._part())
            except StorageError as error:
                if error.transient and self._publication.attempted is not None:
                    # The file may have its final name: the next run finds out.
                    self._attempt.download = self._publication.attempted
                raise

    async def _handle_stop(self, reason: StopReason) -> Download:
        match reason:
            case StopReason.CANCEL:
                return self._outcomes.cancel()
            case StopReason.PAUSE:
                return await self._outcomes.pause()
            case StopReason.INTERRUPT:
                return await self._outcomes.interrupt()

    async def _handle_error(self, error: DownloadError | NoSlotError) -> Download:
        """Return the row that follows an error."""
        self.report_answer()
        # After a failure, the runner applies a pause to the row that follows.
        is_pending = isinstance(error, SpacePendingError | DayQuotaPendingError)
        if self._stop is StopReason.CANCEL or (self._stop is not None and is_pending):
            return await self._handle_stop(self._stop)
        match error:
            case NoSlotError():
                return await self._outcomes.wait_for_source(error, has_waited=self._writer.has_waited)
            case SpacePendingError():
                self.pending_space = error
                return await self._outcomes.wait_for_space(error)
            case DayQuotaPendingError():
                return await self._outcomes.wait_for_day(error)
            case _:
                return await self._outcomes.fail(error, has_waited=self._writer.has_waited)

    async def _write_outcome(self, row: Download) -> Download:
        """Record the outcome of the attempt, if it is not recorded yet."""
        if row.result.ended_seq is not None:
            return row
        row = await self._outcomes.save(row, self._writer, has_pending_space=self.pending_space is not None)
        is_unnamed = row.progress.part_name is None and row.state is not State.COMPLETED
        self.has_stray_parts = is_unnamed and self._attempt.may_have_parts
        return row

    def _part(self) -> Part:
        part = self._attempt.part
        assert part is not None  # noqa: S101 - narrows the type; a complete download has a part
        return part
