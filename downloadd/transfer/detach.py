"""Long contents are taken over from the HTTP client once their head is parsed.

Between the head and the last byte of a content of known length there is nothing left to parse. Its connection is then
read straight into big buffers, or given to a part file as a socket. It cannot be used for another request afterwards.
"""

import asyncio
import mmap
import os
import socket
from collections import deque
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler

from downloadd.errors import NetworkError
from downloadd.storage.splice import SocketSource
from downloadd.transfer.origin_protocol import is_surplus

MIN_DETACH_BYTES: Final = 4 << 20
"""Bytes of content from which on a connection is worth to be taken over."""

SOCKET_WAKE_BYTES: Final = 128 * 1024
"""Bytes that should wait in a socket before they are fetched: a packet each would be a thread hop each."""

RING_BUFFER_BYTES: Final = 4 << 20
"""Bytes that may be on their way from a connection to the disk before the connection is paused."""


READER_WAKE_BYTES: Final = 512 * 1024
"""Bytes that a reader is woken for: one that is woken for each packet does little else."""

MAX_SURPLUS_PEEK_BYTES: Final = 16
"""Bytes behind the last one that are looked at."""

READER_WAKE_SECONDS: Final = 0.05
"""How long fewer bytes wait for more to come."""


class DetachedConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection in the middle of a content, paused."""

    transport: asyncio.Transport
    protocol: ResponseHandler
    prefetched: list[bytes]
    """What of the content was read already."""
    remaining: int
    """Bytes of it that were not."""
    is_plaintext: bool
    """Whether the socket carries the content as it is, without TLS."""


def detach(response: aiohttp.ClientResponse) -> DetachedConnection | None:
    """The connection of a response, in the middle of its content; None when its content has to be parsed, or is short.

    The response is not read from any more. Whoever takes the connection over closes its transport.

    Raises:
        aiohttp.ClientError, OSError: the connection is broken already.
    """
    length, connection = response.content_length, response.connection
    if length is None or length < MIN_DETACH_BYTES or connection is None or "Transfer-Encoding" in response.headers:
        return None
    transport, protocol = connection.transport, connection.protocol
    if transport is None or protocol is None or transport.get_extra_info("socket") is None:
        return None
    pieces: list[bytes] = []
    while True:
        # Each drain wakes the transport, which reads on at the loop's next turn unless it is stopped before.
        transport.pause_reading()
        data = response.content.read_nowait()
        if not data:
            break
        pieces.append(data)
    # Stops the stall clock too.
    protocol.pause_reading()
    # A reader that has not yet taken all of an earlier response on this connection wakes the transport whenever it
    # takes a piece, and what comes then would be lost to us: it must not find the transport any more.
    protocol.transport = None
    return DetachedConnection(
        transport=transport,
        protocol=protocol,
        prefetched=pieces,
        remaining=length - response.content.total_bytes,
        is_plaintext=transport.get_extra_info("sslcontext") is None,
    )


def surplus_error() -> NetworkError:
    """More came than the content that was announced."""
    return NetworkError("the origin sent more bytes than it had announced", invalidates_part=True)


class RingBuffer:
    """Bytes that come in, are looked at, and leave in the same order, without ever being copied or allocated anew.

    Memory is used as far as the ring was ever filled: emptied, it begins anew at its first page.
    """

    def __init__(self, size: int) -> None:
        """A ring of `size` bytes."""
        self._view = memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self._size = size
        # Positions grow without end; what they point at is their remainder.
        self._head = 0
        self._read_end = 0
        self._tail = 0

    @property
    def unread_bytes(self) -> int:
        """Bytes that were not looked at yet."""
        return self._head - self._read_end

    @property
    def free_bytes(self) -> int:
        """Bytes that can come in."""
        return self._size - (self._head - self._tail)

    def writable_view(self) -> memoryview:
        """Where the next bytes go; empty when there is no room."""
        begin = self._head % self._size
        return self._view[begin : begin + min(self.free_bytes, self._size - begin)]

    def mark_written(self, nbytes: int) -> None:
        """So many bytes were put into the space."""
        self._head += nbytes

    def read_view(self, limit: int) -> memoryview:
        """The next bytes, at most `limit` if not negative; they stay where they are until they are released."""
        begin = self._read_end % self._size
        nbytes = min(self._head - self._read_end, self._size - begin)
        if 0 <= limit < nbytes:
            nbytes = limit
        self._read_end += nbytes
        return self._view[begin : begin + nbytes]

    def release(self, nbytes: int) -> None:
        """The oldest bytes that were looked at are not needed any more."""
        self._tail += nbytes
        if self._tail == self._head:
            self._head = self._read_end = self._tail = 0


class BufferedContent(asyncio.BufferedProtocol):
    """The content of a connection that was taken over, read straight into one buffer."""

    def __init__(self, detached: DetachedConnection, *, stall_timeout: float | None) -> None:
        """Goes on reading; `stall_timeout` in seconds, None for none."""
        self._transport = detached.transport
        self._protocol = detached.protocol
        self._stall_timeout = stall_timeout
        self._prefetched = deque(detached.prefetched)
        self._prefetched_bytes = sum(map(len, detached.prefetched))
        self._remaining = detached.remaining
        self._ring = RingBuffer(RING_BUFFER_BYTES)
        self._paused = False
        self._data_ready = asyncio.Event()
        self._wake_timer: asyncio.TimerHandle | None = None
        self._error: NetworkError | None = None
        self._transport.set_protocol(self)
        self._transport.resume_reading()

    async def read(self, limit: int) -> bytes | memoryview:
        """What has come, at most `limit` bytes of it if not negative; waits for something; b"" at the end.

        Raises:
            NetworkError: the connection broke, ended early or stalled.
        """
        if self._prefetched:
            piece = self._prefetched.popleft()
            if 0 <= limit < len(piece):
                self._prefetched.appendleft(piece[limit:])
            return piece[:limit] if limit >= 0 else piece
        while not self._ring.unread_bytes:
            if self._error is not None:
                raise self._error
            if not self._remaining:
                return b""
            self._data_ready.clear()
            try:
                async with asyncio.timeout(self._stall_timeout):
                    await self._data_ready.wait()
            except TimeoutError:
                raise NetworkError("the origin sent nothing within the stall timeout") from None
        return self._ring.read_view(limit)

    def check_end(self) -> None:
        """See `Content.check_end`."""
        if self._error is not None and self._error.invalidates_part:
            raise self._error

    def release(self, nbytes: int) -> None:
        """The oldest bytes that were read are not needed any more; without it, reading comes to a halt."""
        earlier = min(nbytes, self._prefetched_bytes)
        self._prefetched_bytes -= earlier
        self._ring.release(nbytes - earlier)
        if self._paused and self._ring.free_bytes >= RING_BUFFER_BYTES // 2:
            self._paused = False
            self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._ring.writable_view()

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have been put there."""
        expected = min(nbytes, self._remaining)
        if nbytes > expected and is_surplus(bytes(self._ring.writable_view()[expected:nbytes])):
            self._error = surplus_error()
        self._ring.mark_written(expected)
        self._remaining -= expected
        if not self._paused and (not self._ring.free_bytes or not self._remaining):
            self._paused = True
            self._transport.pause_reading()
        if self._paused or self._ring.unread_bytes >= READER_WAKE_BYTES:
            self._data_ready.set()
        elif self._wake_timer is None:
            self._wake_timer = asyncio.get_running_loop().call_later(READER_WAKE_SECONDS, self._wake)

    def _wake(self) -> None:
        self._wake_timer = None
        self._data_ready.set()

    def eof_received(self) -> None:
        """The origin will send nothing more."""
        self._fail(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._fail(exc)
        # The client waits for it when it is closed.
        self._protocol.connection_lost(exc)

    def _fail(self, error: Exception | None) -> None:
        if not self._remaining:
            return
        reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        self._error = self._error or NetworkError(f"the connection ended before the last byte{reason}")
        self._data_ready.set()


class SocketContent:
    """The rest of a content, still in its socket. Use it in a `with` block; no thread may use `source` at its end.

    Attributes:
        source: the socket.
        remaining: bytes of this content that are still to be taken.
    """

    def __init__(self, detached: DetachedConnection, *, stall_timeout: float | None) -> None:
        """The socket of a connection that carries the content as it is; `stall_timeout` in seconds, None for none.

        Raises:
            OSError: there are no descriptors left.
        """
        self.source = SocketSource(os.dup(detached.transport.get_extra_info("socket").fileno()))
        self.remaining = detached.remaining
        self._stall_timeout = stall_timeout
        self._low_watermark = 1
        self._last_received_at = asyncio.get_running_loop().time()

    def __enter__(self) -> Self:
        """Nothing is to be done."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the socket."""
        self.source.close()

    def add_received(self, nbytes: int) -> None:
        """Counts what was taken from the source."""
        if nbytes:
            self.remaining -= nbytes
            self._last_received_at = asyncio.get_running_loop().time()

    def check_end(self) -> None:
        """To be called when nothing is left.

        Raises:
            NetworkError: something came behind the last byte.
        """
        with suppress(OSError), socket.socket(fileno=os.dup(self.source.fd)) as same:
            if is_surplus(same.recv(MAX_SURPLUS_PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)):
                raise surplus_error()

    async def wait_readable(self, expected: int, timeout: float) -> None:
        """Waits until about `expected` bytes have come, the connection has ended, or `timeout` (seconds) is over.

        Raises:
            NetworkError: nothing has come for the stall timeout.
        """
        loop = asyncio.get_running_loop()
        if self._stall_timeout is not None:
            left = self._last_received_at + self._stall_timeout - loop.time()
            if left <= 0:
                raise NetworkError("the origin sent nothing within the stall timeout")
            timeout = min(timeout, left)
        self._set_low_watermark(min(expected, SOCKET_WAKE_BYTES))
        came: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self.source.fd, partial(_resolve, came))
        try:
            await asyncio.wait((came,), timeout=timeout)
        finally:
            loop.remove_reader(self.source.fd)

    def _set_low_watermark(self, nbytes: int) -> None:
        # A wish: the kernel wakes earlier when its buffer holds no more, and at the end of the connection.
        if nbytes != self._low_watermark:
            self._low_watermark = nbytes
            with suppress(OSError), socket.socket(fileno=os.dup(self.source.fd)) as same:
                same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes)


def _resolve(came: "asyncio.Future[None]") -> None:
    if not came.done():
        came.set_result(None)
