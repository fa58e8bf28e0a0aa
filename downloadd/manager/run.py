"""One run of a download: from the claim until the row records the outcome.

A run makes one attempt. After a transient failure the row waits again, and a later run, under a higher epoch, tries
again; so a download that waits for a retry takes no slot, and survives a restart.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from random import random

import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig
from downloadd.download import Download, ResumedBy, Snapshot, log_fields
from downloadd.errors import (
    ChecksumMismatchError,
    DownloadError,
    DownloadTimeoutError,
    InsufficientStorageError,
    InternalError,
    NetworkError,
    NetworkErrorKind,
    SpacePendingError,
    StorageError,
)
from downloadd.manager import lifecycle, retry
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.origin_health import Verdict
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.manager.publication import Publication
from downloadd.manager.row_writer import FencedError, RowWriter
from downloadd.manager.run_timer import RunTimer
from downloadd.manager.verification import verify_digests, verify_size
from downloadd.records.protocol import Records
from downloadd.states import State
from downloadd.storage.destination import Destination, Part
from downloadd.transfer.attempt import Attempt, FetchResult
from downloadd.transfer.receiver import RateLimiter
from downloadd.transfer.session import Session
from downloadd.transfer.source_requests import ConnectionSlots, NoSlotError

log = structlog.get_logger()


class StopReason(StrEnum):
    """Reason why a run is stopped."""

    PAUSE = "pause"
    CANCEL = "cancel"
    INTERRUPT = "interrupt"
    """The daemon stops; the download continues after the next start."""


class Run:
    """One run of one claimed download.

    Attributes:
        pending_space: the error of a run that has ended because the disk has no space for the download yet.
    """

    def __init__(
        self,
        download: Download,
        *,
        records: Records,
        session: Session,
        destination: Destination,
        clock: Clock,
        limiter: RateLimiter,
        flush_interval: Callable[[], float],
        slots: ConnectionSlots,
        origins: OriginMonitor,
        config: DownloadsConfig,
        keeps_parts: bool,
        on_change: Callable[["Run"], None],
    ) -> None:
        """Make a run that has not begun; see `Attempt` for the parts.

        Args:
            download: the row as `Records.claim` returned it.
            records: the store of the row.
            session: the client for origins.
            destination: the storage of the file.
            clock: the clock.
            limiter: the speed limits.
            flush_interval: returns seconds after which received bytes are written even if they are few.
            slots: the slots for further connections.
            origins: the health of the origins, which learns of answers and failures.
            config: the settings of downloads.
            keeps_parts: keep the part file of a failed download for a retry.
            on_change: called when the state has changed.
        """
        self._clock = clock
        self._origins = origins
        self._max_retries = config.max_retries
        self._retry_for = config.retry_for
        self._keeps_parts = keeps_parts
        self._stop: StopReason | None = None
        self.pending_space: SpacePendingError | None = None
        self._has_reported_answer = False
        self._transferring: asyncio.Task[FetchResult] | None = None
        self._timer = RunTimer(clock, timeout=download.request.timeout, spent_before=download.progress.time_spent)
        self._writer = RowWriter(records, self._timer)
        self._publication = Publication(destination, clock, save=self._writer.save)
        self._on_change = partial(on_change, self)
        self._log = log.bind(**log_fields(download), attempt=download.progress.attempt)
        self._attempt = Attempt(
            download,
            session=session,
            destination=destination,
            clock=clock,
            save=self._writer.save,
            on_change=self._on_attempt_change,
            limiter=limiter,
            flush_interval=flush_interval,
            max_size=config.max_size,
            # The manifest of an import lists the checksum of each file.
            record_checksum=config.record_checksum or download.request.operation is not None,
            allows_overlap=config.resume == "evidence",
            slots=slots,
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
    def request_count(self) -> int:
        """Return the number of requests that this run has made, to all sources."""
        return self._attempt.request_count

    @property
    def waits_for_records(self) -> bool:
        """Return True while a write of this run waits for records that were unavailable."""
        return self._writer.is_waiting

    def apply_amended(self, row: Download) -> None:
        """Apply the control fields of a row that a user has changed."""
        self._attempt.download = replace(self._attempt.download, control=row.control)

    def snapshot(self) -> Snapshot:
        """Return the download as it is now."""
        known, meter, now = self._attempt.download, self._attempt.meter, self._clock.monotonic()
        if known.progress.received != meter.received:
            known = known.with_progress(received=meter.received)
        if known.state is not State.DOWNLOADING:
            return Snapshot(download=known)
        speed = meter.speed(now)
        return Snapshot(download=known, speed=speed, eta=meter.eta(speed))

    def stop(self, reason: StopReason) -> None:
        """Stop the run, unless its file is being published already. A cancel is not replaced by another reason."""
        if self._stop is not StopReason.CANCEL:
            self._stop = reason
        if self._transferring is not None:
            self._transferring.cancel()

    async def perform(self) -> Download | None:
        """Make the attempt and record its outcome; return the row, or None when another run holds the download now."""
        self._log.info(
            "attempt_started", url=self.download.request.redacted_url, received=self.download.progress.received
        )
        self._transferring = asyncio.get_running_loop().create_task(self._transfer())
        if self._stop is not None:
            self._transferring.cancel()
        try:
            try:
                await asyncio.wait((self._transferring,))
                fetched = self._transferring.result()
                self.report_answer()
                row = await self._finish(fetched)
            except asyncio.CancelledError:
                row = await self._handle_stop(self._stop or StopReason.INTERRUPT)
            except NoSlotError as error:
                row = await self._wait_for_source(error)
            except SpacePendingError as error:
                row = await self._wait_for_space(error)
            except DownloadError as error:
                row = await self._handle_failure(error)
            except FencedError:
                raise
            except Exception:
                self._log.exception("run_crashed")
                row = await self._handle_failure(InternalError())
            return await self._write_outcome(row)
        except FencedError:
            self._log.warning("run_fenced", epoch=self.download.epoch)
            if self._attempt.part is not None:
                await self._attempt.part.close()
            return None

    def report_answer(self) -> None:
        """Report that the origin has answered, if it has, so that the other downloads of the origin may start."""
        if self._attempt.has_response and not self._has_reported_answer:
            self._has_reported_answer = True
            for origin in {self.download.progress.origin, self._attempt.responding_origin}:
                self._origins.report_answer(origin, self.download.seq)

    def _on_attempt_change(self) -> None:
        self.report_answer()
        self._on_change()

    async def _transfer(self) -> FetchResult:
        self._check_time_left()
        try:
            async with self._timer.limited():
                fetched = await self._attempt.fetch()
                if fetched is FetchResult.COMPLETE:
                    await self._verify(self._part())
                return fetched
        except TimeoutError:
            raise DownloadTimeoutError(self.download.request.timeout) from None

    def _check_time_left(self) -> None:
        """Check that the download has not waited too long for its host already.

        Otherwise the downloads of a host that never answers would end one after the other, each after an attempt.

        Raises:
            NetworkError: it has; no request is made.
        """
        known = self._origins.known_failure(self.download.progress.origin)
        if known is not None:
            left = self._time_left(known[0], self.download.progress.time_spent, self._clock.wall())
            if left is not None and left <= 0:
                raise NetworkError(known[1], kind=NetworkErrorKind.CONNECT)

    async def _verify(self, part: Part) -> None:
        verify_size(part, self.download)
        self._attempt.download = lifecycle.mark_verifying(self.download, total=part.size, warning=self._attempt.warning)
        algorithms = self._attempt.algorithms
        if algorithms:
            self._on_change()
            self._attempt.download = await verify_digests(part, self.download, algorithms)
        await self._attempt.remove_superseded_part()

    async def _finish(self, fetched: FetchResult) -> Download:
        """Publish the file, or remove the part file if the name is taken and is to be kept."""
        if fetched is FetchResult.COMPLETE:
            row = await self._publication.publish(self._part(), self.download)
            if row is not None:
                return row
        await self._remove_part()
        return lifecycle.mark_skipped(self.download, now=self._clock.wall())

    async def _handle_stop(self, reason: StopReason) -> Download:
        if reason is StopReason.CANCEL:
            await self._remove_part()
            return lifecycle.mark_cancelled(self.download, now=self._clock.wall())
        row = (await self._attempt.close_part()).with_progress(time_spent=self._timer.spent)
        if reason is StopReason.PAUSE:
            return lifecycle.mark_paused(row)
        # An interrupted attempt is not counted.
        return lifecycle.mark_interrupted(row.with_progress(attempt=row.progress.attempt - 1), now=self._clock.wall())

    async def _handle_failure(self, error: DownloadError) -> Download:
        """Return the row that follows an error."""
        if self._stop is StopReason.CANCEL:
            return await self._handle_stop(StopReason.CANCEL)
        error = self._attribute_timeout(error)
        download, now = self.download, self._clock.wall()
        time_spent = self._timer.spent
        # After a failure of the storage, the kept bytes may be missing at the next attempt.
        progressed = self._attempt.has_progressed and not isinstance(error, StorageError)
        origin = self._attempt.responding_origin
        verdict = await self._origins.report_failure(origin, download.seq, error)
        if isinstance(error, ChecksumMismatchError):
            if must_start_over(download):
                return await self._start_over(error, time_spent=time_spent)
            if download.request.mirrors and download.progress.failures <= len(download.request.mirrors):
                return await self._retry_sources_singly(error, time_spent=time_spent)
        decision = retry.decide(
            error,
            failures=download.progress.failures,
            retries=self._max_retries,
            progressed=progressed,
            is_counted=verdict.is_counted and not self._writer.has_waited,
            pause=verdict.pause,
            time_left=self._time_left(verdict, time_spent, now),
            random=random(),  # noqa: S311 - jitter, not a secret
        )
        match decision:
            case retry.Retry():
                self._log.info(
                    "attempt_failed", error=error.code, detail=error.detail, retry_in=round(decision.delay, 3)
                )
                spent = time_spent + decision.delay if verdict.is_timed else download.progress.time_spent
                row = (await self._keep_part(error)).with_progress(time_spent=spent)
                return lifecycle.mark_deferred(
                    row, error, now=now, delay=decision.delay, failures=decision.failures, progressed=progressed
                )
            case retry.Abort():
                self._log.info("attempt_failed", error=error.code, detail=error.detail)
                if error.transient and verdict.failing_seconds is not None:
                    self._origins.hasten_probe(origin)
                return lifecycle.mark_failed(await self._keep_failed_part(error), error, now=now)

    def _time_left(self, verdict: Verdict, time_spent: float, now: float) -> float | None:
        """Return the seconds until the download ends by time, after a failure with this verdict."""
        progress, failing = self.download.progress, verdict.failing_seconds
        since = progress.retrying_since
        waiting = now - (self.download.start_time if since is None else since)
        spent = retry.TimeSpent(
            timed=time_spent if verdict.is_timed else None,
            retrying=0.0 if since is None or progress.attempt <= 1 else now - since,
            host_failing=None if failing is None else max(0.0, min(failing, waiting)),
        )
        return retry.time_left(spent, timeout=self.download.request.timeout, retry_for=self._retry_for)

    def _attribute_timeout(self, error: DownloadError) -> DownloadError:
        """Return the error for a timeout; that of a probe without a response is a failure of the host."""
        origin = self._attempt.responding_origin
        if (
            isinstance(error, DownloadTimeoutError)
            and not self._attempt.has_response
            and self._origins.is_awaited(origin)
        ):
            return NetworkError("no response within the timeout", kind=NetworkErrorKind.CONNECT)
        return error

    async def _retry_sources_singly(self, error: ChecksumMismatchError, *, time_spent: float) -> Download:
        """Return the row for asking one source at a time: one of them, not known which, sends wrong bytes."""
        self._log.info("attempt_failed", error=error.code, detail=error.detail, retry_in=0)
        await self._remove_part()
        row = lifecycle.reset_part(self.download).with_progress(time_spent=time_spent)
        return lifecycle.mark_deferred(
            row, error, now=self._clock.wall(), delay=0.0, failures=row.progress.failures + 1, progressed=False
        )

    async def _start_over(self, error: ChecksumMismatchError, *, time_spent: float) -> Download:
        """Return the row for another attempt from the first byte: the bytes were resumed on weak evidence."""
        self._log.info("attempt_failed", error=error.code, detail=error.detail, retry_in=0)
        await self._remove_part()
        row = lifecycle.reset_part(self.download).with_progress(time_spent=time_spent, strict_resume=True)
        return lifecycle.mark_deferred(
            row, error, now=self._clock.wall(), delay=0.0, failures=row.progress.failures, progressed=True
        )

    async def _wait_for_source(self, error: NoSlotError) -> Download:
        """Wait for a source that has no free slot; fail after too many rounds in which the other sources failed."""
        download = self.download
        verdict = await self._origins.report_failure(self._attempt.responding_origin, download.seq, error.failure)
        is_counted = verdict.is_counted and not self._writer.has_waited
        failures = 1 if self._attempt.has_progressed else download.progress.failures + is_counted
        if self._stop is StopReason.CANCEL or failures > self._max_retries + len(download.request.mirrors):
            return await self._handle_failure(error.failure)
        self._log.info("waiting_for_source", detail=str(error))
        row = (await self._attempt.close_part()).with_progress(time_spent=self._timer.spent)
        return lifecycle.wait_for_source(row, source=error.source, failures=failures)

    async def _wait_for_space(self, error: SpacePendingError) -> Download:
        """Return the row of a download that waits until the disk has space; the attempt is not counted."""
        if self._stop is not None:
            return await self._handle_stop(self._stop)
        self._log.info("waiting_for_space", needed=error.needed, detail=error.detail)
        self.pending_space = error
        if self.download.progress.part_name is None:
            # It has no bytes.
            await self._remove_part()
            row = self.download
        else:
            row = await self._attempt.close_part()
        row = row.with_progress(time_spent=self._timer.spent, attempt=row.progress.attempt - 1)
        return lifecycle.mark_interrupted(row.with_result(error=None, detail=None), now=self._clock.wall())

    async def _write_outcome(self, row: Download) -> Download:
        """Record the outcome of the attempt; try again until it succeeds."""
        has_kept_part = row.state in {State.RETRYING, State.FAILED} and row.progress.part_name is not None
        if has_kept_part or self.pending_space is not None:
            try:
                return await self._writer.save(row)
            except InsufficientStorageError:
                # The records may be on the same disk, filled by this part.
                await self._remove_part()
                row = lifecycle.reset_part(row)
            except DownloadError:
                pass
        return await retry_forever(lambda: self._writer.save(row), "outcome_write_failed", **log_fields(row))

    async def _keep_part(self, error: DownloadError) -> Download:
        """Return the row with the bytes that the next attempt can continue from."""
        if isinstance(error, InsufficientStorageError):
            await self._attempt.remove_superseded_part()
            if not self._attempt.is_resumable:
                # The next attempt has to start over, and these bytes may be what fills the disk.
                await self._remove_part()
                return lifecycle.reset_part(self.download)
        return await self._attempt.close_part()

    async def _keep_failed_part(self, error: DownloadError) -> Download:
        """Return the row of a download that fails, with the bytes that a retry can continue from; remove others."""
        if self._keeps_parts and not error.invalidates_part:
            row = await self._attempt.close_part()
            # Only a failure of the storage loses the file, during a publication.
            if row.progress.received and (not isinstance(error, StorageError) or await self._attempt.has_part()):
                return row
        await self._remove_part()
        return lifecycle.reset_part(self.download)

    def _part(self) -> Part:
        part = self._attempt.part
        assert part is not None  # noqa: S101 - narrows the type; a complete download has a part
        return part

    async def _remove_part(self) -> None:
        try:
            await self._attempt.remove_parts()
        except DownloadError as error:
            # The sweep after the next start tries again.
            self._log.warning("part_removal_failed", error=error.code, detail=error.detail)


def must_start_over(download: Download) -> bool:
    """Return True if a checksum mismatch may be due to a resume without a strong validator, which is not repeated."""
    return download.progress.resumed_by in {ResumedBy.DIGEST, ResumedBy.OVERLAP} and not download.progress.strict_resume
