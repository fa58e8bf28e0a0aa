"""The row that follows each outcome of an attempt, with what becomes of its part file."""

from collections.abc import Mapping
from random import random
from typing import Final

import structlog

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig
from downloadd.download import Download, ResumedBy, log_fields
from downloadd.errors import (
    AlreadyThereError,
    ChecksumMismatchError,
    DayQuotaPendingError,
    DownloadError,
    DownloadTimeoutError,
    InsufficientStorageError,
    NetworkError,
    NetworkErrorKind,
    SpacePendingError,
    StorageAwayError,
    StorageError,
    UnchangedError,
    UserQuotaError,
)
from downloadd.manager import lifecycle, retry
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.origin_health import Verdict
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.manager.row_writer import RowWriter
from downloadd.manager.run_timer import RunTimer
from downloadd.states import State
from downloadd.transfer.attempt import Attempt
from downloadd.transfer.source_requests import NoSlotError

log = structlog.get_logger()

_UNCERTAIN: Final = frozenset({ResumedBy.DIGEST, ResumedBy.OVERLAP, ResumedBy.REUSE})
"""Evidence after which a checksum mismatch may be due to bytes that the origin has not sent for this download."""


class Outcomes:
    """Outcomes of one attempt: each method returns the row, which its caller records."""

    def __init__(
        self,
        attempt: Attempt,
        *,
        timer: RunTimer,
        origins: OriginMonitor,
        clock: Clock,
        config: DownloadsConfig,
        keeps_parts: bool,
        log_fields: Mapping[str, object],
    ) -> None:
        """Make the outcomes of an attempt.

        Args:
            attempt: the attempt.
            timer: the time of the run.
            origins: the health of the origins, which learns of failures.
            clock: the clock.
            config: the settings of downloads.
            keeps_parts: keep the part file of a failed download for a retry.
            log_fields: fields of each log line.
        """
        self._attempt = attempt
        self._timer = timer
        self._origins = origins
        self._clock = clock
        self._config = config
        self._keeps_parts = keeps_parts
        self._log_fields = log_fields

    @property
    def _download(self) -> Download:
        return self._attempt.download

    async def save(self, row: Download, writer: RowWriter, *, has_pending_space: bool) -> Download:
        """Save the row of an outcome; try again until it succeeds."""
        has_part = row.progress.part_name is not None
        if not has_part or row.state in {State.RETRYING, State.FAILED} or has_pending_space:
            try:
                return await writer.save(row)
            except InsufficientStorageError:
                # The records may be on the same disk, filled by this part.
                await self.remove_part()
                row = lifecycle.reset_part(row) if has_part else row
            except DownloadError:
                pass
        return await retry_forever(lambda: writer.save(row), "outcome_write_failed", **log_fields(row))

    def check_time_left(self) -> None:
        """Check that the download has not waited too long for its host, or for the target of its redirects, already.

        Otherwise the downloads of a host that never answers would end one after the other, each after an attempt.

        Raises:
            NetworkError: it has; no request is made.
        """
        known = self._origins.known_failure(self._download.progress.origin, self._download.seq)
        if known is not None:
            left = self._time_left(known.verdict, self._download.progress.time_spent, self._clock.wall())
            if left is not None and left <= 0:
                error = NetworkError(known.detail, kind=known.cause)
                error.origin = known.origin
                raise error

    def skip(self, error: UnchangedError | AlreadyThereError | None = None) -> Download:
        """Return the row of a download whose name is taken and whose request says to keep the existing file.

        `error` says that nothing else than what there is would be saved.
        """
        return lifecycle.mark_skipped(self._download, error, now=self._clock.wall())

    def cancel(self) -> Download:
        """Return the row of a download that a user has cancelled."""
        return lifecycle.mark_cancelled(self._download, now=self._clock.wall())

    async def pause(self) -> Download:
        """Return the row of a download that a user has paused."""
        return lifecycle.mark_paused((await self._attempt.close_part()).with_progress(time_spent=self._timer.spent))

    async def interrupt(self) -> Download:
        """Return the row of a download that waits again, because the daemon stops; the attempt is not counted."""
        row = await self._attempt.close_part()
        row = row.with_progress(time_spent=self._timer.spent, attempt=row.progress.attempt - 1)
        return lifecycle.mark_interrupted(row, now=self._clock.wall())

    async def fail(self, error: DownloadError, *, has_waited: bool) -> Download:
        """Return the row that follows an error: of another attempt, or of the end.

        `has_waited` is True if the attempt had to wait for the records; its failure does not count.
        """
        error = self._attribute_timeout(error)
        verdict = await self._origins.report_failure(self._origin_of(error), self._download.seq, error)
        return await self._retry_or_fail(error, verdict, has_waited=has_waited)

    async def _retry_or_fail(self, error: DownloadError, verdict: Verdict, *, has_waited: bool) -> Download:
        download, now, time_spent = self._download, self._clock.wall(), self._timer.spent
        # After a failure of the storage, the kept bytes may be missing at the next attempt.
        progressed = self._attempt.has_progressed and not isinstance(error, StorageError)
        if isinstance(error, ChecksumMismatchError):
            if must_start_over(download):
                return self._start_over(error)
            if download.request.mirrors and download.progress.failures <= len(download.request.mirrors):
                return self._retry_sources_singly(error)
        decision = retry.decide(
            error,
            failures=download.progress.failures,
            retries=max_retries_of(download, self._config),
            wait=download.request.limits.retry_wait or 0.0,
            progressed=progressed,
            is_counted=is_counted(download, verdict) and not has_waited,
            pause=verdict.pause,
            time_left=self._time_left(verdict, time_spent, now),
            random=random(),  # noqa: S311 - jitter, not a secret
        )
        match decision:
            case retry.Retry():
                log.info(
                    "attempt_failed",
                    **self._log_fields,
                    error=error.code,
                    detail=error.detail,
                    retry_in=round(decision.delay, 3),
                )
                is_timed = verdict.is_timed and not isinstance(error, StorageAwayError)
                spent = time_spent + decision.delay if is_timed else download.progress.time_spent
                row = (await self._keep_part(error)).with_progress(time_spent=spent)
                return lifecycle.mark_deferred(
                    row, error, now=now, delay=decision.delay, failures=decision.failures, progressed=progressed
                )
            case retry.Abort():
                log.info("attempt_failed", **self._log_fields, error=error.code, detail=error.detail)
                if error.transient and verdict.failing_seconds is not None:
                    self._origins.hasten_probe(self._origin_of(error))
                return lifecycle.mark_failed(await self._keep_failed_part(error), error, now=now)

    async def wait_for_source(self, error: NoSlotError, *, has_waited: bool) -> Download:
        """Return the row of a download that waits for a source that has no free slot.

        It fails after too many rounds in which the other sources failed. If there are none, or the source redirects to
        an origin without a free slot, nothing is counted. `has_waited` as for `fail`.
        """
        download = self._download
        log.info("waiting_for_source", **self._log_fields, detail=str(error), target=error.target)
        if error.failure is None:
            row = await self._attempt.close_part()
            row = row.with_progress(attempt=row.progress.attempt - 1)
            return lifecycle.wait_for_source(row, source=error.source, failures=download.progress.failures)
        verdict = await self._origins.report_failure(self._attempt.responding_origin, download.seq, error.failure)
        counted = is_counted(download, verdict) and not has_waited and error.target is None
        failures = 1 if self._attempt.has_progressed else download.progress.failures + counted
        if failures > max_retries_of(download, self._config) + len(download.request.mirrors):
            return await self._retry_or_fail(error.failure, verdict, has_waited=has_waited)
        row = (await self._attempt.close_part()).with_progress(time_spent=self._timer.spent)
        return lifecycle.wait_for_source(row, source=error.source, failures=failures)

    async def wait_for_space(self, error: SpacePendingError) -> Download:
        """Return the row of a download that waits until the disk has space; the attempt is not counted."""
        log.info("waiting_for_space", **self._log_fields, needed=error.needed, detail=error.detail)
        return lifecycle.mark_interrupted(await self._put_off(), now=self._clock.wall())

    async def wait_for_day(self, error: DayQuotaPendingError) -> Download:
        """Return the row of a download whose user may receive nothing more today; the attempt is not counted.

        It fails if it has used up the whole day and cannot be continued: the next day would end in the same way.
        """
        if self._attempt.received_bytes >= error.limit and not self._attempt.is_resumable:
            failure = UserQuotaError(f"{error.detail}; the origin cannot continue the download on another day")
            return await self.fail(failure, has_waited=False)
        log.info("waiting_for_day", **self._log_fields, detail=error.detail)
        row, now = await self._put_off(), self._clock.wall()
        if error.until is None:
            return lifecycle.mark_interrupted(row, now=now)
        failures, delay = row.progress.failures, max(0.0, error.until - now)
        return lifecycle.mark_deferred(row, error, now=now, delay=delay, failures=failures, progressed=True)

    async def _put_off(self) -> Download:
        """Return the row as it is before the attempt, with what it has received."""
        if self._download.progress.part_name is None:
            # It has no bytes.
            row = self._download
        else:
            row = await self._attempt.close_part()
        row = row.with_progress(time_spent=self._timer.spent, attempt=row.progress.attempt - 1)
        return row.with_error(None)

    async def remove_part(self) -> None:
        """Remove the part files of the attempt; log a failure, after which the sweep of the next start tries again."""
        try:
            await self._attempt.remove_parts()
        except DownloadError as error:
            log.warning("part_removal_failed", **self._log_fields, error=error.code, detail=error.detail)

    def _origin_of(self, error: DownloadError) -> str:
        """Return the origin that an error is attributed to."""
        known = error.origin if isinstance(error, NetworkError) else None
        return known or self._attempt.responding_origin

    def _time_left(self, verdict: Verdict, time_spent: float, now: float) -> float | None:
        """Return the seconds until the download ends by time, after a failure with this verdict."""
        progress, failing = self._download.progress, verdict.failing_seconds
        since = progress.retrying_since
        waiting = now - (self._download.start_time if since is None else since)
        spent = retry.TimeSpent(
            timed=time_spent if verdict.is_timed else None,
            retrying=0.0 if since is None or progress.attempt <= 1 else now - since,
            host_failing=None if failing is None else max(0.0, min(failing, waiting)),
        )
        return retry.time_left(spent, timeout=self._download.request.timeout, retry_for=self._config.retry_for)

    def _attribute_timeout(self, error: DownloadError) -> DownloadError:
        """Return the error for a timeout; that of a probe without a response is a failure of the host."""
        origin = self._attempt.responding_origin
        if (
            isinstance(error, DownloadTimeoutError)
            and not self._attempt.has_response
            and self._origins.is_awaited(origin)
        ):
            return NetworkError("no response within the timeout", kind=NetworkErrorKind.TIMEOUT)
        return error

    def _retry_sources_singly(self, error: ChecksumMismatchError) -> Download:
        """Return the row for asking one source at a time: one of them, not known which, sends wrong bytes."""
        row = self._reset(error)
        return lifecycle.mark_deferred(
            row, error, now=self._clock.wall(), delay=0.0, failures=row.progress.failures + 1, progressed=False
        )

    def _start_over(self, error: ChecksumMismatchError) -> Download:
        """Return the row for another attempt from the first byte: the bytes were resumed on weak evidence."""
        row = self._reset(error).with_progress(strict_resume=True)
        return lifecycle.mark_deferred(
            row, error, now=self._clock.wall(), delay=0.0, failures=row.progress.failures, progressed=True
        )

    def _reset(self, error: ChecksumMismatchError) -> Download:
        log.info("attempt_failed", **self._log_fields, error=error.code, detail=error.detail, retry_in=0)
        return lifecycle.reset_part(self._download).with_progress(time_spent=self._timer.spent)

    async def _keep_part(self, error: DownloadError) -> Download:
        """Return the row with the bytes that the next attempt can continue from."""
        if isinstance(error, InsufficientStorageError):
            await self._attempt.remove_superseded_part()
            if not self._attempt.is_resumable:
                # The next attempt has to start over, and these bytes may be what fills the disk.
                await self.remove_part()
                return lifecycle.reset_part(self._download)
        return await self._attempt.close_part()

    async def _keep_failed_part(self, error: DownloadError) -> Download:
        """Return the row of a download that fails, with the bytes that a retry can continue from."""
        # Without an open part file, nothing was learned about it.
        is_useful = self._attempt.part is None or self._attempt.is_resumable
        if self._keeps_parts and is_useful and not error.invalidates_part:
            row = await self._attempt.close_part()
            # Only a failure of the storage loses the file, during a publication.
            if row.progress.received and (not isinstance(error, StorageError) or await self._attempt.has_part()):
                return row
        return lifecycle.reset_part(self._download)


def max_retries_of(download: Download, config: DownloadsConfig) -> int:
    """Return the failed attempts in a row that are followed by another one."""
    own = download.request.limits.max_retries
    return config.max_retries if own is None else own


def is_counted(download: Download, verdict: Verdict) -> bool:
    """Return True if a failure counts for `max_retries`; if the request states the number, each one does."""
    return verdict.is_counted or download.request.limits.max_retries is not None


def must_start_over(download: Download) -> bool:
    """Return True if a checksum mismatch may be due to a resume without a strong validator or a copied file.

    That is not repeated.
    """
    return download.progress.resumed_by in _UNCERTAIN and not download.progress.strict_resume
