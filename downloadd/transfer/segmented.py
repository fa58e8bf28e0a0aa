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

from downloadd.errors import OF_THE_ORIGIN, DownloadError, NetworkError
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.reception import Reception
from downloadd.transfer.response import Accepted, AlreadyComplete, Asked, StartOver, judge
from downloadd.transfer.segments import Segment, split
from downloadd.transfer.session import Answer, Content, Session
from downloadd.transfer.sources import Source

WRITE_DOWN_SECONDS: Final = 2.0
"""How often it is written down what has come; as much is fetched again after a crash."""


LOOK_AGAIN_SECONDS: Final = 0.2
"""How soon a connection that is done looks again whether another one needs help."""


class OtherVersionError(Exception):
    """A connection was given bytes of another version, or nothing is to be had under the validator."""


class RangeRefusedError(Exception):
    """The source does not give a range."""


class First(msgspec.Struct, frozen=True, kw_only=True):
    """The connection that has an answer already."""

    source: Source
    content: Content
    segment: Segment


class SegmentedFetch:
    """Fetches what is missing of one representation.

    Attributes:
        asked: requests that it has made.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        session: Session,
        reception: Reception,
        kept: ByteRanges,
        validator: str,
        total: int,
        coding: str | None,
        content_type: str | None,
        now: Callable[[], float],
        write_down: Callable[[ByteRanges], Awaitable[None]],
        dropped: Callable[[Source, str], None],
    ) -> None:
        """Makes a fetch that has not begun.

        Args:
            sources: where it can be had, with their places.
            session: the client.
            reception: where the bytes go.
            kept: what is there already.
            validator: the strong validator of the bytes.
            total: the complete length.
            coding: the content coding of the bytes.
            content_type: the media type that they came with, if any.
            now: Unix time.
            write_down: called with what is there, again and again.
            dropped: told which source is of no use, and why.
        """
        self._sources = sources
        self._session = session
        self._reception = reception
        self._kept = kept
        self._validator = validator
        self._total = total
        self._coding = coding
        self._content_type = content_type
        self._now = now
        self._write_down = write_down
        self._dropped = dropped
        self._pending: list[Segment] = []
        self._running: list[Segment] = []
        self._ended: list[Segment] = []
        self._working: dict[asyncio.Task[None], Source] = {}
        self.asked = 0

    def received(self) -> ByteRanges:
        """What is in the part file."""
        ranges = ByteRanges()
        for start, end in self._kept:
            ranges.add(start, end)
        for segment in (*self._ended, *self._running):
            ranges.add(segment.start, segment.position)
        return ranges

    async def fetch(self, segments: Sequence[Segment], first: First | None) -> None:
        """Fetches these segments, each on a connection of its own; `first` has an answer for one of them.

        Raises:
            OtherVersionError: the representation has changed, or ranges are refused when they are needed.
            DownloadError: every connection failed; what came is there.
        """
        self._pending = [segment for segment in segments if first is None or segment is not first.segment]
        failure: DownloadError | None = None
        notes = asyncio.get_running_loop().create_task(self._take_notes())
        try:
            if first is not None:
                self._employ(first.source, first)
            self._employ_for_what_is_pending()
            while self._working and not self._is_whole():
                done, _ = await asyncio.wait((*self._working, notes), return_when=asyncio.FIRST_COMPLETED)
                if notes in done:
                    notes.result()
                for worker in done & self._working.keys():
                    failure = self._ended_well(worker, first) or failure
                self._employ_for_what_is_pending()
        finally:
            unfinished = (*self._working, notes)
            for task in unfinished:
                task.cancel()
            await asyncio.wait(unfinished)
            for source in self._working.values():
                source.connections -= 1
            self._working.clear()
        if not self._is_whole():
            raise failure or OtherVersionError

    def _is_whole(self) -> bool:
        """Whether nothing is missing; a connection may still wait for bytes that came by another."""
        return not self._pending and all(segment.is_whole for segment in self._running)

    def _employ_for_what_is_pending(self) -> None:
        vacancies = len(self._pending)
        for source in self._sources:
            for _ in range(min(vacancies, source.free)):
                self._employ(source, None)
                vacancies -= 1

    def _employ(self, source: Source, first: First | None) -> None:
        source.connections += 1
        self._working[asyncio.get_running_loop().create_task(self._work(source, first))] = source

    def _ended_well(self, worker: asyncio.Task[None], first: First | None) -> DownloadError | None:
        """What a connection failed with, if it did. The others go on; what it has left is somebody else's.

        Raises:
            OtherVersionError: the one that the validator came from has another version.
            DownloadError: the failure is not the source's.
        """
        source = self._working.pop(worker)
        source.connections -= 1
        is_first = first is not None and source is first.source
        try:
            worker.result()
        except OF_THE_ORIGIN as error:
            if isinstance(error, NetworkError) and error.voids:
                self._drop(source, error.detail)
                return error
            source.places -= 1
            if not source.places:
                self._dropped(source, error.detail)
            return error
        except RangeRefusedError:
            if not is_first:
                self._drop(source, "it gives no ranges")
            elif any(one.places for one in self._sources if one is not source):
                source.places = source.connections
            elif not self._fall_back(first):
                raise OtherVersionError from None
        except OtherVersionError as error:
            if is_first:
                raise
            self._drop(source, str(error))
        return None

    def _drop(self, source: Source, why: str) -> None:
        if source.places:
            source.places = 0
            self._dropped(source, why)

    async def _work(self, source: Source, first: First | None) -> None:
        loop = asyncio.get_running_loop()
        rate: float | None = None
        while True:
            if first is not None:
                segment = first.segment
                async with self._on(segment):
                    await self._take(first.content, segment)
                # It may go on for much longer than its segment, and takes up the place of the next connection.
                first.content.close()
                first = None
            else:
                due = self._pending.pop(0) if self._pending else split(self._running, rate=rate, now=loop.time())
                if due is None:
                    if not any(segment.drags(loop.time()) for segment in self._running):
                        return
                    # What is on its way to the disk cannot be taken at this moment, and may never come.
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)
                    continue
                segment = due
                async with self._on(segment), self._ask(source, segment) as answer:
                    await self._take(answer.content, segment)
            rate = segment.average(loop.time()) or rate

    @asynccontextmanager
    async def _on(self, segment: Segment) -> AsyncIterator[None]:
        """Whatever becomes of it, what a segment has left is not lost."""
        segment.begun = asyncio.get_running_loop().time()
        self._running.append(segment)
        try:
            yield
        except NetworkError as error:
            if error.voids:
                segment.position = segment.reach = segment.start
            raise
        finally:
            self._running.remove(segment)
            self._ended.append(segment)
            if segment.end is not None and segment.position < segment.end:
                self._pending.append(Segment(segment.position, segment.end))

    @asynccontextmanager
    async def _ask(self, source: Source, segment: Segment) -> AsyncIterator[Answer]:
        asked = Asked(
            start=segment.position,
            end=segment.end,
            validator=self._validator,
            total=self._total,
            coding=self._coding,
            content_type=self._content_type,
        )
        self.asked += 1
        async with self._session.get(source.url, asked) as answer:
            match judge(asked, answer.head, now=self._now(), max_size=0):
                case Accepted(partial=True, length=length):
                    answer.content.announced = length
                    yield answer
                case Accepted():
                    raise RangeRefusedError
                case StartOver(reason=reason):
                    raise OtherVersionError(reason)
                case AlreadyComplete():
                    raise OtherVersionError("its file is shorter")

    async def _take(self, content: Content, segment: Segment) -> None:
        await self._reception.receive(content, segment, by_socket=True)
        if segment.end is not None and segment.position < segment.end:
            raise NetworkError(f"the transfer ended after {segment.position} of {segment.end} bytes")

    def _fall_back(self, first: First | None) -> bool:
        """Lets the first connection, which is given everything, go on to the end; False when it cannot."""
        if first is None or first.segment not in self._running:
            return False
        others = [segment for segment in (*self._running, *self._ended) if segment is not first.segment]
        if any(segment.position > segment.start for segment in others):
            return False
        self._pending.clear()
        first.segment.end = self._total
        return True

    async def _take_notes(self) -> None:
        while True:
            await asyncio.sleep(WRITE_DOWN_SECONDS)
            await self._write_down(self.received())
