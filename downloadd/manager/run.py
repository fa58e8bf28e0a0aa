"""One run of a download: from the claim until the row records the outcome.

A run makes one attempt. After a transient failure the row waits again, and a later run, under a higher epoch, tries
again; so a download that waits for a retry takes no slot, and survives a restart.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from random import random

import msgspec
import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig
from downloadd.download import Download, Snapshot, log_fields
from downloadd.errors import (
    ChecksumMismatchError,
    DownloadError,
    DownloadTimeoutError,
    InsufficientStorageError,
    InternalError,
    StorageError,
    UnexpectedContentError,
)
from downloadd.manager import lifecycle, retry
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.publication import Publication
from downloadd.manager.row_writer import FencedError, RowWriter
from downloadd.manager.run_timer import RunTimer
from downloadd.records.protocol import Records
from downloadd.states import State
from downloadd.storage.destination import Destination, Part
from downloadd.transfer.attempt import Attempt, FetchResult
from downloadd.transfer.receiver import RateLimiter
from downloadd.transfer.session import Session
from downloadd.transfer.source_requests import ConnectionSlots, NoSlotError
from downloadd.verify import (
    DEFAULT_ALGORITHM,
    check_digest,
    check_length,
    check_size_and_type,
    checksum_algorithm,
    format_checksum,
)

log = structlog.get_logger()


class StopReason(StrEnum):
    """Reason why a run is stopped."""

    PAUSE = "pause"
    CANCEL = "cancel"
    INTERRUPT = "interrupt"
    """The daemon stops; the download continues after the next start."""


class HostBackoff(msgspec.Struct, frozen=True, kw_only=True):
    """Pause that a host has asked for."""

    host: str
    until: float
    """Unix time."""


class Run:
    """One run of one claimed download."""

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
            config: the settings of downloads.
            keeps_parts: keep the part file of a failed download for a retry.
            on_change: called when the state has changed.
        """
        self._destination = destination
        self._clock = clock
        self._max_retries = config.max_retries
        self._keeps_parts = keeps_parts
        self._stop: StopReason | None = None
        self._transferring: asyncio.Task[FetchResult] | None = None
        self._timer = RunTimer(clock, timeout=download.request.timeout, spent_before=download.progress.time_spent)
        self._writer = RowWriter(records, self._timer)
        self._publication = Publication(destination, clock, save=self._writer.save)
        self._changed = partial(on_change, self)
        self._log = log.bind(**log_fields(download), attempt=download.progress.attempt)
        self._attempt = Attempt(
            download,
            session=session,
            destination=destination,
            clock=clock,
            save=self._writer.save,
            on_change=self._changed,
            limiter=limiter,
            flush_interval=flush_interval,
            max_size=config.max_size,
            # The manifest of an import lists the checksum of each file.
            record_checksum=config.record_checksum or download.request.operation is not None,
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

    async def perform(self) -> tuple[Download, HostBackoff | None] | None:
        """Make the attempt and record its outcome.

        Returns:
            The row, and the pause that a host has asked for; None when another run holds the download now.
        """
        self._log.info(
            "attempt_started", url=self.download.request.redacted_url, received=self.download.progress.received
        )
        self._transferring = asyncio.get_running_loop().create_task(self._transfer())
        if self._stop is not None:
            self._transferring.cancel()
        host_backoff: HostBackoff | None = None
        try:
            try:
                await asyncio.wait((self._transferring,))
                fetched = self._transferring.result()
                row = await self._finish(fetched)
            except asyncio.CancelledError:
                row = await self._handle_stop(self._stop or StopReason.INTERRUPT)
            except NoSlotError as error:
                row, host_backoff = await self._wait_for_source(error)
            except DownloadError as error:
                row, host_backoff = await self._handle_failure(error)
            except FencedError:
                raise
            except Exception:
                self._log.exception("run_crashed")
                row, host_backoff = await self._handle_failure(InternalError())
            saved = await self._write_outcome(row)
        except FencedError:
            self._log.warning("run_fenced", epoch=self.download.epoch)
            if self._attempt.part is not None:
                await self._attempt.part.close()
            return None
        return saved, host_backoff

    async def _transfer(self) -> FetchResult:
        try:
            async with self._timer.limited():
                fetched = await self._attempt.fetch()
                if fetched is FetchResult.COMPLETE:
                    await self._verify(self._part())
                return fetched
        except TimeoutError:
            raise DownloadTimeoutError(self.download.request.timeout) from None

    async def _verify(self, part: Part) -> None:
        check_length(part.size, self.download.progress.total)
        # The origin may not have sent a length before.
        try:
            check_size_and_type(
                size=part.size, content_type=None, expected_size=self.download.request.expected_size, expected_type=None
            )
        except UnexpectedContentError as error:
            error.invalidates_part = True
            raise
        self._attempt.download = lifecycle.mark_verifying(self.download, total=part.size, warning=self._attempt.warning)
        algorithms = self._attempt.algorithms
        if not algorithms:
            return
        self._changed()
        digests = {name: format_checksum(name, await part.digest(name)) for name in algorithms}
        wanted = self.download.request.requested_checksum
        if wanted is not None:
            check_digest(wanted, digests[checksum_algorithm(wanted)])
        for stated in self.download.progress.origin_digests:
            check_digest(stated.checksum, digests[checksum_algorithm(stated.checksum)], source=stated.source)
        kept = DEFAULT_ALGORITHM if wanted is None else checksum_algorithm(wanted)
        self._attempt.download = self.download.with_result(checksum=digests.get(DEFAULT_ALGORITHM) or digests.get(kept))

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

    async def _handle_failure(self, error: DownloadError) -> tuple[Download, HostBackoff | None]:
        """Return the row that follows an error, and the pause that a host has asked for."""
        if self._stop is StopReason.CANCEL:
            return await self._handle_stop(StopReason.CANCEL), None
        download, now = self.download, self._clock.wall()
        time_spent = self._timer.spent
        # After a failure of the storage, the kept bytes may be missing at the next attempt.
        progressed = self._attempt.has_progressed and not isinstance(error, StorageError)
        if (
            isinstance(error, ChecksumMismatchError)
            and download.request.mirrors
            and download.progress.failures <= len(download.request.mirrors)
        ):
            return await self._retry_sources_singly(error, time_spent=time_spent), None
        decision = retry.decide(
            error,
            failures=download.progress.failures,
            retries=self._max_retries,
            progressed=progressed,
            excused=self._writer.has_waited,
            time_left=self._timer.time_left,
            random=random(),  # noqa: S311 - jitter, not a secret
        )
        match decision:
            case retry.Retry():
                self._log.info(
                    "attempt_failed", error=error.code, detail=error.detail, retry_in=round(decision.delay, 3)
                )
                row = (await self._keep_part(error)).with_progress(time_spent=time_spent + decision.delay)
                not_before = now + decision.delay
                return (
                    lifecycle.mark_deferred(
                        row, error, not_before=not_before, failures=decision.failures, progressed=progressed
                    ),
                    _make_host_backoff(self._attempt.responding_host, decision.host_backoff, now),
                )
            case retry.Abort():
                self._log.info("attempt_failed", error=error.code, detail=error.detail)
                failed = lifecycle.mark_failed(await self._keep_failed_part(error), error, now=now)
                return failed, _make_host_backoff(self._attempt.responding_host, decision.host_backoff, now)

    async def _retry_sources_singly(self, error: ChecksumMismatchError, *, time_spent: float) -> Download:
        """Return the row for asking one source at a time: one of them, not known which, sends wrong bytes."""
        self._log.info("attempt_failed", error=error.code, detail=error.detail, retry_in=0)
        await self._remove_part()
        row = lifecycle.reset_part(self.download).with_progress(time_spent=time_spent)
        return lifecycle.mark_deferred(
            row, error, not_before=self._clock.wall(), failures=row.progress.failures + 1, progressed=False
        )

    async def _wait_for_source(self, error: NoSlotError) -> tuple[Download, HostBackoff | None]:
        """Wait for a source that has no free slot; fail after too many rounds in which the other sources failed."""
        download = self.download
        failures = 1 if self._attempt.has_progressed else download.progress.failures + (not self._writer.has_waited)
        if self._stop is StopReason.CANCEL or failures > self._max_retries + len(download.request.mirrors):
            return await self._handle_failure(error.failure)
        self._log.info("waiting_for_source", detail=str(error))
        row = (await self._attempt.close_part()).with_progress(time_spent=self._timer.spent)
        return lifecycle.wait_for_source(row, source=error.source, failures=failures), None

    async def _write_outcome(self, row: Download) -> Download:
        """Record the outcome of the attempt; try again until it succeeds."""
        if row.state in {State.RETRYING, State.FAILED} and row.progress.part_name is not None:
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
        if isinstance(error, InsufficientStorageError) and self.download.progress.validator is None:
            # The next attempt has to start over, and these bytes may be what fills the disk.
            await self._remove_part()
            return lifecycle.reset_part(self.download)
        return await self._attempt.close_part()

    async def _keep_failed_part(self, error: DownloadError) -> Download:
        """Return the row of a download that fails, with the bytes that a retry can continue from; remove others."""
        if self._keeps_parts and not error.invalidates_part:
            row = await self._attempt.close_part()
            if row.progress.received and await self._has_part(row, error):
                return row
        await self._remove_part()
        return lifecycle.reset_part(self.download)

    async def _has_part(self, row: Download, error: DownloadError) -> bool:
        """Return False if the part file was lost; only a failure of the storage loses it, during a publication."""
        if not isinstance(error, StorageError) or row.progress.part_name is None:
            return row.progress.part_name is not None
        try:
            return await self._destination.has_part(directory=row.request.directory, name=row.progress.part_name)
        except DownloadError:
            # Unknown. A retry without the file starts from the first byte.
            return True

    def _part(self) -> Part:
        part = self._attempt.part
        assert part is not None  # noqa: S101 - narrows the type; a complete download has a part
        return part

    async def _remove_part(self) -> None:
        part, download = self._attempt.part, self.download
        try:
            if part is not None:
                await part.remove()
            elif download.progress.part_name is not None:
                await self._destination.remove_part(
                    directory=download.request.directory, name=download.progress.part_name
                )
        except DownloadError as error:
            # The sweep after the next start tries again.
            self._log.warning("part_removal_failed", error=error.code, detail=error.detail)


def _make_host_backoff(host: str, seconds: float | None, now: float) -> HostBackoff | None:
    return None if seconds is None else HostBackoff(host=host, until=now + seconds)
