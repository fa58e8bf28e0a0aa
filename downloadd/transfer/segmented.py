"""One file over several connections, from one source or from several.

Each connection fetches a segment, and takes from another's what lets both end together when it is done with its own.
Bytes of two versions never meet: every further connection asks under the validator of the first answer. What has
come is written down while it comes, and only after it is on the disk.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from downloadd.errors import ORIGIN_ERRORS, DownloadError, NetworkError
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.classification import AlreadyComplete, RangeRequest, Restart, UseResponse, classify
from downloadd.transfer.receiver import Receiver
from downloadd.transfer.segments import Segment, split
from downloadd.transfer.session import Content, OriginResponse, Session
from downloadd.transfer.sources import Source

CHECKPOINT_SECONDS: Final = 2.0
"""How often it is written down what has come; as much is fetched again after a crash."""


SPLIT_RETRY_SECONDS: Final = 0.2
"""How soon a connection that is done looks again whether another one needs help."""


class RepresentationChangedError(Exception):
    """A connection was given bytes of another version, or nothing is to be had under the validator."""


class RangeIgnoredError(Exception):
    """The source does not give a range."""


class OpenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The connection that has an answer already."""

    source: Source
    content: Content
    segment: Segment


class SegmentedFetch:
    """Fetches what is missing of one representation.

    Attributes:
        request_count: requests that it has made.
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
        """Makes a fetch that has not begun.

        Args:
            sources: where it can be had, with their slots.
            session: the client.
            receiver: where the bytes go.
            kept: what is there already.
            validator: the strong validator of the bytes.
            total: the complete length.
            coding: the content coding of the bytes.
            content_type: the media type that they came with, if any.
            now: Unix time.
            checkpoint: called with what is there, again and again.
            on_source_dropped: told which source is of no use, and why.
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
        """What is in the part file."""
        ranges = ByteRanges()
        for start, end in self._kept:
            ranges.add(start, end)
        for segment in (*self._finished, *self._running):
            ranges.add(segment.start, segment.position)
        return ranges

    async def fetch(self, segments: Sequence[Segment], first: OpenResponse | None) -> None:
        """Fetches these segments, each on a connection of its own; `first` has an answer for one of them.

        Raises:
            RepresentationChangedError: the representation has changed, or ranges are refused when they are needed.
            DownloadError: every connection failed; what came is there.
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
        """Whether nothing is missing; a connection may still wait for bytes that came by another."""
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
        """What a connection failed with, if it did. The others go on; what it has left is somebody else's.

        Raises:
            RepresentationChangedError: the one that the validator came from has another version.
            DownloadError: the failure is not the source's.
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

    def _drop_source(self, source: Source, why: str) -> None:
        if source.slots:
            source.slots = 0
            self._on_source_dropped(source, why)

    async def _work(self, source: Source, first: OpenResponse | None) -> None:
        loop = asyncio.get_running_loop()
        rate: float | None = None
        while True:
            if first is not None:
                segment = first.segment
                async with self._active(segment):
                    await self._receive(first.content, segment)
                # It may go on for much longer than its segment, and takes up the place of the next connection.
                first.content.close()
                first = None
            else:
                due = self._pending.pop(0) if self._pending else split(self._running, rate=rate, now=loop.time())
                if due is None:
                    if not any(segment.is_worth_splitting(loop.time()) for segment in self._running):
                        return
                    # What is on its way to the disk cannot be taken at this moment, and may never come.
                    await asyncio.sleep(SPLIT_RETRY_SECONDS)
                    continue
                segment = due
                async with self._active(segment), self._request(source, segment) as response:
                    await self._receive(response.content, segment)
            rate = segment.average_rate(loop.time()) or rate

    @asynccontextmanager
    async def _active(self, segment: Segment) -> AsyncIterator[None]:
        """Whatever becomes of it, what a segment has left is not lost."""
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
                    raise RepresentationChangedError("its file is shorter")

    async def _receive(self, content: Content, segment: Segment) -> None:
        await self._receiver.receive(content, segment, may_splice=True)
        if segment.end is not None and segment.position < segment.end:
            raise NetworkError(f"the transfer ended after {segment.position} of {segment.end} bytes")

    def _fall_back_to_one_connection(self, first: OpenResponse | None) -> bool:
        """Lets the first connection, which is given everything, go on to the end; False when it cannot."""
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
