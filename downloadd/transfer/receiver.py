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
from downloadd.storage.splice import SpliceResult
from downloadd.transfer.detach import SocketContent
from downloadd.transfer.segments import Segment
from downloadd.transfer.session import Content

T = TypeVar("T")

WRITE_BUFFER_BYTES: Final = 1 << 20
"""Bytes that are gathered before they are written: a thread hop for each read is what makes a download slow."""

MAX_SPLICE_BYTES: Final = 16 << 20
"""Bytes that are moved inside the kernel before anybody looks at limits and free space again."""


class RateLimiter(Protocol):
    """How fast bytes may be taken."""

    async def acquire(self, max_bytes: int) -> int:
        """Waits until bytes may be read, and says how many of those wanted; they count as read."""
        ...

    def release(self, nbytes: int) -> None:
        """So many bytes that were acquired did not come."""
        ...


class Receiver:
    """Receives contents into one part file, from one connection or from several at once."""

    def __init__(
        self,
        part: Part,
        *,
        clock: Clock,
        limiter: RateLimiter,
        flush_interval: Callable[[], float],
        before_write: Callable[[int, bool], Awaitable[None]],
        on_received: Callable[[int], None],
    ) -> None:
        """Makes the receiver of one attempt.

        Args:
            part: where the bytes go.
            clock: the time.
            limiter: the speed limits.
            flush_interval: seconds after which received bytes are written even if they are few.
            before_write: called before so many bytes are written, told whether they are the last; raises when they
                must not be.
            on_received: called when so many bytes have come; raises when they are too many.
        """
        self._part = part
        self._clock = clock
        self._limiter = limiter
        self._flush_interval = flush_interval
        self._before_write = before_write
        self._on_received = on_received

    async def receive(self, content: Content, segment: Segment, *, may_splice: bool) -> None:
        """Receives a content until its end, or until the end of the segment, which may be moved meanwhile.

        Args:
            content: begins at the segment's position.
            segment: is moved forward.
            may_splice: whether the bytes may pass by this process.

        Raises:
            NetworkError: the connection broke or stalled; what came is in the part file.
            InsufficientStorageError: there is no room.
        """
        detached = content.detach_socket() if may_splice else None
        if detached is None:
            await self._receive_buffered(content, segment)
        else:
            pieces, rest = detached
            with rest:
                await self._receive_spliced(pieces, rest, segment)

    async def _receive_buffered(self, content: Content, segment: Segment) -> None:
        """Reads on while a piece is being written."""
        clock = self._clock
        gathered: list[bytes | memoryview] = []
        size = 0
        flush_at = clock.monotonic() + self._flush_interval()
        writing: asyncio.Task[None] | None = None
        try:
            while segment.remaining != 0:
                timeout = flush_at - clock.monotonic() if gathered else None
                data = await self._read(content, segment, WRITE_BUFFER_BYTES - size, timeout)
                if data == b"":
                    break
                if data is not None:
                    gathered.append(data)
                    size += len(data)
                if size < WRITE_BUFFER_BYTES and clock.monotonic() < flush_at:
                    continue
                if writing is not None:
                    await finish_then_cancel(writing)
                    writing = None
                if gathered:
                    await self._before_write(size, False)
                    writing = asyncio.get_running_loop().create_task(
                        self._write_and_release(content, gathered, segment)
                    )
                gathered, size, flush_at = [], 0, clock.monotonic() + self._flush_interval()
            content.check_end()
        except BaseException:
            # Whatever ended the attempt, bytes that came are kept: the next one goes on from there.
            with suppress(DownloadError):
                if writing is not None:
                    await finish_then_cancel(writing)
                if gathered:
                    await self._write_and_release(content, gathered, segment)
            raise
        if writing is not None:
            await finish_then_cancel(writing)
        if gathered:
            await self._before_write(size, True)
            await self._write_and_release(content, gathered, segment)

    async def _write_and_release(
        self, content: Content, pieces: Sequence[bytes | memoryview], segment: Segment
    ) -> None:
        await self._write(pieces, segment)
        content.release(sum(map(len, pieces)))

    async def _read(
        self, content: Content, segment: Segment, limit: int, timeout: float | None
    ) -> bytes | memoryview | None:
        """The next bytes, counted; None when none came within so many seconds, b"" at the end."""
        data: bytes | memoryview = b""
        acquired = 0
        try:
            async with asyncio.timeout(timeout):
                acquired = await self._limiter.acquire(limit)
                data = await content.read(acquired)
        except TimeoutError:
            return None
        finally:
            self._limiter.release(acquired - len(data))
        if segment.end is not None:
            # The end may have been moved meanwhile.
            data = data[: segment.end - segment.read_position]
        segment.read_position += len(data)
        self._on_received(len(data))
        return data

    async def _receive_spliced(self, pieces: list[bytes], content: SocketContent, segment: Segment) -> None:
        """Lets the kernel move the bytes; `pieces` were read before."""
        size = sum(map(len, pieces))
        if segment.end is not None and segment.read_position + size > segment.end:
            pieces = [b"".join(pieces)[: segment.end - segment.read_position]]
            size = len(pieces[0])
        segment.read_position += size
        self._on_received(size)
        if size:
            await self._before_write(size, False)
            await self._write(pieces, segment)
            while size:
                size -= await self._limiter.acquire(size)
        while content.remaining and segment.remaining != 0:
            acquired = await self._limiter.acquire(self._max_splice_bytes(content, segment))
            # The end may have been moved meanwhile.
            nbytes = min(acquired, self._max_splice_bytes(content, segment))
            self._limiter.release(acquired - nbytes)
            await self._before_write(nbytes, False)
            # Said before, so that nobody takes over what is on its way.
            segment.read_position = segment.position + nbytes
            splice = self._splice(content, segment, nbytes)
            moved = await finish_then_cancel(asyncio.get_running_loop().create_task(splice))
            if moved.is_eof and content.remaining:
                raise NetworkError("the connection ended before the last byte")
            if moved.nbytes < nbytes and content.remaining:
                await content.wait_readable(nbytes - moved.nbytes, self._flush_interval())
        if not content.remaining:
            content.check_end()

    async def _splice(self, content: SocketContent, segment: Segment, nbytes: int) -> SpliceResult:
        try:
            moved = await self._part.receive(content.source, segment.position, nbytes)
        except BaseException:
            self._limiter.release(nbytes)
            raise
        self._limiter.release(nbytes - moved.nbytes)
        content.add_received(moved.nbytes)
        segment.position += moved.nbytes
        segment.read_position = segment.position
        self._on_received(moved.nbytes)
        return moved

    def _max_splice_bytes(self, content: SocketContent, segment: Segment) -> int:
        """Bytes of the next turn."""
        nbytes = min(content.remaining, MAX_SPLICE_BYTES)
        if segment.end is None:
            return nbytes
        # What a turn is given, no other connection can take: half of a long rest stays to be divided.
        left = segment.end - segment.position
        return min(nbytes, left if left <= WRITE_BUFFER_BYTES else max(WRITE_BUFFER_BYTES, left // 2))

    async def _write(self, pieces: Sequence[bytes | memoryview], segment: Segment) -> None:
        await self._part.write(pieces, segment.position)
        segment.position += sum(map(len, pieces))


async def finish_then_cancel(work: asyncio.Task[T]) -> T:
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
