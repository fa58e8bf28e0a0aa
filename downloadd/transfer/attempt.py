"""One attempt of a download: from the request to the last byte in the part file.

The attempt continues the part file of an earlier one if there is evidence that the bytes belong together. It starts
over, in a new part file, if the origin has another version or ignores ranges.
"""

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import partial
from typing import Literal

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Download, ResumedBy
from downloadd.errors import ErrorCode
from downloadd.origin.cookies import CookieJar
from downloadd.storage.destination import Destination, Part
from downloadd.transfer.checkpoints import Checkpoints
from downloadd.transfer.classification import AlreadyComplete, AskAgain, Restart, Unchanged, UseResponse
from downloadd.transfer.comparison import compare_samples
from downloadd.transfer.connection_slots import ConnectionSlots
from downloadd.transfer.file_naming import name_file, warn_of_page
from downloadd.transfer.name_conflicts import is_skipped
from downloadd.transfer.part_transfer import PartTransfer
from downloadd.transfer.pending_rules import decide_rules
from downloadd.transfer.present_files import Comparison, PresentFileCheck, PresentFiles
from downloadd.transfer.progress_meter import ProgressMeter
from downloadd.transfer.quota import NoQuota, ReceiveQuota
from downloadd.transfer.receiver import RateLimiter
from downloadd.transfer.representation import Representation, has_larger_superseded_copy, is_superseded_version
from downloadd.transfer.resume import CompletePart, Evidence, RangeRequest, Step, is_resumable, plan_request
from downloadd.transfer.reuse import Reuse
from downloadd.transfer.session import OriginResponse, Session
from downloadd.transfer.source_requests import SourceRequests
from downloadd.transfer.sources import is_elsewhere, select_source
from downloadd.transfer.speed_floor import SpeedPolicy
from downloadd.verify import DEFAULT_ALGORITHM, check_size_and_type, checksum_algorithm


class FetchResult(Enum):
    """Outcome of a successful attempt."""

    COMPLETE = "complete"
    """Every byte is in the part file."""
    PUBLISHED = "published"
    """The file has its final name already, from an earlier run."""
    SKIPPED = "skipped"
    """The name is taken, and the request has `conflict=skip`."""
    UNCHANGED = "unchanged"
    """The origin has the version of the request's condition still."""
    ALREADY_THERE = "already there"
    """The file of the name has the content already, and the request has `skip_same`."""


class Attempt:
    """One attempt of one download."""

    def __init__(
        self,
        download: Download,
        *,
        session: Session,
        cookies: CookieJar,
        destination: Destination,
        clock: Clock,
        save: Callable[[Download], Awaitable[Download]],
        change_row: Callable[[Callable[[Download], Download]], Awaitable[None]],
        on_change: Callable[[], None],
        limiter: RateLimiter,
        flush_interval: Callable[[], float],
        max_size: int,
        record_checksum: bool,
        allows_overlap: bool,
        slots: ConnectionSlots,
        speed_policy: SpeedPolicy,
        quota: ReceiveQuota | None = None,
        present_files: PresentFiles,
        is_takeover: bool = False,
    ) -> None:
        """Make an attempt that has not started.

        Args:
            download: the claimed row.
            session: the client.
            cookies: those that responses to the download have set.
            destination: the storage of the part file.
            clock: the time.
            save: writes a row durably and returns it.
            change_row: changes request and control of the row durably, and of `download`, by a pure function.
            on_change: called after a change of the state.
            limiter: the speed limits.
            flush_interval: seconds after which received bytes are written even if they are few.
            max_size: bytes; 0 for no limit.
            record_checksum: compute the SHA-256 even if no checksum is expected.
            allows_overlap: False for `downloads.resume = "strict"`.
            slots: slots for further connections, and at the targets of redirects.
            speed_policy: times of the measurement of a least speed.
            quota: the quotas of the user; None for none.
            present_files: compares files that are on the disk.
            is_takeover: another process has written the part file, and may still have it open.
        """
        self._present = PresentFileCheck(present_files)
        self._reuse = Reuse(present_files, max_size=max_size)
        self._is_takeover = is_takeover
        self._checkpoints = Checkpoints(
            download,
            destination=destination,
            save=save,
            on_change=on_change,
            clock=clock,
            allows_overlap=allows_overlap,
        )
        self._quota = quota or NoQuota()
        self._destination = destination
        self._change_row = change_row
        self._record_checksum = record_checksum
        self._allows_overlap = allows_overlap
        self._requests = SourceRequests(download, session=session, cookies=cookies, slots=slots, max_size=max_size)
        self._transfer = PartTransfer(
            self._checkpoints,
            self._requests,
            clock=clock,
            limiter=limiter,
            quota=self._quota,
            flush_interval=flush_interval,
            max_size=max_size,
            min_speed=download.request.limits.min_speed or 0,
            speed_policy=speed_policy,
        )

    @property
    def download(self) -> Download:
        """The row as this attempt knows it."""
        return self._checkpoints.download

    @download.setter
    def download(self, download: Download) -> None:
        self._checkpoints.download = download

    @property
    def part(self) -> Part | None:
        """The part file, once it is open."""
        return self._checkpoints.part

    @property
    def meter(self) -> ProgressMeter:
        """Progress and speed."""
        return self._transfer.meter

    @property
    def received_bytes(self) -> int:
        """Bytes that this attempt received from origins."""
        return self._transfer.received_bytes

    @property
    def connections(self) -> int:
        """Number of connections that receive content now."""
        return self._transfer.connections

    @property
    def responding_origin(self) -> str:
        """The origin that responded or failed last, after redirects."""
        return self._requests.responding_origin

    @property
    def answered_by(self) -> AbstractSet[str]:
        """The origins that have sent a usable response."""
        return self._requests.answered_by

    @property
    def current_url(self) -> str | None:
        """The URL of the last usable response, with its secrets; None if it was not redirected."""
        return self._requests.current_url

    @property
    def redirected_by(self) -> AbstractSet[str]:
        """The origins that have answered with a redirect."""
        return self._requests.redirects.redirected_by

    def target_of(self, origin: str) -> str | None:
        """Return the origin that the source at `origin` was led to last; None if it was not redirected."""
        return self._requests.redirects.targets.get(origin)

    @property
    def is_reading_disk(self) -> bool:
        """True while a file on the disk is read, which has a time limit of its own."""
        return self._present.is_reading or self._reuse.is_copying

    @property
    def has_response(self) -> bool:
        """True after a source has sent a usable response, or content."""
        return bool(self._requests.answered_by) or self.received_bytes > 0

    @property
    def request_count(self) -> int:
        """Number of requests to all sources."""
        return self._requests.count + self._transfer.request_count

    @property
    def algorithms(self) -> list[str]:
        """Algorithms of the digests that are verified or recorded."""
        requested = self.download.request.requested_checksum
        checksums = [digest.checksum for digest in self.download.progress.origin_digests] + (
            [] if requested is None else [requested]
        )
        recorded = [DEFAULT_ALGORITHM] if self._record_checksum else []
        return sorted({*map(checksum_algorithm, checksums), *recorded})

    @property
    def warning(self) -> str | None:
        """Message about sources that were not used; None if there are none."""
        return "; ".join(f"{url} was not used: {reason}" for url, reason in self._requests.errors.items()) or None

    @property
    def is_resumable(self) -> bool:
        """True if a later attempt can continue the bytes of the part file."""
        return self._checkpoints.is_resumable

    @property
    def has_progressed(self) -> bool:
        """True if the next attempt can resume with more bytes than this one had at its start, or superseded.

        False if bytes were discarded, even if there are more now. An origin that changes repeatedly, or whose bytes
        prove nothing, would otherwise be requested without an end over a line that breaks at random.
        """
        checkpoints = self._checkpoints
        has_more = self._transfer.bytes_in_part > checkpoints.baseline and not checkpoints.has_discarded
        return has_more and checkpoints.is_resumable

    async def record_complete(self) -> None:
        """Record that the part file is complete; see `Checkpoints.record_complete`."""
        await self._checkpoints.record_complete()

    async def close_part(self) -> Download:
        """Close the part file; return the row with what is in it, as far as that is on stable storage."""
        return await self._checkpoints.close_part(self._transfer.segments)

    async def remove_superseded_part(self) -> None:
        """Remove a superseded part file, after the new one was verified."""
        await self._checkpoints.remove_superseded()

    @property
    def may_have_parts(self) -> bool:
        """False if there is no part file to remove."""
        progress = self.download.progress
        return self.part is not None or progress.part_name is not None or progress.superseded is not None

    async def has_part(self) -> bool:
        """Return False if the part file is missing; True if that is unknown."""
        return await self._checkpoints.has_part()

    async def remove_parts(self) -> None:
        """Remove all part files.

        Raises:
            DownloadError: the part file cannot be removed.
        """
        await self._checkpoints.remove_parts()

    async def fetch(self) -> FetchResult:
        """Receive what is missing.

        Raises:
            DownloadError: the attempt failed; received bytes are kept in the part file.
            NoSlotError: a source that was not tried for want of a slot, there or where it redirects to, may have the
                file.
        """
        step: Step | FetchResult = Step()
        if self.download.result.error is ErrorCode.STORAGE_ERROR:
            # The origin is not asked until the disk takes the file.
            for directory in {self.download.part_directory, self.download.request.directory}:
                await self._destination.check_directory(directory=directory)
        if self.download.progress.part_name is not None:
            step = await self._resume_part(self.download.progress.part_name)
        elif self.download.request.requested_name is not None and not self.download.request.pending_rules:
            step = await self._check_name() or step
        try:
            while isinstance(step, Step):
                step = await self._perform(step)
        finally:
            self._reuse.close()
        return step

    async def _check_name(self) -> FetchResult | None:
        """Return the result if a taken name ends the download before the origin is asked."""
        if self.download.request.skip_same:
            # Without a checksum, what the origin says decides.
            is_same = await self._present.is_same_by_request(self.download)
            return FetchResult.ALREADY_THERE if is_same else None
        return FetchResult.SKIPPED if await is_skipped(self.download, self._destination) else None

    async def _resume_part(self, existing: str) -> Step:
        """Open the part file of an earlier attempt, or a superseded one of the same version that has more bytes."""
        checkpoints = self._checkpoints
        open_existing = checkpoints.take_over_part if self._is_takeover else checkpoints.adopt_part
        part = await open_existing(existing)
        progress = self.download.progress
        if progress.received_ranges is None and part.size > progress.received:
            # A run that was killed has written more than its last checkpoint.
            await part.sync()
            self._quota.add(part.size - progress.received)
            self.download = self.download.with_progress(received=part.size)
        if not self._allows_overlap:
            await self._checkpoints.discard_compared()
        if has_larger_superseded_copy(self.download.progress):
            await self._checkpoints.go_back()
        self.meter.reset(self._checkpoints.baseline)
        return Step(compare=self.download.progress.url_changed)

    async def _perform(self, step: Step) -> Step | FetchResult:
        """Make the next request and receive its content; return the next step, or the result."""
        if await self._present.is_same_by_checksum(self.download):
            return FetchResult.ALREADY_THERE
        if self._reuse.has_file():
            return await self._copy_file(step)
        if self.part is not None and self.download.progress.received_ranges is not None:
            return await self._transfer.resume_segments(step) or FetchResult.COMPLETE
        known = Representation.of(self.download)
        request = plan_request(
            known,
            received=0 if self.part is None else self.part.size,
            step=step,
            is_redirected=self.download.progress.final_url_digest is not None,
            allows_overlap=self._allows_overlap,
        )
        if isinstance(request, CompletePart):
            return FetchResult.COMPLETE
        if not request.is_range and self.part is None:
            own = self.download.request.condition
            condition = own or await self._reuse.condition(self.download, self._requests.sources[0].url)
            request = replace(request, condition=condition)
        sampled = None
        if request.evidence is Evidence.OVERLAP and self.part is not None:
            sampled = await compare_samples(self.part, known, self._requests)
            if sampled is None:
                return replace(step, start_over=True)
        async with self._requests.first_response(request, known) as (source, response, classification):
            is_unchanged = isinstance(classification, Unchanged)
            if isinstance(classification, Unchanged) and self.download.request.condition is None:
                expanded = await self._reuse.expand(self.download, classification, response, source.url)
                if expanded is None:
                    return step
                classification = expanded
            match classification:
                case AlreadyComplete():
                    self.download = self.download.with_progress(total=request.start)
                    return FetchResult.COMPLETE
                case Unchanged():
                    return FetchResult.UNCHANGED
                case Restart():
                    return replace(step, start_over=True)
                case AskAgain():
                    return replace(step, after=request.evidence)
                case UseResponse(is_partial=True) if sampled is not None and source is not sampled:
                    # The samples are of another source.
                    return step
                case UseResponse(is_partial=True) if not request.has_overlap and is_elsewhere(
                    self.download, source, response.final_url_digest
                ):
                    return replace(step, compare=True)
                case UseResponse(is_partial=False) if await self._go_back(classification, step):
                    return replace(step.next(), has_gone_back=True)
                case UseResponse():
                    self.download = select_source(self.download, source.index)
                    if not request.is_range and self.part is None:
                        classification = await self._reuse.find(self.download, classification, response, source.url)
                    if is_unchanged and not self._reuse.has_file():
                        # It was removed just now: there is no content.
                        return step
                    result = await self._prepare_part(response, classification, request, source.url)
                    if result is not None:
                        self._reuse.close()
                        return step if result is Comparison.UNDECIDED else result
                    if self._reuse.has_file():
                        return step
                    next_step = await self._transfer.receive(
                        source, response.content, classification, step, must_hash=bool(self.algorithms)
                    )
                    return next_step or FetchResult.COMPLETE

    async def _copy_file(self, step: Step) -> Step | FetchResult:
        """Copy the file whose version the origin has confirmed; return the next step if it was changed meanwhile."""
        part = await self._checkpoints.create_part()
        self.download = self.download.with_progress(resumed_by=ResumedBy.REUSE)
        await self._checkpoints.before_write(part, 0, is_last=False, is_segmented=False)
        if await self._reuse.copy(self.download, part):
            return FetchResult.COMPLETE
        await self._checkpoints.start_over(is_part_valid=False)
        self.meter.reset(0)
        return step.next()

    async def _go_back(self, accepted: UseResponse, step: Step) -> bool:
        """Continue the superseded part file if the response proves that the origin has its version again."""
        is_superseded = is_superseded_version(self.download, accepted.found, received=self._transfer.bytes_in_part)
        if step.has_gone_back or not is_superseded:
            return False
        has_gone_back = await self._checkpoints.go_back()
        self.meter.reset(self._checkpoints.baseline)
        return has_gone_back

    async def _name_file(self, response: OriginResponse, accepted: UseResponse) -> None:
        urls = {"first_url": response.requested_url, "final_url": response.url}
        max_bytes = await self._destination.max_name_bytes(directory=self.download.request.directory)
        # A user may have changed the name meanwhile.
        wanted = self.download.request
        name = name_file(wanted, accepted, **urls, max_bytes=max_bytes)
        warning = warn_of_page(wanted, accepted, **urls)
        self.download = replace(self.download, filename=name).with_result(warning=warning)

    async def _prepare_part(
        self, response: OriginResponse, accepted: UseResponse, request: RangeRequest, url: str
    ) -> FetchResult | Literal[Comparison.UNDECIDED] | None:
        """Prepare part file and row for the response to a request for `url`, unless a taken name ends the download."""
        total, content_type, given = accepted.found.total, accepted.content_type, self.download.request
        check_size_and_type(
            size=total, content_type=content_type, expected_size=given.expected_size, expected_type=given.expected_type
        )
        if given.pending_rules:
            await self._change_row(partial(decide_rules, content_type=content_type, size=total))
        if not request.is_range:
            await self._name_file(response, accepted)
            if self.part is None:
                match await self._present.compare(
                    self.download, accepted.found, url=url, final_url_digest=response.final_url_digest
                ):
                    case Comparison.SAME:
                        return FetchResult.ALREADY_THERE
                    case Comparison.UNDECIDED:
                        return Comparison.UNDECIDED
            if await is_skipped(self.download, self._destination):
                return FetchResult.SKIPPED
        if not accepted.is_partial and self.part is not None and self.part.size > 0:
            # Bytes of another version must not be recorded with the new validator, nor the new bytes with the old one.
            await self._transfer.start_over()
        part = await self._checkpoints.create_part()
        if total is not None:
            if not self._reuse.has_file():
                # With one byte more than there are, because an empty part file is never continued.
                can_resume = is_resumable(accepted.found, received=1, allows_overlap=self._allows_overlap)
                await self._quota.announce(total, missing=total - accepted.start, is_resumable=can_resume)
            await self._checkpoints.reserve(total, missing=total - accepted.start)
        self.meter.total = total
        self._checkpoints.accept_response(accepted, final_url_digest=response.final_url_digest, part_name=part.name)
        part.hash_while_writing(self.algorithms)
        return None
