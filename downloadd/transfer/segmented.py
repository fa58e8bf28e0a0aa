"""Transfer of one file over several connections, from one source or from several.

Each connection receives a segment, and then a part of another segment, so that both end at the same time. Bytes of two
versions are never mixed: every further connection requests its range under the validator of the first response. An
origin that refuses a further connection loses that connection only: the first one receives the rest if it is the last.
Checkpoints record the received ranges after they are on stable storage.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import msgspec

from downloadd.errors import ORIGIN_ERRORS, DownloadError, NetworkError
from downloadd.origin.content import Content
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.classification import AlreadyComplete, AskAgain, Restart, UseResponse, classify
from downloadd.transfer.connection_slots import NoTargetSlotError
from downloadd.transfer.receiver import Receiver
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import Evidence, RangeRequest
from downloadd.transfer.segments import Segment, split
from downloadd.transfer.session import OriginResponse
from downloadd.transfer.source_requests import NoSlotError
from downloadd.transfer.sources import Source

CHECKPOINT_SECONDS: Final = 2.0
"""Seconds between checkpoints; that much is received again after a crash."""

SPLIT_RETRY_SECONDS: Final = 0.2
"""Seconds after which an idle connection tries again to split a segment."""


class RepresentationChangedError(Exception):
    """A response is of another version, or no source has the version of the validator."""


class RangeIgnoredError(RepresentationChangedError):
    """The source ignores Range."""


class RangeRefusedError(RepresentationChangedError):
    """The response is not the range, and does not show that the representation has changed."""


class OpenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response that was received before the segments were planned."""

    source: Source
    content: Content
    segment: Segment


class SegmentedFetch:
    """Transfer of the missing ranges of one representation.

    Attributes:
        request_count: number of requests.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        connect: Callable[[Source, RangeRequest], AbstractAsyncContextManager[OriginResponse]],
        on_answer: Callable[[OriginResponse], None],
        receiver: Receiver,
        kept: ByteRanges,
        known: Representation,
        checkpoint: Callable[[ByteRanges], Awaitable[None]],
        on_source_dropped: Callable[[Source, str], None],
    ) -> None:
        """Make a transfer that has not started.

        Args:
            sources: the sources, with their slots.
            connect: returns the context of a response; it may raise NoTargetSlotError.
            on_answer: called with each response of which content is used.
            receiver: writes received bytes to the part file.
            kept: the ranges in the part file.
            known: the representation of the bytes; it has a strong validator and a complete length.
            checkpoint: called periodically with the ranges in the part file.
            on_source_dropped: called with a source that is no longer used, and the reason.
        """
        self._sources = sources
        self._connect = connect
        self._on_answer = on_answer
        self._receiver = receiver
        self._kept = kept
        self._known = known
        self._checkpoint = checkpoint
        self._on_source_dropped = on_source_dropped
        self._pending: list[Segment] = []
        self._running: list[Segment] = []
        self._finished: list[Segment] = []
        self._workers: dict[asyncio.Task[None], Source] = {}
        self._first: OpenResponse | None = None
        self._first_source: Source | None = None
        self._has_answer = False
        self._waits_for: NoSlotError | None = None
        self._first_may_end = asyncio.Event()
        self._sources_without_precondition: set[int] = set()
        self.request_count = 0

    def received(self) -> ByteRanges:
        """Return the ranges in the part file."""
        ranges = ByteRanges()
        for start, end in self._kept:
            ranges.add(start, end)
        for segment in (*self._finished, *self._running):
            ranges.add(segment.start, segment.position)
        return ranges

    async def fetch(self, segments: Sequence[Segment], first: OpenResponse | None) -> None:
        """Receive these segments, each on its own connection; `first` is the open response for one of them.

        Raises:
            RepresentationChangedError: the representation has changed, or required ranges are not sent.
            DownloadError: every connection failed; received bytes are in the part file. The error is transient if any
                connection was answered: the origin may have refused the further ones only.
            NoSlotError: no connection failed, but redirects lead to an origin without a free slot.
        """
        self._pending = [segment for segment in segments if first is None or segment is not first.segment]
        self._first, self._has_answer = first, first is not None
        self._first_source = None if first is None else first.source
        failure: DownloadError | RepresentationChangedError | None = None
        checkpoints = asyncio.get_running_loop().create_task(self._checkpoint_periodically())
        try:
            if first is not None:
                self._start_worker(first.source, first)
            self._start_workers()
            self._extend_first()
            while self._workers and not self._is_complete():
                done, _ = await asyncio.wait((*self._workers, checkpoints), return_when=asyncio.FIRST_COMPLETED)
                if checkpoints in done:
                    checkpoints.result()
                for worker in done & self._workers.keys():
                    failure = self._finish_worker(worker) or failure
                self._start_workers()
                self._extend_first()
        finally:
            unfinished = (*self._workers, checkpoints)
            for task in unfinished:
                task.cancel()
            await asyncio.wait(unfinished)
            for source in self._workers.values():
                source.connections -= 1
            self._workers.clear()
        if not self._is_complete():
            raise self._select_error(failure)

    def _is_complete(self) -> bool:
        """Return True if nothing is missing; a connection may still wait for bytes that another has received."""
        return not self._pending and all(segment.is_complete for segment in self._running)

    def _start_workers(self) -> None:
        idle_count = len(self._pending)
        for source in self._sources:
            for _ in range(min(idle_count, source.free_slots)):
                self._start_worker(source, None)
                idle_count -= 1

    def _start_worker(self, source: Source, first: OpenResponse | None) -> None:
        source.connections += 1
        self._workers[asyncio.get_running_loop().create_task(self._work(source, first))] = source

    def _finish_worker(self, worker: asyncio.Task[None]) -> DownloadError | RepresentationChangedError | None:
        """Return the error of a connection, if any. The others continue; the rest of its segment is pending.

        Raises:
            RepresentationChangedError: the source of the first response has another version.
            DownloadError: an error that the source did not cause.
        """
        source = self._workers.pop(worker)
        source.connections -= 1
        try:
            worker.result()
        except NoTargetSlotError as error:
            self._limit_source(source, source.slots - 1, str(error))
            self._waits_for = NoSlotError(source.index, target=error.origin)
        except ORIGIN_ERRORS as error:
            is_invalid = isinstance(error, NetworkError) and error.invalidates_part
            self._limit_source(source, 0 if is_invalid else source.slots - 1, error.detail)
            return error
        except RangeIgnoredError as error:
            # Only the first response, which has no range, can be used.
            self._limit_source(source, int(self._is_first_open(source)), "it gives no ranges")
            return error
        except RangeRefusedError as error:
            self._limit_source(source, source.slots - 1, str(error))
            return error
        except RepresentationChangedError as error:
            if self._first_source is source:
                # The first response may be of a file that is being written.
                raise
            self._limit_source(source, 0, str(error))
            return error
        return None

    def _is_first_open(self, source: Source) -> bool:
        return self._first is not None and self._first.source is source

    def _limit_source(self, source: Source, slots: int, reason: str) -> None:
        """Reduce the connections of a source; without any it is dropped."""
        if source.slots and slots <= 0:
            self._on_source_dropped(source, reason)
        source.slots = max(0, min(source.slots, slots))

    def _select_error(self, failure: DownloadError | RepresentationChangedError | None) -> Exception:
        """Return the error of a transfer that has no connection any more."""
        if failure is None:
            return self._waits_for or RepresentationChangedError()
        if isinstance(failure, DownloadError) and self._has_answer and not failure.transient:
            return NetworkError(f"the origin refused further connections: {failure.detail}")
        return failure

    def _extend_first(self) -> None:
        """Let the first connection receive the segments behind its own if it is the only one left."""
        first = self._first
        if first is None or first.segment in self._finished or len(self._workers) > 1:
            return
        self._first_may_end.set()
        while following := [segment for segment in self._pending if segment.start == first.segment.end]:
            self._pending.remove(following[0])
            first.segment.end = following[0].end

    async def _work(self, source: Source, first: OpenResponse | None) -> None:
        loop = asyncio.get_running_loop()
        rate: float | None = None
        while True:
            if first is not None:
                segment = first.segment
                async with self._active(segment):
                    # Until another connection has a range, this one may have to receive everything.
                    await self._receive(first.content, segment, before_end=self._first_may_end.wait)
                # Its content may be much longer than its segment, and the connection uses a slot.
                first.content.close()
                self._first = first = None
            else:
                planned = self._pending.pop(0) if self._pending else split(self._running, rate=rate, now=loop.time())
                if planned is None:
                    if not any(segment.is_worth_splitting(loop.time()) for segment in self._running):
                        return
                    # Bytes that are being written cannot be taken over now; they may fail and become pending.
                    await asyncio.sleep(SPLIT_RETRY_SECONDS)
                    continue
                segment = planned
                async with self._active(segment), self._request(source, segment) as response:
                    await self._receive(response.content, segment)
            rate = segment.average_rate(loop.time()) or rate

    @asynccontextmanager
    async def _active(self, segment: Segment) -> AsyncIterator[None]:
        """Keep a segment in the list of running ones; after any end, its rest is pending."""
        segment.started_at = asyncio.get_running_loop().time()
        self._running.append(segment)
        try:
            yield
        except NetworkError as error:
            if error.invalidates_part:
                segment.position = segment.read_position = segment.start
            raise
        finally:
            self._running.remove(segment)
            self._finished.append(segment)
            if segment.end is not None and segment.position < segment.end:
                self._pending.append(Segment(segment.position, segment.end))

    @asynccontextmanager
    async def _request(self, source: Source, segment: Segment) -> AsyncIterator[OriginResponse]:
        if source.index not in self._sources_without_precondition:
            async with self._respond(source, segment, Evidence.IF_RANGE) as response:
                if response is not None:
                    yield response
                    return
            # The source sends no range for a precondition: the validator of the response is compared instead.
            self._sources_without_precondition.add(source.index)
        async with self._respond(source, segment, Evidence.VALIDATOR) as response:
            if response is None:
                raise RangeRefusedError("it sends no validator")
            yield response

    @asynccontextmanager
    async def _respond(
        self, source: Source, segment: Segment, evidence: Evidence
    ) -> AsyncIterator[OriginResponse | None]:
        """Yield a response with the range of a segment; None if it does not have the evidence of the request."""
        request = RangeRequest(
            start=segment.position,
            end=segment.end,
            evidence=evidence,
            if_range=self._known.validator if evidence is Evidence.IF_RANGE else None,
        )
        self.request_count += 1
        async with self._connect(source, request) as response:
            match classify(request, self._known, response.head, max_size=0):
                case UseResponse(is_partial=True, length=length):
                    response.content.expected_length = length
                    self._has_answer = True
                    self._on_answer(response)
                    self._first_may_end.set()
                    yield response
                case UseResponse():
                    raise RangeIgnoredError
                case AskAgain():
                    yield None
                case Restart(reason=reason, is_new_version=is_new_version):
                    raise (RepresentationChangedError if is_new_version else RangeRefusedError)(reason)
                case AlreadyComplete():
                    raise RepresentationChangedError("the file is shorter")

    async def _receive(
        self, content: Content, segment: Segment, before_end: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        await self._receiver.receive(content, segment, may_splice=True, before_end=before_end)
        if segment.end is not None and segment.position < segment.end:
            raise NetworkError(f"the transfer ended after {segment.position} of {segment.end} bytes")

    async def _checkpoint_periodically(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            await self._checkpoint(self.received())
