"""One go at a download: from the request to the last byte in the part file.

The attempt resumes what an earlier one left, under a strong validator only, and starts over in place when the origin
has another version or ignores ranges. What may be resumed after a crash is written down before the bytes it describes
reach the disk, so a record never vouches for bytes of another version.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from enum import Enum
from typing import Final, Protocol

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Conflict, Download
from downloadd.errors import (
    ORIGIN_ERRORS,
    DownloadError,
    ErrorCode,
    FileExistsAlreadyError,
    FileTooLargeError,
    NetworkError,
)
from downloadd.policy.redaction import filename_from_url
from downloadd.states import Trigger, advance
from downloadd.storage.destination import Destination, Part
from downloadd.storage.names import parse_filename, suggest_name
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.classification import (
    AlreadyComplete,
    RangeRequest,
    Restart,
    UseResponse,
    classify,
    classify_sample,
)
from downloadd.transfer.progress_meter import ProgressMeter
from downloadd.transfer.receiver import RateLimiter, Receiver
from downloadd.transfer.request_planning import CompletePart, plan_request, plan_segments
from downloadd.transfer.segmented import OpenResponse, RepresentationChangedError, SegmentedFetch
from downloadd.transfer.segments import Segment, divide
from downloadd.transfer.session import Content, OriginResponse, Session
from downloadd.transfer.sources import Source, distribute_slots, order_sources, select_source
from downloadd.verify import DEFAULT_ALGORITHM, check_length, check_size_and_type, checksum_algorithm

MAX_UNRECORDED_BYTES: Final = 1 << 20
"""Bytes of a file that is fetched anew rather than written down twice."""


CHECKPOINT_SECONDS: Final = 5.0
"""How often it is written down how much of a file over one connection is on stable storage: after a power cut, twice
as much is fetched again."""

CHECKPOINT_TIMEOUT: Final = 0.25
"""Seconds that the bytes of a file over one connection wait for such a note; the next one says the same and more."""

SOURCE_TIMEOUT: Final = 5.0
"""Seconds that a source has to answer in while others have not been asked; it is asked once more behind them."""

MIN_PROGRESS_BYTES: Final = 64 * 1024
"""Bytes of an answer that brings less than it was asked for; after fewer, the origin is left alone for a moment."""

SAMPLE_BYTES: Final = 64 * 1024
"""Bytes that are compared after the URL was changed."""


class ConnectionSlots(Protocol):
    """The connections that a host may have."""

    def acquire(self, host: str, count: int) -> int:
        """Takes up to `count` free slots of a host for further connections of a download that runs already."""
        ...

    def release(self, host: str, slots: int) -> None:
        """So many acquired slots are free again."""
        ...


Classification = UseResponse | AlreadyComplete | Restart


class NoSlotError(Exception):
    """What could be asked was of no use, and what is left has no free place.

    Attributes:
        source: the number of one that is left.
        failure: what the attempt fails with if it is not waited for.
    """

    def __init__(self, source: int, failure: DownloadError) -> None:
        super().__init__(failure.detail)
        self.source = source
        self.failure = failure


class FetchResult(Enum):
    """How an attempt ended well."""

    COMPLETE = "complete"
    """Every byte is in the part file."""
    SKIPPED = "skipped"
    """The name is taken, and `conflict=skip` was asked for."""


class Attempt:
    """One attempt of one download.

    Attributes:
        download: the row as this attempt knows it.
        part: the part file, once it is open.
        meter: what has come so far.
        received_bytes: bytes that this attempt received from the origin.
        responding_host: the host that answered last, after redirects.
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
        """Makes an attempt that has not begun.

        Args:
            download: the claimed row.
            session: the client.
            destination: where the part file lies.
            clock: the time.
            save: writes a row down durably, and returns it.
            on_change: told when the state has changed.
            limiter: the speed limits.
            flush_interval: seconds after which received bytes are written even if they are few.
            max_size: bytes; 0 for no limit.
            record_checksum: whether the SHA-256 is wanted though nobody compares it.
            slots: for further connections.
        """
        self.download = download
        self.part: Part | None = None
        self.meter = ProgressMeter()
        self._session = session
        self._destination = destination
        self._clock = clock
        self._save = save
        self._on_change = on_change
        self._limiter = limiter
        self._flush_interval = flush_interval
        self._max_size = max_size
        self._record_checksum = record_checksum
        self._slots = slots
        self._sources = order_sources(download)
        if download.result.error is ErrorCode.CHECKSUM_MISMATCH:
            # One of them lies: together, they would only mix what is true with what is not.
            del self._sources[1:]
        # The run has one place, and it is there.
        self._host = download.progress.host
        self._source_errors: dict[str, str] = {}
        self._segmented: SegmentedFetch | None = None
        self._is_single_connection = False
        self.received_bytes = 0
        self._request_count = 0
        self.responding_host = download.progress.host
        self._has_restarted = False
        self._must_compare_overlap = False
        self._bytes_at_start = 0
        self._is_recorded = False
        self._checkpointed_at = 0.0

    @property
    def request_count(self) -> int:
        """Requests that it has made, of whichever source."""
        return self._request_count + (0 if self._segmented is None else self._segmented.request_count)

    @property
    def algorithms(self) -> list[str]:
        """Of the digests that the file is verified with, or that are kept."""
        wanted = self.download.request.requested_checksum
        checksums = [one.checksum for one in self.download.progress.origin_digests] + (
            [] if wanted is None else [wanted]
        )
        kept = [DEFAULT_ALGORITHM] if self._record_checksum else []
        return sorted({*map(checksum_algorithm, checksums), *kept})

    @property
    def warning(self) -> str | None:
        """What there is to say though it went well: which sources were of no use."""
        return "; ".join(f"{url} was not used: {why}" for url, why in self._source_errors.items()) or None

    @property
    def has_progressed(self) -> bool:
        """Whether a further attempt starts nearer to the end: more was kept than before, and can be resumed.

        Not if what was kept before was given up: an origin that changes again and again would be asked for ever.
        """
        return (
            self._bytes_in_part > self._bytes_at_start
            and self.download.progress.validator is not None
            and not self._has_restarted
        )

    @property
    def _recorded_ranges(self) -> ByteRanges:
        """What the row says of the part file."""
        ranges = self.download.progress.received_ranges
        return ByteRanges.parse(f"0-{self.download.progress.received}" if ranges is None else ranges)

    @property
    def _bytes_in_part(self) -> int:
        """Bytes in the part file."""
        if self._segmented is not None:
            return self._segmented.received().size
        return 0 if self.part is None else self.part.size

    async def close_part(self) -> Download:
        """Lets go of the part file; the row then says what is in it, as far as the disk is in order."""
        if self.part is None:
            return self.download
        kept = None if self._segmented is None else self._segmented.received()
        received = self.part.size if kept is None else kept.size
        try:
            # What is written down must be there after a power cut too. Without a validator it is of no use anyway.
            if self.download.progress.validator is not None:
                await self.part.sync()
        except DownloadError:
            # That holds for what was written down before, and for nothing since.
            kept = self._recorded_ranges
            received = kept.size
        with suppress(DownloadError):
            await self.part.close()
        return self.download.with_progress(
            part_name=self.part.name,
            received=received,
            received_ranges=None if kept is None else kept.format(),
        )

    async def fetch(self) -> FetchResult:
        """Fetches what is missing.

        Raises:
            DownloadError: the attempt failed; what came is kept in the part file.
            NoSlotError: a source that was not asked may have it.
        """
        download = self.download
        if download.progress.part_name is not None:
            self.part = await self._destination.open_part(
                directory=download.request.directory,
                filename=parse_filename(download.filename),
                download_id=download.id,
                epoch=download.epoch,
                existing=download.progress.part_name,
            )
            # It bears this run's epoch now: a crash while it is published must find it by this name.
            self.download = self.download.with_progress(part_name=self.part.name)
            if self.download.progress.url_changed and not await self._matches_sample(self.part):
                await self._restart()
            if self.download.progress.received_ranges is not None:
                if await self._resume_segments(self.part):
                    return FetchResult.COMPLETE
            elif self.part.size > self.download.progress.received:
                # A run that was killed has left more than it could write down.
                await self.part.sync()
                self.download = self.download.with_progress(received=self.part.size)
            self._bytes_at_start = self.part.size
            self.meter.reset(self.part.size)
        elif download.request.requested_name is not None and await self._is_name_taken():
            return FetchResult.SKIPPED
        without_range = False
        while True:
            received = 0 if self.part is None else self.part.size
            row = self.download
            request = (
                RangeRequest()
                if without_range
                else plan_request(
                    received=received,
                    validator=row.progress.validator,
                    total=row.progress.total,
                    coding=row.progress.coding,
                    content_type=row.result.content_type,
                    overlap=SAMPLE_BYTES
                    if self._must_compare_overlap
                    or row.progress.final_url_digest is not None
                    or row.progress.coding is not None
                    else 0,
                )
            )
            if isinstance(request, CompletePart):
                return FetchResult.COMPLETE
            async with self._first_response(request) as (source, response, classification):
                match classification:
                    case AlreadyComplete():
                        self.download = self.download.with_progress(total=request.start)
                        return FetchResult.COMPLETE
                    case Restart():
                        # What was received stays until the answer to that is accepted.
                        without_range = True
                        continue
                    case UseResponse() if classification.start == received > 0 and self._has_other_final_url(
                        source, response
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

    def _has_other_final_url(self, source: Source, response: OriginResponse) -> bool:
        """Whether redirects have led to another resource than for the bytes that are there, whose end must agree then.

        An entity tag says nothing of other resources (RFC 9110, section 8.8.3), but those that a redirect chooses among
        are copies as a rule. Of mirrors, whoever named them has said so.
        """
        return (
            source.index == self.download.progress.source
            and response.final_url_digest != self.download.progress.final_url_digest
        )

    @asynccontextmanager
    async def _first_response(
        self, request: RangeRequest
    ) -> AsyncIterator[tuple[Source, OriginResponse, Classification]]:
        """The first answer of use that a source gives.

        Raises:
            DownloadError: none does. One that may pass is told before one that lasts.
            NoSlotError: none does of those that have a free place.
        """
        failures: list[tuple[DownloadError, str]] = []
        busy: list[Source] = []
        line = deque((source, True) for source in self._sources)
        while line:
            source, is_new = line.popleft()
            async with AsyncExitStack() as stack:
                if not stack.enter_context(self._slot_at(source.host)):
                    busy.append(source)
                    continue
                self.responding_host = source.host
                self._request_count += 1
                try:
                    async with asyncio.timeout(SOURCE_TIMEOUT if is_new and line else None):
                        response = await stack.enter_async_context(self._session.get(source.url, request))
                    self.responding_host = response.url.host
                    classification = classify(request, response.head, now=self._clock.wall(), max_size=self._max_size)
                    if isinstance(classification, UseResponse):
                        response.content.expected_length = classification.length
                except TimeoutError:
                    line.append((source, False))
                    continue
                except ORIGIN_ERRORS as error:
                    failures.append((error, self.responding_host))
                    self._record_source_error(source, error.detail)
                    continue
                # Those that have just failed are not asked for more.
                self._sources = [source, *(other for other, _ in line), *busy]
                yield source, response, classification
                return
        if not failures:
            raise NoSlotError(busy[0].index, NetworkError(f"no place is free at {busy[0].host}"))
        worst, self.responding_host = next((one for one in failures if one[0].transient), failures[0])
        if busy:
            raise NoSlotError(busy[0].index, worst)
        raise worst

    @contextmanager
    def _slot_at(self, host: str) -> Iterator[bool]:
        """Whether there is a place for one connection to the host, as long as it lasts."""
        if host == self._host:
            yield True
            return
        slots = self._slots.acquire(host, 1)
        try:
            yield slots > 0
        finally:
            self._slots.release(host, slots)

    def _record_source_error(self, source: Source, problem: str) -> None:
        """Keeps what is wrong with one of several sources, to be told at the end."""
        if self.download.request.mirrors:
            self._source_errors[source.redacted_url] = problem

    async def _is_name_taken(self) -> bool:
        """Applies `skip` and `error` before bytes are fetched in vain; the commit applies them again."""
        download = self.download
        if download.request.conflict not in {Conflict.SKIP, Conflict.ERROR}:
            return False
        if not await self._destination.exists(
            directory=download.request.directory, filename=parse_filename(download.filename)
        ):
            return False
        if download.request.conflict is Conflict.ERROR:
            raise FileExistsAlreadyError(download.file_path)
        return True

    async def _matches_sample(self, part: Part) -> bool:
        """Whether the changed URL leads to what is in the part: the same length, validator, and last bytes."""
        download = self.download
        ranges = download.progress.received_ranges
        received = ByteRanges.parse(f"0-{part.size}" if ranges is None else ranges)
        if not received.size or received.end > part.size or download.progress.total is None:
            return False
        start, end = next(iter(received))
        request = RangeRequest(
            start=max(start, end - SAMPLE_BYTES), end=end, total=download.progress.total, is_comparison=True
        )
        async with self._session.get(download.request.url, request) as response:
            validator = classify_sample(request, response.head, now=self._clock.wall())
            if validator is None or download.progress.validator not in {None, validator}:
                return False
            sample = bytearray()
            while len(sample) <= end - request.start and (data := await response.content.read()):
                sample += data
        if sample != await part.read(request.start, end - request.start):
            return False
        self.download = await self._save(
            self.download.with_progress(
                validator=validator, final_url_digest=response.final_url_digest, url_changed=False
            )
        )
        return True

    async def _restart(self) -> None:
        if self.part is not None:
            self._has_restarted = self._has_restarted or self._bytes_at_start > 0
            await self.part.clear()
        self.meter.reset(0)
        self.download = await self._save(
            self.download.with_progress(received=0, received_ranges=None, url_changed=False, total=None, validator=None)
        )

    def _check_size_and_type(self, size: int | None, content_type: str | None) -> None:
        wanted = self.download
        check_size_and_type(
            size=size,
            content_type=content_type,
            expected_size=wanted.request.expected_size,
            expected_type=wanted.request.expected_type,
        )

    async def _prepare_part(self, response: OriginResponse, accepted: UseResponse, request: RangeRequest) -> bool:
        """Makes the part file and the row fit the response; False when the name is taken and to be skipped."""
        if accepted.start == 0 and self.part is not None and self.part.size > 0:
            # Bytes of another version must never stand under the new validator, nor the other way round.
            await self._restart()
        self._check_size_and_type(accepted.total, accepted.content_type)
        if request.start == 0:
            name = suggest_name(
                self.download.request.requested_name, accepted.suggested_filename, filename_from_url(response.url)
            )
            self.download = replace(self.download, filename=name)
            if await self._is_name_taken():
                return False
        if self.part is None:
            self.part = await self._destination.open_part(
                directory=self.download.request.directory,
                filename=parse_filename(self.download.filename),
                download_id=self.download.id,
                epoch=self.download.epoch,
                existing=None,
            )
        if accepted.total is not None:
            await self._destination.check_free_space(accepted.total - accepted.start)
            await self.part.reserve(accepted.total)
        self.meter.total = accepted.total
        # A 206 need not repeat what the 200 before it said (RFC 9110, section 15.3.7).
        earlier = self.download if accepted.start > 0 else None
        known = () if earlier is None else earlier.progress.origin_digests
        self.download = replace(
            self.download.with_result(
                content_type=accepted.content_type or (earlier and earlier.result.content_type),
            ).with_progress(
                part_name=self.part.name,
                url_changed=False,
                total=accepted.total,
                validator=accepted.validator,
                coding=accepted.coding,
                final_url_digest=response.final_url_digest,
                origin_digests=(*known, *(digest for digest in accepted.origin_digests if digest not in known)),
                last_modified=accepted.last_modified or (earlier and earlier.progress.last_modified),
            ),
            state=advance(self.download.state, Trigger.RESPOND),
        )
        self.part.hash_while_writing(self.algorithms)
        self._is_recorded = False
        self._on_change()
        return True

    async def _receive(self, source: Source, response: OriginResponse, accepted: UseResponse) -> bool:
        """Moves the content into the part file; False when another version came in between, so that nothing is kept."""
        assert self.part is not None  # noqa: S101 - narrows the type; opened before
        begin = max(accepted.start, self.part.size)
        if begin > accepted.start and not await self._matches_part(self.part, response.content, accepted.start, begin):
            await self._restart()
            return False
        divisible = accepted.total is not None and accepted.validator is not None and not self._is_single_connection
        if divisible and self._max_connections > 1:
            assert accepted.total is not None  # noqa: S101 - narrows the type
            kept = ByteRanges()
            kept.add(0, begin)
            sources = [source, *(other for other in self._sources if other is not source)]
            with self._slots_for(sources) as slots:
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
                # It has the length that was announced, and the next attempt would take it for whole.
                await self._restart()
            raise
        check_length(segment.position - accepted.start, accepted.length)
        return True

    async def _matches_part(self, part: Part, content: Content, start: int, end: int) -> bool:
        """Whether a content begins with what the part has there."""
        again = bytearray()
        while len(again) < end - start and (data := await content.read(end - start - len(again))):
            again += data
            content.release(len(data))
        return bytes(again) == await part.read(start, end - start)

    async def _resume_segments(self, part: Part) -> bool:
        """Fetches what is missing of a part that has gaps; False when nothing of it can be kept."""
        download = self.download
        with self._slots_for(self._sources) as slots:
            kept = ByteRanges.parse(download.progress.received_ranges or "")
            segments = plan_segments(
                kept, size=part.size, validator=download.progress.validator, total=download.progress.total, count=slots
            )
            if segments is None:
                await self._restart()
                return False
            assert download.progress.total is not None  # noqa: S101 - narrows the type; there are no segments without
            await part.reserve(download.progress.total)
            self._bytes_at_start = kept.size
            self.meter.reset(kept.size)
            self.meter.total = download.progress.total
            self.download = replace(download, state=advance(download.state, Trigger.RESPOND))
            self._is_recorded = False
            self._on_change()
            return await self._fetch_segments(part, kept, self._sources, segments, None)

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
            checkpoint=self._save_ranges,
            on_source_dropped=self._record_source_error,
        )
        try:
            await self._segmented.fetch(segments, first)
        except RepresentationChangedError:
            self._segmented = None
            self._is_single_connection = True
            await self._restart()
            return False
        return True

    async def _save_ranges(self, received: ByteRanges) -> None:
        """Writes down which bytes are in the part file, once they are on the disk."""
        assert self.part is not None  # noqa: S101 - narrows the type; opened before
        if self._is_recorded:
            await self.part.sync()
            self.download = await self._save(
                self.download.with_progress(received=received.size, received_ranges=received.format())
            )

    @property
    def _max_connections(self) -> int:
        """How many are wanted: as many as asked for, and one to each source at least."""
        return max(self.download.request.segments, len(self._sources))

    @contextmanager
    def _slots_for(self, sources: Sequence[Source]) -> Iterator[int]:
        """Gives each source its slots, and says how many there are in all, as long as it lasts."""
        acquired = distribute_slots(sources, self._max_connections, self._slots.acquire)
        try:
            yield 1 + sum(slots for _, slots in acquired)
        finally:
            for host, slots in acquired:
                self._slots.release(host, slots)

    def _receiver(self, part: Part) -> Receiver:
        return Receiver(
            part,
            clock=self._clock,
            limiter=self._limiter,
            flush_interval=self._flush_interval,
            before_write=self._before_write,
            on_received=self._add_received,
        )

    def _add_received(self, nbytes: int) -> None:
        self.received_bytes += nbytes
        self.meter.add(nbytes, now=self._clock.monotonic())
        if self._max_size and self.meter.received > self._max_size:
            raise FileTooLargeError(self._max_size)

    async def _before_write(self, size: int, last: bool) -> None:
        # Whoever has everything writes down next that it is about to be published: a part that is not vouched for until
        # then is lost to a crash in between, and so is little more than the time of a write.
        if not self._is_recorded:
            if last and size <= MAX_UNRECORDED_BYTES:
                return
            self.download = await self._save(self.download)
            self._is_recorded = True
            self._checkpointed_at = self._clock.monotonic()
        elif self._segmented is None and self._clock.monotonic() - self._checkpointed_at >= CHECKPOINT_SECONDS:
            self._checkpointed_at = self._clock.monotonic()
            await self._checkpoint()

    async def _checkpoint(self) -> None:
        """Writes down what was brought to stable storage meanwhile, and begins with what has come since."""
        assert self.part is not None  # noqa: S101 - narrows the type; opened before
        if self.download.progress.validator is not None:
            if self.part.synced > self.download.progress.received:
                # What was asked of the records is done in its order, so that a note that comes late undoes nothing.
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECKPOINT_TIMEOUT):
                        self.download = await self._save(self.download.with_progress(received=self.part.synced))
            self.part.start_sync()

    def _is_complete(self, accepted: UseResponse) -> bool:
        """Whether nothing is missing; an origin may send less than the range it was asked for."""
        if accepted.total is None or self._bytes_in_part == accepted.total:
            return True
        if accepted.length is not None and accepted.length < MIN_PROGRESS_BYTES:
            raise NetworkError(f"the origin sent {accepted.length} bytes of the rest")
        return False
