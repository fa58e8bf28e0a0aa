"""Transfer of one file over several connections, from one source or from several.

Each connection receives a segment, and then a part of another segment, so that both end at the same time. Bytes of two
versions are never mixed: every further connection requests its range under the validator of the first response.
Checkpoints record the received ranges after they are on stable storage.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from downloadd.errors import ORIGIN_ERRORS, DownloadError, NetworkError
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.classification import AlreadyComplete, RangeRequest, Restart, UseResponse, classify
from downloadd.transfer.content import Content
from downloadd.transfer.receiver import Receiver
from downloadd.transfer.segments import Segment, split
from downloadd.transfer.session import OriginResponse, Session
from downloadd.transfer.sources import Source

CHECKPOINT_SECONDS: Final = 2.0
"""Seconds between checkpoints; that much is received again after a crash."""

SPLIT_RETRY_SECONDS: Final = 0.2
"""Seconds after which an idle connection tries again to split a segment."""


class RepresentationChangedError(Exception):
    """A response is of another version, or no source has the version of the validator."""


class RangeIgnoredError(Exception):
    """The source ignores Range."""


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
        session: Session,
        receiver: Receiver,
        kept: ByteRanges,
        validator: str,
        total: int,
        coding: str | None,
        content_type: str | None,
        now: Callable[[], float],
        checkpoint: Callable[[ByteRanges], Awaitable[None]],
        on_source_dropped: Callable[[Source, str], None],
    ) -> None:
        """Make a transfer that has not started.

        Args:
            sources: the sources, with their slots.
            session: the client.
            receiver: writes received bytes to the part file.
            kept: the ranges in the part file.
            validator: the strong validator of the bytes.
            total: the complete length.
            coding: the content coding of the bytes.
            content_type: the Content-Type received with them, if any.
            now: returns Unix time.
            checkpoint: called periodically with the ranges in the part file.
            on_source_dropped: called with a source that is no longer used, and the reason.
        """
        self._sources = sources
        self._session = session
        self._receiver = receiver
        self._kept = kept
        self._validator = validator
        self._total = total
        self._coding = coding
        self._content_type = content_type
        self._now = now
        self._checkpoint = checkpoint
        self._on_source_dropped = on_source_dropped
        self._pending: list[Segment] = []
        self._running: list[Segment] = []
        self._finished: list[Segment] = []
        self._workers: dict[asyncio.Task[None], Source] = {}
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
            RepresentationChangedError: the representation has changed, or required ranges are refused.
            DownloadError: every connection failed; received bytes are in the part file.
        """
        self._pending = [segment for segment in segments if first is None or segment is not first.segment]
        failure: DownloadError | None = None
        checkpoints = asyncio.get_running_loop().create_task(self._checkpoint_periodically())
        try:
            if first is not None:
                self._start_worker(first.source, first)
            self._start_workers()
            while self._workers and not self._is_complete():
                done, _ = await asyncio.wait((*self._workers, checkpoints), return_when=asyncio.FIRST_COMPLETED)
                if checkpoints in done:
                    checkpoints.result()
                for worker in done & self._workers.keys():
                    failure = self._finish_worker(worker, first) or failure
                self._start_workers()
        finally:
            unfinished = (*self._workers, checkpoints)
            for task in unfinished:
                task.cancel()
            await asyncio.wait(unfinished)
            for source in self._workers.values():
                source.connections -= 1
            self._workers.clear()
        if not self._is_complete():
            raise failure or RepresentationChangedError

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

    def _finish_worker(self, worker: asyncio.Task[None], first: OpenResponse | None) -> DownloadError | None:
        """Return the error of a connection, if any. The others continue; the rest of its segment is pending.

        Raises:
            RepresentationChangedError: the source that the validator is from has another version.
            DownloadError: an error that the source did not cause.
        """
        source = self._workers.pop(worker)
        source.connections -= 1
        is_first = first is not None and source is first.source
        try:
            worker.result()
        except ORIGIN_ERRORS as error:
            if isinstance(error, NetworkError) and error.invalidates_part:
                self._drop_source(source, error.detail)
                return error
            source.slots -= 1
            if not source.slots:
                self._on_source_dropped(source, error.detail)
            return error
        except RangeIgnoredError:
            if not is_first:
                self._drop_source(source, "it gives no ranges")
            elif any(one.slots for one in self._sources if one is not source):
                source.slots = source.connections
            elif not self._fall_back_to_one_connection(first):
                raise RepresentationChangedError from None
        except RepresentationChangedError as error:
            if is_first:
                raise
            self._drop_source(source, str(error))
        return None

    def _drop_source(self, source: Source, reason: str) -> None:
        if source.slots:
            source.slots = 0
            self._on_source_dropped(source, reason)

    async def _work(self, source: Source, first: OpenResponse | None) -> None:
        loop = asyncio.get_running_loop()
        rate: float | None = None
        while True:
            if first is not None:
                segment = first.segment
                async with self._active(segment):
                    await self._receive(first.content, segment)
                # Its content may be much longer than its segment, and the connection uses a slot.
                first.content.close()
                first = None
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
        request = RangeRequest(
            start=segment.position,
            end=segment.end,
            validator=self._validator,
            total=self._total,
            coding=self._coding,
            content_type=self._content_type,
        )
        self.request_count += 1
        async with self._session.get(source.url, request) as response:
            match classify(request, response.head, now=self._now(), max_size=0):
                case UseResponse(is_partial=True, length=length):
                    response.content.expected_length = length
                    yield response
                case UseResponse():
                    raise RangeIgnoredError
                case Restart(reason=reason):
                    raise RepresentationChangedError(reason)
                case AlreadyComplete():
                    raise RepresentationChangedError("the file is shorter")

    async def _receive(self, content: Content, segment: Segment) -> None:
        await self._receiver.receive(content, segment, may_splice=True)
        if segment.end is not None and segment.position < segment.end:
            raise NetworkError(f"the transfer ended after {segment.position} of {segment.end} bytes")

    def _fall_back_to_one_connection(self, first: OpenResponse | None) -> bool:
        """Extend the first segment to the end, as its content has everything; return False if that is impossible."""
        if first is None or first.segment not in self._running:
            return False
        others = [segment for segment in (*self._running, *self._finished) if segment is not first.segment]
        if any(segment.position > segment.start for segment in others):
            return False
        self._pending.clear()
        first.segment.end = self._total
        return True

    async def _checkpoint_periodically(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            await self._checkpoint(self.received())
