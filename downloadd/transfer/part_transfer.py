"""Transfer of accepted content into a part file, over one connection or over several."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import ResumedBy
from downloadd.errors import FileTooLargeError, NetworkError
from downloadd.origin.content import Content
from downloadd.request_fields import Method
from downloadd.storage.destination import Part
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.checkpoints import Checkpoints
from downloadd.transfer.classification import UseResponse
from downloadd.transfer.comparison import compare_end, starts_with_part
from downloadd.transfer.own_delays import OwnDelays
from downloadd.transfer.progress_meter import ProgressMeter
from downloadd.transfer.quota import QuotaLimiter, ReceiveQuota
from downloadd.transfer.receiver import RateLimiter, Receiver
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import Step, weakest_evidence
from downloadd.transfer.segmented import OpenResponse, RepresentationChangedError, SegmentedFetch
from downloadd.transfer.segments import Segment, divide, plan_segments
from downloadd.transfer.source_requests import SourceRequests
from downloadd.transfer.sources import Source
from downloadd.transfer.speed_floor import SpeedFloor, SpeedPolicy
from downloadd.verify import check_length

MIN_PROGRESS_BYTES: Final = 64 * 1024
"""New bytes of an incomplete response to a range request; with fewer the attempt fails, and backoff applies."""


class PartTransfer:
    """Transfer into the part file of one attempt.

    Attributes:
        meter: progress and speed.
        received_bytes: bytes that this attempt received from origins.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        requests: SourceRequests,
        *,
        clock: Clock,
        limiter: RateLimiter,
        quota: ReceiveQuota,
        flush_interval: Callable[[], float],
        max_size: int,
        min_speed: int,
        speed_policy: SpeedPolicy,
    ) -> None:
        """Make a transfer that has not started; see `Attempt` for the parts.

        `min_speed` in bytes a second, 0 for none.
        """
        self.meter = ProgressMeter()
        self.received_bytes = 0
        self._checkpoints = checkpoints
        self._requests = requests
        self._clock = clock
        self._limiter = QuotaLimiter(limiter, quota, lambda: self.meter.received)
        self._quota = quota
        self._flush_interval = flush_interval
        self._max_size = max_size
        self._delays = OwnDelays(clock, is_needed=min_speed > 0)
        self._speed_floor = SpeedFloor(
            min_speed, received=lambda: self.received_bytes, delays=self._delays, clock=clock, policy=speed_policy
        )
        self._segmented: SegmentedFetch | None = None
        self._receiver: Receiver | None = None

    @property
    def connections(self) -> int:
        """Number of connections that receive content now."""
        return 0 if self._receiver is None else self._receiver.connections

    @property
    def request_count(self) -> int:
        """Number of requests of further connections."""
        return 0 if self._segmented is None else self._segmented.request_count

    @property
    def segments(self) -> ByteRanges | None:
        """The ranges in the part file of a transfer over several connections, else None."""
        return None if self._segmented is None else self._segmented.received()

    @property
    def bytes_in_part(self) -> int:
        """Bytes in the part file."""
        if self._segmented is not None:
            return self._segmented.received().size
        return 0 if self._checkpoints.part is None else self._checkpoints.part.size

    async def start_over(self, *, is_part_valid: bool = True) -> None:
        """Begin a new part file; see `Checkpoints.start_over`."""
        await self._checkpoints.start_over(is_part_valid=is_part_valid)
        self.meter.reset(0)

    async def receive(
        self, source: Source, content: Content, accepted: UseResponse, step: Step, *, must_hash: bool
    ) -> Step | None:
        """Receive the content into the part file; return the next step, or None if the file is complete.

        Bytes that are hashed while they are written are not moved inside the kernel.

        Raises:
            DownloadError: the transfer failed; received bytes are in the part file.
        """
        part, total = self._part, accepted.found.total
        begin = max(accepted.start, part.size)
        if begin > accepted.start and not await starts_with_part(content, part, accepted.start, begin):
            # Its validator does not identify its bytes.
            await self.start_over(is_part_valid=False)
            return step.next()
        if accepted.is_divisible and total is not None and not step.is_single and self._max_connections > 1:
            kept = ByteRanges()
            kept.add(0, begin)
            sources = [source, *(other for other in self._requests.sources if other is not source)]
            async with self._requests.distributed_slots(sources, self._max_connections) as slots:
                segments = divide(kept.gaps(total), slots)
                if len(segments) > 1:
                    self._checkpoints.download = self._checkpoints.download.with_progress(received_ranges=kept.format())
                    first = OpenResponse(source=source, content=content, segment=segments[0])
                    return await self._fetch_segments(part, kept, sources, segments, first, step)
        await self._receive_rest(part, content, accepted, begin, must_hash=must_hash)
        return None if self._is_complete(accepted, begin) else step.next()

    async def resume_segments(self, step: Step) -> Step | None:
        """Receive the missing ranges of a part file with gaps; start over if nothing of it can be kept.

        Return the next step, or None if the file is complete.

        Raises:
            DownloadError: the transfer failed; received bytes are in the part file.
        """
        part, checkpoints, known = self._part, self._checkpoints, Representation.of(self._checkpoints.download)
        progress = checkpoints.download.progress
        kept = ByteRanges.parse(progress.received_ranges or "")
        first_end = next(iter(kept), (0, 0))[1]
        if progress.url_changed and await compare_end(part, known, self._requests, first_end) is None:
            await self.start_over()
            return step.next()
        async with self._requests.distributed_slots(self._requests.sources, self._max_connections) as slots:
            segments = plan_segments(kept, size=part.size, validator=known.validator, total=known.total, count=slots)
            if segments is None or known.total is None:
                await self.start_over()
                return step.next()
            await self._quota.announce(known.total, missing=known.total - kept.size, is_resumable=True)
            await part.reserve(known.total, missing=known.total - kept.size)
            checkpoints.baseline = kept.size
            self.meter.reset(kept.size)
            self.meter.total = known.total
            checkpoints.download = checkpoints.download.with_progress(
                url_changed=False, resumed_by=weakest_evidence(progress.resumed_by, ResumedBy.VALIDATOR)
            )
            checkpoints.mark_responded()
            return await self._fetch_segments(part, kept, self._requests.sources, segments, None, step)

    @property
    def _part(self) -> Part:
        part = self._checkpoints.part
        assert part is not None  # noqa: S101 - narrows the type; opened before
        return part

    @property
    def _max_connections(self) -> int:
        request = self._checkpoints.download.request
        # There is at least one to each source.
        return max(request.segments, len(self._requests.sources)) if request.method is Method.GET else 1

    async def _receive_rest(
        self, part: Part, content: Content, accepted: UseResponse, begin: int, *, must_hash: bool
    ) -> None:
        segment = Segment(begin)
        try:
            async with self._speed_floor.enforced():
                await self._make_receiver(part).receive(content, segment, may_splice=not must_hash)
        except NetworkError as error:
            if error.invalidates_part:
                # It has the announced length, so the next attempt would take it for complete.
                await self.start_over(is_part_valid=False)
            raise
        check_length(segment.position - accepted.start, accepted.length)

    async def _fetch_segments(
        self,
        part: Part,
        kept: ByteRanges,
        sources: Sequence[Source],
        segments: Sequence[Segment],
        first: OpenResponse | None,
        step: Step,
    ) -> Step | None:
        checkpoints = self._checkpoints
        self._segmented = SegmentedFetch(
            sources,
            connect=self._requests.connect,
            on_answer=self._requests.note_answer,
            receiver=self._make_receiver(part),
            kept=kept,
            known=Representation.of(checkpoints.download),
            checkpoint=lambda received: checkpoints.save_ranges(part, received),
            on_source_dropped=self._requests.record_error,
        )
        try:
            async with self._speed_floor.enforced():
                await self._segmented.fetch(segments, first)
        except RepresentationChangedError:
            checkpoints.download = checkpoints.download.with_progress(
                received_ranges=self._segmented.received().format()
            )
            self._requests.count += self._segmented.request_count
            self._segmented = None
            await self.start_over()
            return replace(step.next(), is_single=True)
        return None

    def _make_receiver(self, part: Part) -> Receiver:
        self._receiver = Receiver(
            part,
            clock=self._clock,
            limiter=self._limiter,
            flush_interval=self._flush_interval,
            before_write=lambda size, is_last: self._checkpoints.before_write(
                part, size, is_last, is_segmented=self._segmented is not None
            ),
            on_received=self._add_received,
            delays=self._delays,
        )
        return self._receiver

    def _add_received(self, nbytes: int) -> None:
        self.received_bytes += nbytes
        self._quota.add(nbytes)
        self.meter.add(nbytes, now=self._clock.monotonic())
        if self._max_size and self.meter.received > self._max_size:
            raise FileTooLargeError(self._max_size)

    def _is_complete(self, accepted: UseResponse, begin: int) -> bool:
        """Return True if nothing is missing; an origin may send less than the requested range.

        `begin` is the offset of the first new byte: a range that is compared begins before it.
        """
        if accepted.found.total is None or self.bytes_in_part == accepted.found.total:
            return True
        if self.bytes_in_part - begin < MIN_PROGRESS_BYTES:
            raise NetworkError(f"the origin sent only {accepted.length} bytes of the requested range")
        return False
