"""One attempt of a download: from the request to the last byte in the part file.

The attempt resumes the part file of an earlier one, under a strong validator only. It starts over in place when the
origin has another version or ignores ranges.
"""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Final

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import FileTooLargeError, NetworkError
from downloadd.policy.redaction import filename_from_url
from downloadd.storage.destination import Destination, Part
from downloadd.storage.names import parse_filename, suggest_name
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.checkpoints import Checkpoints
from downloadd.transfer.classification import AlreadyComplete, RangeRequest, Restart, UseResponse
from downloadd.transfer.name_conflicts import is_skipped
from downloadd.transfer.overlap import has_other_final_url, match_changed_url, plan_resumed_request, starts_with_part
from downloadd.transfer.progress_meter import ProgressMeter
from downloadd.transfer.receiver import RateLimiter, Receiver
from downloadd.transfer.request_planning import CompletePart, plan_segments
from downloadd.transfer.segmented import OpenResponse, RepresentationChangedError, SegmentedFetch
from downloadd.transfer.segments import Segment, divide
from downloadd.transfer.session import OriginResponse, Session
from downloadd.transfer.source_requests import ConnectionSlots, SourceRequests
from downloadd.transfer.sources import Source, select_source
from downloadd.verify import DEFAULT_ALGORITHM, check_length, check_size_and_type, checksum_algorithm

MIN_PROGRESS_BYTES: Final = 64 * 1024
"""Bytes of a response to a range request; after a shorter incomplete one the attempt fails, and backoff applies."""


class FetchResult(Enum):
    """Outcome of a successful attempt."""

    COMPLETE = "complete"
    """Every byte is in the part file."""
    SKIPPED = "skipped"
    """The name is taken, and the request has `conflict=skip`."""


class Attempt:
    """One attempt of one download.

    Attributes:
        part: the part file, once it is open.
        meter: progress and speed.
        received_bytes: bytes that this attempt received from origins.
    """

    def __init__(
        self,
        download: Download,
        *,
        session: Session,
        destination: Destination,
        clock: Clock,
        save: Callable[[Download], Awaitable[Download]],
        on_change: Callable[[], None],
        limiter: RateLimiter,
        flush_interval: Callable[[], float],
        max_size: int,
        record_checksum: bool,
        slots: ConnectionSlots,
    ) -> None:
        """Make an attempt that has not started.

        Args:
            download: the claimed row.
            session: the client.
            destination: the storage of the part file.
            clock: the time.
            save: writes a row durably and returns it.
            on_change: called after a change of the state.
            limiter: the speed limits.
            flush_interval: seconds after which received bytes are written even if they are few.
            max_size: bytes; 0 for no limit.
            record_checksum: compute the SHA-256 even if no checksum is expected.
            slots: slots for further connections.
        """
        self.part: Part | None = None
        self.meter = ProgressMeter()
        self.received_bytes = 0
        self._checkpoints = Checkpoints(download, save=save, clock=clock)
        self._session = session
        self._destination = destination
        self._clock = clock
        self._on_change = on_change
        self._limiter = limiter
        self._flush_interval = flush_interval
        self._max_size = max_size
        self._record_checksum = record_checksum
        self._requests = SourceRequests(download, session=session, slots=slots, clock=clock, max_size=max_size)
        self._segmented: SegmentedFetch | None = None
        self._is_single_connection = False
        self._has_restarted = False
        self._must_compare_overlap = False
        self._bytes_at_start = 0

    @property
    def download(self) -> Download:
        """The row as this attempt knows it."""
        return self._checkpoints.download

    @download.setter
    def download(self, download: Download) -> None:
        self._checkpoints.download = download

    @property
    def responding_origin(self) -> str:
        """The origin that responded or failed last, after redirects."""
        return self._requests.responding_origin

    @property
    def has_response(self) -> bool:
        """True after a source has sent a usable response, or content."""
        return self._requests.has_response or self.received_bytes > 0

    @property
    def request_count(self) -> int:
        """Number of requests to all sources."""
        return self._requests.count + (0 if self._segmented is None else self._segmented.request_count)

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
    def has_progressed(self) -> bool:
        """True if the next attempt can resume with more bytes than this one started with.

        False after a restart: an origin that changes repeatedly would be requested without an end.
        """
        return (
            self._bytes_in_part > self._bytes_at_start
            and self.download.progress.validator is not None
            and not self._has_restarted
        )

    @property
    def _bytes_in_part(self) -> int:
        if self._segmented is not None:
            return self._segmented.received().size
        return 0 if self.part is None else self.part.size

    async def close_part(self) -> Download:
        """Close the part file; return the row with what is in it, as far as that is on stable storage."""
        if self.part is None:
            return self.download
        segments = None if self._segmented is None else self._segmented.received()
        return await self._checkpoints.close_part(self.part, segments)

    async def fetch(self) -> FetchResult:
        """Receive what is missing.

        Raises:
            DownloadError: the attempt failed; received bytes are kept in the part file.
            NoSlotError: a source that was not tried for want of a slot may have the file.
        """
        if self.download.progress.part_name is not None:
            if await self._resume_part(self.download.progress.part_name):
                return FetchResult.COMPLETE
        elif self.download.request.requested_name is not None and await is_skipped(self.download, self._destination):
            return FetchResult.SKIPPED
        without_range = False
        while True:
            received = 0 if self.part is None else self.part.size
            request = (
                RangeRequest()
                if without_range
                else plan_resumed_request(self.download, received=received, must_compare=self._must_compare_overlap)
            )
            if isinstance(request, CompletePart):
                return FetchResult.COMPLETE
            async with self._requests.first_response(request) as (source, response, classification):
                match classification:
                    case AlreadyComplete():
                        self.download = self.download.with_progress(total=request.start)
                        return FetchResult.COMPLETE
                    case Restart():
                        # The received bytes stay until the response to the next request is accepted.
                        without_range = True
                        continue
                    case UseResponse() if classification.start == received > 0 and has_other_final_url(
                        self.download, source, response
                    ):
                        self._must_compare_overlap = True
                        continue
                    case UseResponse():
                        without_range = False
                        self.download = select_source(self.download, source.index)
                        if not await self._prepare_part(response, classification, request):
                            return FetchResult.SKIPPED
                        if not await self._receive(source, response, classification):
                            continue
            if self._is_complete(classification):
                return FetchResult.COMPLETE

    async def _open_part(self, existing: str | None) -> Part:
        return await self._destination.open_part(
            directory=self.download.request.directory,
            filename=parse_filename(self.download.filename),
            download_id=self.download.id,
            epoch=self.download.epoch,
            existing=existing,
        )

    async def _resume_part(self, existing: str) -> bool:
        """Open the part file of an earlier attempt; return True if it is complete afterwards, by segments."""
        self.part = await self._open_part(existing)
        # The name has this run's epoch now: after a crash during publication it is searched by this name.
        self.download = self.download.with_progress(part_name=self.part.name)
        if self.download.progress.url_changed:
            matched = await match_changed_url(self.download, self.part, session=self._session, now=self._clock.wall())
            await (self._restart() if matched is None else self._checkpoints.save(matched))
        if self.download.progress.received_ranges is not None:
            if await self._resume_segments(self.part):
                return True
        elif self.part.size > self.download.progress.received:
            # A run that was killed has written more than its last checkpoint.
            await self.part.sync()
            self.download = self.download.with_progress(received=self.part.size)
        self._bytes_at_start = self.part.size
        self.meter.reset(self.part.size)
        return False

    async def _restart(self) -> None:
        if self.part is not None:
            self._has_restarted = self._has_restarted or self._bytes_at_start > 0
            await self.part.clear()
        self.meter.reset(0)
        await self._checkpoints.save(
            self.download.with_progress(received=0, received_ranges=None, url_changed=False, total=None, validator=None)
        )

    async def _prepare_part(self, response: OriginResponse, accepted: UseResponse, request: RangeRequest) -> bool:
        """Prepare part file and row for the response; return False when the name is taken and the download skipped."""
        if accepted.start == 0 and self.part is not None and self.part.size > 0:
            # Bytes of another version must not be recorded with the new validator, nor the new bytes with the old one.
            await self._restart()
        check_size_and_type(
            size=accepted.total,
            content_type=accepted.content_type,
            expected_size=self.download.request.expected_size,
            expected_type=self.download.request.expected_type,
        )
        if request.start == 0:
            name = suggest_name(
                self.download.request.requested_name, accepted.suggested_filename, filename_from_url(response.url)
            )
            self.download = replace(self.download, filename=name)
            if await is_skipped(self.download, self._destination):
                return False
        if self.part is None:
            self.part = await self._open_part(None)
        if accepted.total is not None:
            await self._destination.check_free_space(accepted.total - accepted.start)
            await self.part.reserve(accepted.total)
        self.meter.total = accepted.total
        self._checkpoints.accept_response(
            accepted, final_url_digest=response.final_url_digest, part_name=self.part.name
        )
        self.part.hash_while_writing(self.algorithms)
        self._on_change()
        return True

    async def _receive(self, source: Source, response: OriginResponse, accepted: UseResponse) -> bool:
        """Receive the content into the part file; return False when the version changed meanwhile."""
        assert self.part is not None  # noqa: S101 - narrows the type; opened before
        begin = max(accepted.start, self.part.size)
        if begin > accepted.start and not await starts_with_part(response.content, self.part, accepted.start, begin):
            await self._restart()
            return False
        divisible = accepted.total is not None and accepted.validator is not None and not self._is_single_connection
        if divisible and self._max_connections > 1:
            assert accepted.total is not None  # noqa: S101 - narrows the type
            kept = ByteRanges()
            kept.add(0, begin)
            sources = [source, *(other for other in self._requests.sources if other is not source)]
            with self._requests.distributed_slots(sources, self._max_connections) as slots:
                segments = divide(kept.gaps(accepted.total), slots)
                if len(segments) > 1:
                    self.download = self.download.with_progress(received_ranges=kept.format())
                    first = OpenResponse(source=source, content=response.content, segment=segments[0])
                    return await self._fetch_segments(self.part, kept, sources, segments, first)
        segment = Segment(begin)
        receiver = self._receiver(self.part)
        try:
            await receiver.receive(response.content, segment, may_splice=not self.algorithms)
        except NetworkError as error:
            if error.invalidates_part:
                # It has the announced length, so the next attempt would take it for complete.
                await self._restart()
            raise
        check_length(segment.position - accepted.start, accepted.length)
        return True

    async def _resume_segments(self, part: Part) -> bool:
        """Receive the missing ranges of a part file with gaps; return False if nothing of it can be kept."""
        progress = self.download.progress
        with self._requests.distributed_slots(self._requests.sources, self._max_connections) as slots:
            kept = ByteRanges.parse(progress.received_ranges or "")
            segments = plan_segments(
                kept, size=part.size, validator=progress.validator, total=progress.total, count=slots
            )
            if segments is None:
                await self._restart()
                return False
            assert progress.total is not None  # noqa: S101 - narrows the type; there are no segments without
            await part.reserve(progress.total)
            self._bytes_at_start = kept.size
            self.meter.reset(kept.size)
            self.meter.total = progress.total
            self._checkpoints.mark_responded()
            self._on_change()
            return await self._fetch_segments(part, kept, self._requests.sources, segments, None)

    async def _fetch_segments(
        self,
        part: Part,
        kept: ByteRanges,
        sources: Sequence[Source],
        segments: Sequence[Segment],
        first: OpenResponse | None,
    ) -> bool:
        validator, total = self.download.progress.validator, self.download.progress.total
        assert validator is not None  # noqa: S101 - narrows the type; there are no segments without
        assert total is not None  # noqa: S101 - likewise
        self._segmented = SegmentedFetch(
            sources,
            session=self._session,
            receiver=self._receiver(part),
            kept=kept,
            validator=validator,
            total=total,
            coding=self.download.progress.coding,
            content_type=self.download.result.content_type,
            now=self._clock.wall,
            checkpoint=lambda received: self._checkpoints.save_ranges(part, received),
            on_source_dropped=self._requests.record_error,
        )
        try:
            await self._segmented.fetch(segments, first)
        except RepresentationChangedError:
            self._segmented = None
            self._is_single_connection = True
            await self._restart()
            return False
        return True

    @property
    def _max_connections(self) -> int:
        """The requested number of connections, and at least one to each source."""
        return max(self.download.request.segments, len(self._requests.sources))

    def _receiver(self, part: Part) -> Receiver:
        return Receiver(
            part,
            clock=self._clock,
            limiter=self._limiter,
            flush_interval=self._flush_interval,
            before_write=lambda size, is_last: self._checkpoints.before_write(
                part, size, is_last, is_segmented=self._segmented is not None
            ),
            on_received=self._add_received,
        )

    def _add_received(self, nbytes: int) -> None:
        self.received_bytes += nbytes
        self.meter.add(nbytes, now=self._clock.monotonic())
        if self._max_size and self.meter.received > self._max_size:
            raise FileTooLargeError(self._max_size)

    def _is_complete(self, accepted: UseResponse) -> bool:
        """Return True if nothing is missing; an origin may send less than the requested range."""
        if accepted.total is None or self._bytes_in_part == accepted.total:
            return True
        if accepted.length is not None and accepted.length < MIN_PROGRESS_BYTES:
            raise NetworkError(f"the origin sent only {accepted.length} bytes of the requested range")
        return False
