"""Receiving of content into a part file: read and written in large pieces, or moved by threads.

Both ways give the same guarantees: received bytes are counted at once, are in the part file even if the transfer is
cut, and are never more than announced.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from downloadd.clock import Clock
from downloadd.errors import DownloadError
from downloadd.origin.connection_errors import map_transfer_error
from downloadd.origin.content import Content
from downloadd.origin.detached_content import DetachedContent
from downloadd.storage.byte_source import MoveResult
from downloadd.storage.destination import Part
from downloadd.transfer.own_delays import OwnDelays
from downloadd.transfer.segments import Segment

T = TypeVar("T")

WRITE_BUFFER_BYTES: Final = 1 << 20
"""Bytes that are collected before a write, to save a thread switch for each read."""

MAX_MOVE_BYTES: Final = 16 << 20
"""Bytes that are moved by a thread before limits and free space are checked again."""

MAX_DISK_SECONDS: Final = 1.0
"""Seconds that a move by a thread may take; one that takes longer waits for the disk, and not for the origin."""


class RateLimiter(Protocol):
    """Limit on received bytes a second."""

    async def acquire(self, max_bytes: int) -> int:
        """Wait until bytes may be read; return their number, at most `max_bytes`. They count as read."""
        ...

    def release(self, nbytes: int) -> None:
        """Return acquired bytes that were not read."""
        ...


class Receiver:
    """Receiver of content into one part file, from one connection or from several at once.

    Attributes:
        connections: number of connections that receive now.
    """

    def __init__(
        self,
        part: Part,
        *,
        clock: Clock,
        limiter: RateLimiter,
        flush_interval: Callable[[], float],
        before_write: Callable[[int, bool], Awaitable[None]],
        on_received: Callable[[int], None],
        delays: OwnDelays,
    ) -> None:
        """Make the receiver of one attempt.

        Args:
            part: the part file.
            clock: the time.
            limiter: the speed limits.
            flush_interval: seconds after which received bytes are written even if they are few.
            before_write: called before a write with its number of bytes and True for the last one; raises if they must
                not be written.
            on_received: called with the number of received bytes; raises if they are too many.
            delays: the delays that the daemon causes itself.
        """
        self.connections = 0
        self._part = part
        self._clock = clock
        self._limiter = limiter
        self._flush_interval = flush_interval
        self._wait_before_write = before_write
        self._on_received = on_received
        self._delays = delays

    async def receive(
        self,
        content: Content,
        segment: Segment,
        *,
        may_splice: bool,
        before_end: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Receive content until its end, or until the end of the segment, which may change meanwhile.

        Args:
            content: begins at the segment's position.
            segment: its positions are advanced.
            may_splice: allow moving the bytes inside the kernel, where they cannot be hashed.
            before_end: awaited at the end of the segment, which may be moved meanwhile.

        Raises:
            NetworkError: the connection broke or stalled; received bytes are in the part file.
            InsufficientStorageError: the disk is full.
        """
        try:
            detached = content.detach(may_splice=may_splice)
        except OSError as error:
            raise map_transfer_error(error, has_head=True) from error
        self.connections += 1
        try:
            if detached is None:
                await self._receive_buffered(content, segment, before_end)
            else:
                with detached:
                    await self._receive_detached(detached, segment, before_end)
                content.check_end()
        finally:
            self.connections -= 1

    async def _receive_buffered(
        self, content: Content, segment: Segment, before_end: Callable[[], Awaitable[object]] | None
    ) -> None:
        """Receive by reading and writing; reading continues while a piece is written."""
        clock = self._clock
        pending: list[bytes] = []
        size = 0
        flush_at = clock.monotonic() + self._flush_interval()
        writing: asyncio.Task[None] | None = None
        try:
            while not content.is_at_end and (segment.remaining != 0 or await _is_extended(segment, before_end)):
                timeout = flush_at - clock.monotonic() if pending else None
                data = await self._read(content, segment, WRITE_BUFFER_BYTES - size, timeout)
                if data == b"":
                    break
                if data is not None:
                    pending.append(data)
                    size += len(data)
                if size < WRITE_BUFFER_BYTES and clock.monotonic() < flush_at:
                    continue
                if writing is not None:
                    with self._delays.counted():
                        await finish_then_cancel(writing)
                    writing = None
                if pending:
                    await self._before_write(size, False)
                    writing = asyncio.get_running_loop().create_task(self._write(pending, segment))
                pending, size, flush_at = [], 0, clock.monotonic() + self._flush_interval()
            content.check_end()
        except BaseException:
            # Received bytes are kept after any error: the next attempt resumes from there.
            with suppress(DownloadError):
                if writing is not None:
                    await finish_then_cancel(writing)
                if pending:
                    await self._write(pending, segment)
            raise
        if writing is not None:
            await finish_then_cancel(writing)
        if pending:
            await self._before_write(size, True)
            # Other connections write other segments.
            await self._write(pending, segment, is_last=segment.end is None)

    async def _read(self, content: Content, segment: Segment, limit: int, timeout: float | None) -> bytes | None:
        """Return the next bytes, counted; None if none arrive within `timeout` seconds, b"" at the end."""
        data = b""
        acquired = 0
        try:
            if timeout is None:
                acquired = await self._acquire(limit)
                data = await content.read(acquired)
            else:
                async with asyncio.timeout(timeout):
                    acquired = await self._acquire(limit)
                    data = await content.read(acquired)
        except TimeoutError:
            return None
        finally:
            self._limiter.release(acquired - len(data))
        if segment.end is not None:
            # The end may have changed meanwhile.
            data = data[: segment.end - segment.read_position]
        segment.read_position += len(data)
        self._on_received(len(data))
        return data

    async def _receive_detached(
        self, content: DetachedContent, segment: Segment, before_end: Callable[[], Awaitable[object]] | None
    ) -> None:
        """Receive by threads that move bytes from the connection to the part file."""
        first = content.prefetched
        if segment.end is not None:
            first = first[: segment.end - segment.read_position]
        size = len(first)
        segment.read_position += size
        self._on_received(size)
        if size:
            await self._before_write(size, False)
            await self._write([first], segment)
            while size:
                size -= await self._acquire(size)
        while content.remaining and (segment.remaining != 0 or await _is_extended(segment, before_end)):
            acquired = await self._acquire(self._max_move_bytes(content, segment))
            # The end may have changed meanwhile.
            nbytes = min(acquired, self._max_move_bytes(content, segment))
            self._limiter.release(acquired - nbytes)
            await self._before_write(nbytes, False)
            # Set before the move, so that no other connection takes these bytes over.
            segment.read_position = segment.position + nbytes
            moving = asyncio.get_running_loop().create_task(self._move(content, segment, nbytes))
            moved = await finish_then_cancel(moving)
            content.check_eof(is_eof=moved.is_eof)
            if moved.nbytes < nbytes and content.remaining:
                await content.wait_readable(nbytes - moved.nbytes, self._flush_interval())

    async def _move(self, content: DetachedContent, segment: Segment, nbytes: int) -> MoveResult:
        try:
            with self._delays.counted_after(MAX_DISK_SECONDS):
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

    def _max_move_bytes(self, content: DetachedContent, segment: Segment) -> int:
        """Return the maximum number of bytes of the next move."""
        nbytes = min(content.remaining, MAX_MOVE_BYTES)
        if segment.end is None:
            return nbytes
        # Another connection cannot take over the bytes of a move: leave half of a long rest.
        left = segment.end - segment.position
        return min(nbytes, left if left <= WRITE_BUFFER_BYTES else max(WRITE_BUFFER_BYTES, left // 2))

    async def _acquire(self, max_bytes: int) -> int:
        with self._delays.counted():
            return await self._limiter.acquire(max_bytes)

    async def _before_write(self, nbytes: int, is_last: bool) -> None:
        with self._delays.counted():
            await self._wait_before_write(nbytes, is_last)

    async def _write(self, pieces: Sequence[bytes], segment: Segment, *, is_last: bool = False) -> None:
        await self._part.write(pieces, segment.position, is_last=is_last)
        segment.position += sum(map(len, pieces))


async def _is_extended(segment: Segment, before_end: Callable[[], Awaitable[object]] | None) -> bool:
    """Return True if the end of a received segment was moved while `before_end` was awaited."""
    if before_end is not None:
        await before_end()
    return segment.remaining != 0


async def finish_then_cancel(work: asyncio.Task[T]) -> T:
    """Return the result of `work`. Cancelled, wait for the end of the work before raising."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not work.cancelled():
            # An error of work that is not needed any more must not be logged as an unhandled one.
            work.exception()
        raise cancelled
    return work.result()
