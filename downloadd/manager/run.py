"""One run of a download: from the claim to the row that says what became of it.

A run makes one attempt. When the attempt fails in a way that may pass, the row goes back to waiting and a later run,
under a higher epoch, tries again; so a retry that waits holds no place, and survives a restart.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from random import random
from typing import Final, TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Conflict, Download, Snapshot, log_fields
from downloadd.errors import (
    ChecksumMismatchError,
    DownloadError,
    DownloadTimeoutError,
    InsufficientStorageError,
    InternalError,
    StorageError,
)
from downloadd.manager import lifecycle, retry
from downloadd.manager.admission import expected_name
from downloadd.records.availability import once_available
from downloadd.records.protocol import Records
from downloadd.states import State
from downloadd.storage.destination import Destination, Part
from downloadd.storage.names import SafeName, parse_filename
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

T = TypeVar("T")

STORE_RETRY_SECONDS: Final = 1.0
"""Seconds between two tries to write down what must not be lost."""


class StopReason(StrEnum):
    """Why a run is told to stop."""

    PAUSE = "pause"
    CANCEL = "cancel"
    INTERRUPT = "interrupt"
    """The daemon stops; the download goes on after the next start."""


class HostBackoff(msgspec.Struct, frozen=True, kw_only=True):
    """A host has asked to be left alone."""

    host: str
    until: float
    """Unix time."""


class FencedError(Exception):
    """Another run holds the download now; this one must not touch anything any more."""


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
        max_size: int,
        record_checksum: bool,
        slots: ConnectionSlots,
        retries: int,
        on_change: Callable[["Run"], None],
    ) -> None:
        """Makes a run that has not begun; see `Attempt` for the parts.

        Args:
            download: the row as `Records.claim` returned it.
            records: where the outcome is written down.
            session: the client.
            destination: where the file lies.
            clock: the time.
            limiter: the speed limits.
            flush_interval: seconds after which received bytes are written even if they are few.
            max_size: bytes; 0 for no limit.
            record_checksum: whether the SHA-256 is wanted though nobody compares it.
            slots: for further connections.
            retries: failed attempts in a row that are followed by another one.
            on_change: called when the state has changed.
        """
        self._records = records
        self._destination = destination
        self._clock = clock
        self._retries = retries
        self._stop: StopReason | None = None
        self._reported_bytes = 0
        self._transferring: asyncio.Task[FetchResult] | None = None
        self._time_limit: asyncio.Timeout | None = None
        self._time_left: float | None = None
        self._saving = 0
        self._saving_since = 0.0
        self._seconds_saving = 0.0
        self._records_away = False
        self._has_waited = False
        self._changed = partial(on_change, self)
        self._log = log.bind(**log_fields(download), attempt=download.progress.attempt)
        self._attempt = Attempt(
            download,
            session=session,
            destination=destination,
            clock=clock,
            save=self._save,
            on_change=self._changed,
            limiter=limiter,
            flush_interval=flush_interval,
            max_size=max_size,
            record_checksum=record_checksum,
            slots=slots,
        )

    @property
    def download(self) -> Download:
        """The row as this run knows it, finer than what is written down."""
        return self._attempt.download

    @property
    def received_bytes(self) -> int:
        """Bytes that the origin has sent to this run."""
        return self._attempt.received_bytes

    @property
    def request_count(self) -> int:
        """Requests that this run has made, of whichever source."""
        return self._attempt.request_count

    @property
    def waits_for_records(self) -> bool:
        """Whether the records have refused something that this run still tries to write down."""
        return self._records_away and self._saving > 0

    def pop_received_bytes(self) -> int:
        """Bytes that the origin has sent since this was last asked."""
        taken = self._attempt.received_bytes
        new, self._reported_bytes = taken - self._reported_bytes, taken
        return new

    def apply_amended(self, row: Download) -> None:
        """Users have changed something, and it is written down in this row: the run shows it, too, from now on."""
        self._attempt.download = replace(self._attempt.download, control=row.control)

    def snapshot(self) -> Snapshot:
        """The download as it is now."""
        known, meter, now = self._attempt.download, self._attempt.meter, self._clock.monotonic()
        if known.progress.received != meter.received:
            known = known.with_progress(received=meter.received)
        if known.state is not State.DOWNLOADING:
            return Snapshot(download=known)
        speed = meter.speed(now)
        return Snapshot(download=known, speed=speed, eta=meter.eta(speed))

    def stop(self, reason: StopReason) -> None:
        """Tells the run to stop; it takes effect unless the file is being committed already."""
        if self._stop is not StopReason.CANCEL:
            self._stop = reason
        if self._transferring is not None:
            self._transferring.cancel()

    async def perform(self) -> tuple[Download, HostBackoff | None] | None:
        """Makes the attempt and writes down what became of it.

        Returns:
            The row, and which host has asked to be left alone; None when another run holds the download now.
        """
        started = self._clock.monotonic()
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
                row = await (self._skip() if fetched is FetchResult.SKIPPED else self._commit())
            except asyncio.CancelledError:
                row = await self._handle_stop(self._stop or StopReason.INTERRUPT, started)
            except NoSlotError as error:
                row, host_backoff = await self._wait_for_source(error, started)
            except DownloadError as error:
                row, host_backoff = await self._handle_failure(error, started)
            except FencedError:
                raise
            except Exception:
                self._log.exception("run_crashed")
                row, host_backoff = await self._handle_failure(InternalError(), started)
            saved = await self._write_outcome(row)
        except FencedError:
            self._log.warning("run_fenced", epoch=self.download.epoch)
            if self._attempt.part is not None:
                await self._attempt.part.close()
            return None
        return saved, host_backoff

    async def _transfer(self) -> FetchResult:
        limit = self.download.request.timeout
        left = max(0.0, limit - self.download.progress.time_spent) if limit else None
        try:
            async with asyncio.timeout(left) as self._time_limit:
                fetched = await self._attempt.fetch()
                if fetched is FetchResult.COMPLETE:
                    await self._verify(self._part())
                return fetched
        except TimeoutError:
            raise DownloadTimeoutError(limit) from None
        finally:
            self._time_limit = None

    async def _verify(self, part: Part) -> None:
        check_length(part.size, self.download.progress.total)
        # An origin need not say a length before.
        check_size_and_type(
            size=part.size, content_type=None, expected_size=self.download.request.expected_size, expected_type=None
        )
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

    async def _commit(self) -> Download:
        """Gives the part its final name; nothing stops a run from here on but the end of the process."""
        download = self.download
        filename = parse_filename(download.filename)
        # Nearly always the name is free, and to ask costs as much as to try. What is to be overwritten is looked at.
        if self._conflict is not Conflict.OVERWRITE:
            row = await self._publish(filename)
            if row is not None:
                return row
        while True:
            name = await self._destination.reserve_name(
                directory=download.request.directory, filename=filename, conflict=self._conflict
            )
            if name is None:
                return await self._skip()
            try:
                row = await self._publish(name)
                if row is not None:
                    return row
            finally:
                self._destination.release_name(directory=download.request.directory, filename=name)

    async def _publish(self, name: SafeName) -> Download | None:
        """The row of a download that has this name now; None when the name is taken."""
        download = self.download
        # Written down before the rename, so that a file that is in place is never fetched again.
        row = await self._save(replace(download.with_progress(publishing=True), filename=name))
        published = await self._part().publish(
            name, replace=self._conflict is Conflict.OVERWRITE, last_modified=download.progress.last_modified
        )
        return lifecycle.mark_completed(row, now=self._clock.wall()) if published else None

    @property
    def _conflict(self) -> Conflict:
        """What is done when the name is taken. No origin chooses which file is overwritten."""
        download = self.download
        if download.request.conflict is Conflict.OVERWRITE and download.filename != expected_name(download):
            return Conflict.RENAME
        return download.request.conflict

    async def _skip(self) -> Download:
        await self._remove_part()
        return lifecycle.mark_skipped(self.download, now=self._clock.wall())

    async def _handle_stop(self, reason: StopReason, started: float) -> Download:
        if reason is StopReason.CANCEL:
            await self._remove_part()
            return lifecycle.mark_cancelled(self.download, now=self._clock.wall())
        row = (await self._attempt.close_part()).with_progress(time_spent=self._spent(started))
        if reason is StopReason.PAUSE:
            return lifecycle.mark_paused(row)
        # An interruption is not the attempt's fault.
        return lifecycle.mark_interrupted(row.with_progress(attempt=row.progress.attempt - 1), now=self._clock.wall())

    async def _handle_failure(self, error: DownloadError, started: float) -> tuple[Download, HostBackoff | None]:
        """What follows an error, and which host waits."""
        if self._stop is StopReason.CANCEL:
            return await self._handle_stop(StopReason.CANCEL, started), None
        download, now = self.download, self._clock.wall()
        spent = self._spent(started)
        # What was kept by a storage that is out of order need not be there for the next attempt.
        progressed = self._attempt.has_progressed and not isinstance(error, StorageError)
        if (
            isinstance(error, ChecksumMismatchError)
            and download.request.mirrors
            and download.progress.failures <= len(download.request.mirrors)
        ):
            return await self._retry_sources_singly(error, time_spent=spent), None
        decision = retry.decide(
            error,
            failures=download.progress.failures,
            retries=self._retries,
            progressed=progressed,
            excused=self._has_waited,
            time_left=download.request.timeout - spent if download.request.timeout else None,
            random=random(),  # noqa: S311 - jitter, not a secret
        )
        match decision:
            case retry.Retry():
                self._log.info(
                    "attempt_failed", error=error.code, detail=error.detail, retry_in=round(decision.delay, 3)
                )
                row = (await self._keep_part(error)).with_progress(time_spent=spent + decision.delay)
                not_before = now + decision.delay
                return (
                    lifecycle.mark_deferred(
                        row, error, not_before=not_before, failures=decision.failures, progressed=progressed
                    ),
                    self._host_backoff(decision.host_backoff, now),
                )
            case retry.Abort():
                self._log.info("attempt_failed", error=error.code, detail=error.detail)
                await self._remove_part()
                failed = lifecycle.mark_failed(self.download, error, now=now)
                return failed, self._host_backoff(decision.host_backoff, now)

    async def _retry_sources_singly(self, error: ChecksumMismatchError, *, time_spent: float) -> Download:
        """Some source lies, and nobody knows which: from now on each is asked alone, one after the other."""
        self._log.info("attempt_failed", error=error.code, detail=error.detail, retry_in=0)
        await self._remove_part()
        row = lifecycle.reset_part(self.download).with_progress(time_spent=time_spent)
        return lifecycle.mark_deferred(
            row, error, not_before=self._clock.wall(), failures=row.progress.failures + 1, progressed=False
        )

    def _host_backoff(self, seconds: float | None, now: float) -> HostBackoff | None:
        return None if seconds is None else HostBackoff(host=self._attempt.responding_host, until=now + seconds)

    async def _wait_for_source(self, error: NoSlotError, started: float) -> tuple[Download, HostBackoff | None]:
        """Waits for the source that could not be asked; not for ever, if those that can be asked are of no use."""
        download = self.download
        failures = 1 if self._attempt.has_progressed else download.progress.failures + (not self._has_waited)
        if self._stop is StopReason.CANCEL or failures > self._retries + len(download.request.mirrors):
            return await self._handle_failure(error.failure, started)
        self._log.info("waiting_for_source", detail=str(error))
        row = (await self._attempt.close_part()).with_progress(time_spent=self._spent(started))
        return lifecycle.wait_for_source(row, source=error.source, failures=failures), None

    async def _write_outcome(self, row: Download) -> Download:
        """Writes down what became of the attempt, whatever it takes."""
        if row.state is State.RETRYING:
            try:
                return await self._save(row)
            except InsufficientStorageError:
                # The records lie on the same disk, perhaps, and the part is what fills it.
                await self._remove_part()
                row = lifecycle.reset_part(row)
            except DownloadError:
                pass
        return await retry_forever(lambda: self._save(row), "outcome_write_failed", **log_fields(row))

    async def _keep_part(self, error: DownloadError) -> Download:
        """The row with what the next attempt goes on from."""
        if isinstance(error, InsufficientStorageError) and self.download.progress.validator is None:
            # It has to start over, and these bytes may be the very ones that there is no room for.
            await self._remove_part()
            return lifecycle.reset_part(self.download)
        return await self._attempt.close_part()

    async def _save(self, download: Download) -> Download:
        """Write the row down, as soon as the records are available."""
        if self._records_away:
            self._require_time()
        with self._off_the_clock():
            saved = await once_available(partial(self._records.save, download), refused=self._was_refused)
        self._records_away = False
        if saved is None:
            raise FencedError
        return saved

    def _was_refused(self) -> None:
        self._records_away = self._has_waited = True
        self._require_time()

    def _require_time(self) -> None:
        """Give up what the next start will put in order: the daemon stops, and this run has had its time for it."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError

    @contextmanager
    def _off_the_clock(self) -> Iterator[None]:
        """StopReason the time of the download's timeout for as long as something is being written down."""
        loop, limit = asyncio.get_running_loop(), self._time_limit
        if not self._saving:
            self._saving_since = self._clock.monotonic()
            if limit is not None and not limit.expired() and (end := limit.when()) is not None:
                self._time_left = end - loop.time()
                limit.reschedule(None)
        self._saving += 1
        try:
            yield
        finally:
            self._saving -= 1
            if not self._saving:
                self._seconds_saving += self._clock.monotonic() - self._saving_since
                left, self._time_left = self._time_left, None
                if limit is not None and limit is self._time_limit and left is not None:
                    limit.reschedule(loop.time() + left)

    def _spent(self, started: float) -> float:
        """Return the seconds of the download's timeout that are spent."""
        return self.download.progress.time_spent + self._clock.monotonic() - started - self._seconds_saving

    def _part(self) -> Part:
        part = self._attempt.part
        assert part is not None  # noqa: S101 - narrows the type; a whole download has a part
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


async def retry_forever(write: Callable[[], Awaitable[T]], log_event: str, **facts: object) -> T:
    """Return the result of `write`, tried again until it succeeds; log every `log_event`.

    For what must not be lost, and has nobody who could be told that it failed. Records that are unavailable are waited
    for; they say it themselves.
    """
    while True:
        try:
            return await once_available(write)
        except DownloadError as error:
            log.error(log_event, error=error.code, detail=error.detail, **facts)
            await asyncio.sleep(STORE_RETRY_SECONDS)


def log_task_failure(task: asyncio.Task[None]) -> None:
    """Logs what a task that ought to go on for ever has ended with; for `add_done_callback`."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task_failed", exc_info=error)
