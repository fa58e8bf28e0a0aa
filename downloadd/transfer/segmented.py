"""One file over several connections: each fetches a segment, and takes half of another's when it is done with its own.

Bytes of two versions never meet: every further connection asks under the validator of the first answer. What has
come is written down while it comes, and only after it is on the disk.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from downloadd.errors import DownloadError, NetworkError, RemoteError
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.reception import Reception
from downloadd.transfer.response import Accepted, AlreadyComplete, Asked, StartOver, judge
from downloadd.transfer.segments import Segment, split
from downloadd.transfer.session import Answer, Content, Session

WRITE_DOWN_SECONDS: Final = 2.0
"""How often it is written down what has come; as much is fetched again after a crash."""


class OtherVersionError(Exception):
    """A connection was given bytes of another version."""


class RangeRefusedError(Exception):
    """The origin does not give a range."""


class SegmentedFetch:
    """Fetches what is missing of one representation."""

    def __init__(
        self,
        url: str,
        *,
        session: Session,
        reception: Reception,
        kept: ByteRanges,
        validator: str,
        total: int,
        now: Callable[[], float],
        write_down: Callable[[ByteRanges], Awaitable[None]],
    ) -> None:
        """Makes a fetch that has not begun.

        Args:
            url: the URL as given.
            session: the client.
            reception: where the bytes go.
            kept: what is there already.
            validator: the strong validator of the bytes.
            total: the complete length.
            now: Unix time.
            write_down: called with what is there, again and again.
        """
        self._url = url
        self._session = session
        self._reception = reception
        self._kept = kept
        self._validator = validator
        self._total = total
        self._now = now
        self._write_down = write_down
        self._pending: list[Segment] = []
        self._running: list[Segment] = []
        self._ended: list[Segment] = []

    def received(self) -> ByteRanges:
        """What is in the part file."""
        ranges = ByteRanges()
        for start, end in self._kept:
            ranges.add(start, end)
        for segment in (*self._ended, *self._running):
            ranges.add(segment.start, segment.position)
        return ranges

    async def fetch(self, segments: Sequence[Segment], first: tuple[Content, Segment] | None) -> None:
        """Fetches these segments, each on a connection of its own; `first` has an answer already.

        Raises:
            OtherVersionError: the representation has changed, or ranges are refused when they are needed.
            DownloadError: every connection failed; what came is there.
        """
        loop = asyncio.get_running_loop()
        self._pending = [segment for segment in segments if first is None or segment is not first[1]]
        workers = {loop.create_task(self._work(None)) for _ in self._pending}
        if first is not None:
            workers.add(loop.create_task(self._work(first)))
        notes = loop.create_task(self._take_notes())
        failures: list[DownloadError] = []
        try:
            while workers:
                done, _ = await asyncio.wait((*workers, notes), return_when=asyncio.FIRST_COMPLETED)
                if notes in done:
                    notes.result()
                for one in done & workers:
                    workers.remove(one)
                    try:
                        one.result()
                    except RangeRefusedError:
                        if not self._fall_back(first):
                            raise OtherVersionError from None
                    except (NetworkError, RemoteError) as error:
                        # The others go on; what this one has left is somebody else's.
                        failures.append(error)
        finally:
            notes.cancel()
            for task in (*workers, notes):
                task.cancel()
            await asyncio.wait((*workers, notes))
        if self._pending:
            raise failures[-1] if failures else NetworkError("the origin gives no further connection")

    async def _work(self, first: tuple[Content, Segment] | None) -> None:
        if first is not None:
            content, segment = first
            async with self._on(segment):
                await self._reception.receive(content, segment, by_socket=True)
                self._require_all(segment)
        while (segment_or_none := self._next()) is not None:
            segment = segment_or_none
            async with self._on(segment), self._ask(segment) as answer:
                await self._reception.receive(answer.content, segment, by_socket=True)
                self._require_all(segment)

    def _next(self) -> Segment | None:
        return self._pending.pop(0) if self._pending else split(self._running)

    @asynccontextmanager
    async def _on(self, segment: Segment) -> AsyncIterator[None]:
        """Whatever becomes of it, what a segment has left is not lost."""
        self._running.append(segment)
        try:
            yield
        finally:
            self._running.remove(segment)
            self._ended.append(segment)
            if segment.end is not None and segment.position < segment.end:
                self._pending.append(Segment(segment.position, segment.end))

    @asynccontextmanager
    async def _ask(self, segment: Segment) -> AsyncIterator[Answer]:
        asked = Asked(start=segment.position, end=segment.end, validator=self._validator, total=self._total)
        async with self._session.get(self._url, asked) as answer:
            verdict = judge(asked, answer.head, now=self._now(), max_size=0)
            match verdict:
                case Accepted() if answer.head.status == 206:
                    yield answer
                case Accepted(validator=self._validator, total=self._total):
                    raise RangeRefusedError
                case Accepted() | StartOver() | AlreadyComplete():
                    raise OtherVersionError

    def _require_all(self, segment: Segment) -> None:
        if segment.end is not None and segment.position < segment.end:
            raise NetworkError(f"the transfer ended after {segment.position} of {segment.end} bytes")

    def _fall_back(self, first: tuple[Content, Segment] | None) -> bool:
        """Lets the first connection, which is given everything, go on to the end; False when it cannot."""
        if first is None or first[1] not in self._running:
            return False
        others = [segment for segment in (*self._running, *self._ended) if segment is not first[1]]
        if any(segment.position > segment.start for segment in others):
            return False
        self._pending.clear()
        first[1].end = self._total
        return True

    async def _take_notes(self) -> None:
        while True:
            await asyncio.sleep(WRITE_DOWN_SECONDS)
            await self._write_down(self.received())
