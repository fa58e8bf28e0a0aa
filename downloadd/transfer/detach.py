"""Detaching of connections with long content from the HTTP client, after their head is parsed.

Between the head and the last byte of content of known length there is nothing to parse. Its connection is then read
directly into a large buffer, or moved to a part file as a socket. It cannot be used for another request afterwards.
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
"""Bytes of content from which on its connection is detached."""

SOCKET_WAKE_BYTES: Final = 128 * 1024
"""Bytes that should wait in a socket before they are moved, to save a thread switch for each packet."""

RING_BUFFER_BYTES: Final = 4 << 20
"""Bytes between a connection and the disk before the connection is paused."""

READER_WAKE_BYTES: Final = 512 * 1024
"""Bytes that wake a reader; waking it for each packet would cost most of the time."""

MAX_SURPLUS_PEEK_BYTES: Final = 16
"""Bytes behind the content that are examined."""

READER_WAKE_SECONDS: Final = 0.05
"""Seconds after which fewer bytes wake a reader."""


class DetachedConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection in the middle of a content, paused."""

    transport: asyncio.Transport
    protocol: ResponseHandler
    prefetched: list[bytes]
    """Bytes of the content that the client had read."""
    remaining: int
    """Bytes of the content that are still to be read."""
    is_plaintext: bool
    """True if the socket carries the content without TLS."""


def detach(response: aiohttp.ClientResponse) -> DetachedConnection | None:
    """Detach the connection of a response, in the middle of its content; return None if it is short or must be parsed.

    The response must not be read afterwards. The caller owns the transport and closes it.

    Raises:
        aiohttp.ClientError, OSError: the connection is broken.
    """
    length, connection = response.content_length, response.connection
    if length is None or length < MIN_DETACH_BYTES or connection is None or "Transfer-Encoding" in response.headers:
        return None
    transport, protocol = connection.transport, connection.protocol
    if transport is None or protocol is None or transport.get_extra_info("socket") is None:
        return None
    pieces: list[bytes] = []
    while True:
        # Each read resumes the transport, which reads on in the next iteration of the loop unless it is paused before.
        transport.pause_reading()
        data = response.content.read_nowait()
        if not data:
            break
        pieces.append(data)
    # Stops the stall timer too.
    protocol.pause_reading()
    # A reader of an earlier response on this connection resumes the transport at each read, and the bytes read then
    # would be lost: take the transport from the protocol.
    protocol.transport = None
    return DetachedConnection(
        transport=transport,
        protocol=protocol,
        prefetched=pieces,
        remaining=length - response.content.total_bytes,
        is_plaintext=transport.get_extra_info("sslcontext") is None,
    )


def surplus_error() -> NetworkError:
    """Return the error for bytes behind the announced content."""
    return NetworkError("the origin sent more bytes than it had announced", invalidates_part=True)


class RingBuffer:
    """Fixed-size ring buffer for received bytes, which are written, read and released in order and not copied.

    Only pages that were filled use memory; when it is empty it starts again at its first page.
    """

    def __init__(self, size: int) -> None:
        """Make a ring of `size` bytes."""
        self._view = memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self._size = size
        # Positions only grow; the offset in the buffer is their remainder.
        self._head = 0
        self._read_end = 0
        self._tail = 0

    @property
    def unread_bytes(self) -> int:
        """Bytes that were written and not read yet."""
        return self._head - self._read_end

    @property
    def free_bytes(self) -> int:
        """Bytes that can be written."""
        return self._size - (self._head - self._tail)

    def writable_view(self) -> memoryview:
        """Return the view to write the next bytes to; empty when the ring is full."""
        begin = self._head % self._size
        return self._view[begin : begin + min(self.free_bytes, self._size - begin)]

    def mark_written(self, nbytes: int) -> None:
        """Count bytes that were written to the view."""
        self._head += nbytes

    def read_view(self, limit: int) -> memoryview:
        """Return the next bytes, at most `limit` if not negative; they are valid until they are released."""
        begin = self._read_end % self._size
        nbytes = min(self._head - self._read_end, self._size - begin)
        if 0 <= limit < nbytes:
            nbytes = limit
        self._read_end += nbytes
        return self._view[begin : begin + nbytes]

    def release(self, nbytes: int) -> None:
        """Release the oldest bytes that were read."""
        self._tail += nbytes
        if self._tail == self._head:
            self._head = self._read_end = self._tail = 0


class BufferedContent(asyncio.BufferedProtocol):
    """Content of a detached connection, read directly into one buffer."""

    def __init__(self, detached: DetachedConnection, *, stall_timeout: float | None) -> None:
        """Resume reading; `stall_timeout` in seconds, None for none."""
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
        """Wait for bytes and return them, at most `limit` if not negative; return b"" at the end.

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
        """Check like `Content.check_end`."""
        if self._error is not None and self._error.invalidates_part:
            raise self._error

    def release(self, nbytes: int) -> None:
        """Release the oldest bytes that were read; reading stops when too few are released."""
        prefetched = min(nbytes, self._prefetched_bytes)
        self._prefetched_bytes -= prefetched
        self._ring.release(nbytes - prefetched)
        if self._paused and self._ring.free_bytes >= RING_BUFFER_BYTES // 2:
            self._paused = False
            self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the view that the transport writes the next bytes to."""
        return self._ring.writable_view()

    def buffer_updated(self, nbytes: int) -> None:
        """Count bytes that the transport has written."""
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
        """Handle the end of the stream."""
        self._fail(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
        self._fail(exc)
        # The client waits for this event when it is closed.
        self._protocol.connection_lost(exc)

    def _fail(self, error: Exception | None) -> None:
        if not self._remaining:
            return
        reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        self._error = self._error or NetworkError(f"the connection ended before the last byte{reason}")
        self._data_ready.set()


class SocketContent:
    """Rest of a content in its socket. Use it in a `with` block; no thread may use `source` at its end.

    Attributes:
        source: the socket.
        remaining: bytes of the content that are still to be received.
    """

    def __init__(self, detached: DetachedConnection, *, stall_timeout: float | None) -> None:
        """Duplicate the socket of a connection without TLS; `stall_timeout` in seconds, None for none.

        Raises:
            OSError: no descriptors are left.
        """
        self.source = SocketSource(os.dup(detached.transport.get_extra_info("socket").fileno()))
        self.remaining = detached.remaining
        self._stall_timeout = stall_timeout
        self._low_watermark = 1
        self._last_received_at = asyncio.get_running_loop().time()

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket."""
        self.source.close()

    def add_received(self, nbytes: int) -> None:
        """Count bytes that were received from the source."""
        if nbytes:
            self.remaining -= nbytes
            self._last_received_at = asyncio.get_running_loop().time()

    def check_end(self) -> None:
        """Check that nothing follows the last byte; call it when `remaining` is 0.

        Raises:
            NetworkError: more bytes were received.
        """
        with suppress(OSError), socket.socket(fileno=os.dup(self.source.fd)) as duplicate:
            if is_surplus(duplicate.recv(MAX_SURPLUS_PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)):
                raise surplus_error()

    async def wait_readable(self, expected: int, timeout: float) -> None:
        """Wait until about `expected` bytes can be received, the connection has ended, or `timeout` (seconds) is over.

        Raises:
            NetworkError: nothing was received for the stall timeout.
        """
        loop = asyncio.get_running_loop()
        if self._stall_timeout is not None:
            left = self._last_received_at + self._stall_timeout - loop.time()
            if left <= 0:
                raise NetworkError("the origin sent nothing within the stall timeout")
            timeout = min(timeout, left)
        self._set_low_watermark(min(expected, SOCKET_WAKE_BYTES))
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self.source.fd, partial(_resolve, readable))
        try:
            await asyncio.wait((readable,), timeout=timeout)
        finally:
            loop.remove_reader(self.source.fd)

    def _set_low_watermark(self, nbytes: int) -> None:
        # A hint: the kernel wakes earlier when its buffer is full, and at the end of the connection.
        if nbytes != self._low_watermark:
            self._low_watermark = nbytes
            with suppress(OSError), socket.socket(fileno=os.dup(self.source.fd)) as duplicate:
                duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes)


def _resolve(readable: "asyncio.Future[None]") -> None:
    if not readable.done():
        readable.set_result(None)
