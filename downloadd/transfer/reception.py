"""Contents go into the part file: read and written in big pieces, or moved there inside the kernel.

Both ways keep the same promises: what has come is counted at once, is in the part file even if the transfer is cut
short, and is never more than was announced.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from downloadd.clock import Clock
from downloadd.errors import DownloadError, NetworkError
from downloadd.storage.destination import Part
from downloadd.storage.splice import Moved
from downloadd.transfer.segments import Segment
from downloadd.transfer.session import Content
from downloadd.transfer.takeover import SocketContent

T = TypeVar("T")

PIECE: Final = 1 << 20
"""Bytes that are gathered before they are written: a thread hop for each read is what makes a download slow."""

TURN: Final = 16 << 20
"""Bytes that are moved inside the kernel before anybody looks at limits and free space again."""


class Pace(Protocol):
    """How fast bytes may be taken."""

    async def grant(self, wanted: int) -> int:
        """Waits until bytes may be read, and says how many of those wanted; they count as read."""
        ...

    def give_back(self, nbytes: int) -> None:
        """So many bytes that were granted did not come."""
        ...


class Reception:
    """Receives contents into one part file, from one connection or from several at once."""

    def __init__(
        self,
        part: Part,
        *,
        clock: Clock,
        pace: Pace,
        flush_interval: Callable[[], float],
        prepare: Callable[[int, bool], Awaitable[None]],
        arrived: Callable[[int], None],
    ) -> None:
        """Makes the reception of one attempt.

        Args:
            part: where the bytes go.
            clock: the time.
            pace: the speed limits.
            flush_interval: seconds after which received bytes are written even if they are few.
            prepare: called before so many bytes are written, and told whether they are the last ones; raises when they
                must not be.
            arrived: called when so many bytes have come; raises when they are too many.
        """
        self._part = part
        self._clock = clock
        self._pace = pace
        self._flush_interval = flush_interval
        self._prepare = prepare
        self._arrived = arrived

    async def receive(self, content: Content, segment: Segment, *, by_socket: bool) -> None:
        """Receives a content until its end, or until the end of the segment, which may be moved meanwhile.

        Args:
            content: begins at the segment's position.
            segment: is moved forward.
            by_socket: whether the bytes may pass by this process.

        Raises:
            NetworkError: the connection broke or stalled; what came is in the part file.
            InsufficientStorageError: there is no room.
        """
        as_socket = content.as_socket() if by_socket else None
        if as_socket is None:
            await self._copy(content, segment)
        else:
            pieces, rest = as_socket
            with rest:
                await self._move(pieces, rest, segment)

    async def _copy(self, content: Content, segment: Segment) -> None:
        """Reads on while a piece is being written."""
        clock = self._clock
        gathered: list[bytes | memoryview] = []
        size = 0
        flush_at = clock.monotonic() + self._flush_interval()
        writing: asyncio.Task[None] | None = None
        try:
            while segment.wanted != 0:
                patience = flush_at - clock.monotonic() if gathered else None
                data = await self._take(content, segment, PIECE - size, patience)
                if data == b"":
                    break
                if data is not None:
                    gathered.append(data)
                    size += len(data)
                if size < PIECE and clock.monotonic() < flush_at:
                    continue
                if writing is not None:
                    await settled(writing)
                    writing = None
                if gathered:
                    await self._prepare(size, False)
                    writing = asyncio.get_running_loop().create_task(self._write_read(content, gathered, segment))
                gathered, size, flush_at = [], 0, clock.monotonic() + self._flush_interval()
            content.check_end()
        except BaseException:
            # Whatever ended the attempt, bytes that came are kept: the next one goes on from there.
            with suppress(DownloadError):
                if writing is not None:
                    await settled(writing)
                if gathered:
                    await self._write_read(content, gathered, segment)
            raise
        if writing is not None:
            await settled(writing)
        if gathered:
            await self._prepare(size, True)
            await self._write_read(content, gathered, segment)

    async def _write_read(self, content: Content, pieces: Sequence[bytes | memoryview], segment: Segment) -> None:
        await self._write(pieces, segment)
        content.release(sum(map(len, pieces)))

    async def _take(
        self, content: Content, segment: Segment, limit: int, patience: float | None
    ) -> bytes | memoryview | None:
        """The next bytes, counted; None when none came within so many seconds, b"" at the end."""
        data: bytes | memoryview = b""
        granted = 0
        try:
            async with asyncio.timeout(patience):
                granted = await self._pace.grant(limit)
                data = await content.read(granted)
        except TimeoutError:
            return None
        finally:
            self._pace.give_back(granted - len(data))
        if segment.end is not None:
            # The end may have been moved meanwhile.
            data = data[: segment.end - segment.reach]
        segment.reach += len(data)
        self._arrived(len(data))
        return data

    async def _move(self, pieces: list[bytes], content: SocketContent, segment: Segment) -> None:
        """Lets the kernel move the bytes; `pieces` were read before."""
        size = sum(map(len, pieces))
        if segment.end is not None and segment.reach + size > segment.end:
            pieces = [b"".join(pieces)[: segment.end - segment.reach]]
            size = len(pieces[0])
        segment.reach += size
        self._arrived(size)
        if size:
            await self._prepare(size, False)
            await self._write(pieces, segment)
            while size:
                size -= await self._pace.grant(size)
        while content.left and segment.wanted != 0:
            granted = await self._pace.grant(self._most(content, segment))
            # The end may have been moved meanwhile.
            most = min(granted, self._most(content, segment))
            self._pace.give_back(granted - most)
            await self._prepare(most, False)
            # Said before, so that nobody takes over what is on its way.
            segment.reach = segment.position + most
            turn = self._turn(content, segment, most)
            moved = await settled(asyncio.get_running_loop().create_task(turn))
            if moved.ended and content.left:
                raise NetworkError("the connection ended before the last byte")
            if moved.nbytes < most and content.left:
                await content.readable(most - moved.nbytes, self._flush_interval())
        if not content.left:
            content.check_end()

    async def _turn(self, content: SocketContent, segment: Segment, most: int) -> Moved:
        try:
            moved = await self._part.receive(content.source, segment.position, most)
        except BaseException:
            self._pace.give_back(most)
            raise
        self._pace.give_back(most - moved.nbytes)
        content.took(moved.nbytes)
        segment.position += moved.nbytes
        segment.reach = segment.position
        self._arrived(moved.nbytes)
        return moved

    def _most(self, content: SocketContent, segment: Segment) -> int:
        """Bytes of the next turn."""
        most = min(content.left, TURN)
        if segment.end is None:
            return most
        # What a turn is given, no other connection can take: half of a long rest stays to be divided.
        left = segment.end - segment.position
        return min(most, left if left <= PIECE else max(PIECE, left // 2))

    async def _write(self, pieces: Sequence[bytes | memoryview], segment: Segment) -> None:
        await self._part.write(pieces, segment.position)
        segment.position += sum(map(len, pieces))


async def settled(work: asyncio.Task[T]) -> T:
    """What `work` gives. Cancelled, it lets the work come to its end first, and is cancelled then."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return work.result()
