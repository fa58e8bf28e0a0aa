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

LEAST: Final = 4 << 20
"""Bytes of content from which on a connection is worth to be taken over."""

WAKE_BYTES: Final = 128 * 1024
"""Bytes that should wait in a socket before they are fetched: a packet each would be a thread hop each."""

RING_BYTES: Final = 4 << 20
"""Bytes that may be on their way from a connection to the disk before the connection is paused."""


READ_BYTES: Final = 512 * 1024
"""Bytes that a reader is woken for: one that is woken for each packet does little else."""

SURPLUS_BYTES: Final = 16
"""Bytes behind the last one that are looked at."""

READ_SECONDS: Final = 0.05
"""How long fewer bytes wait for more to come."""


class TakenOver(msgspec.Struct, frozen=True, kw_only=True):
    """A connection in the middle of a content, paused."""

    transport: asyncio.Transport
    protocol: ResponseHandler
    pieces: list[bytes]
    """What of the content was read already."""
    left: int
    """Bytes of it that were not."""
    is_plain: bool
    """Whether the socket carries the content as it is, without TLS."""


def take_over(response: aiohttp.ClientResponse) -> TakenOver | None:
    """The connection of a response, in the middle of its content; None when its content has to be parsed, or is short.

    The response is not read from any more. Whoever takes the connection over closes its transport.

    Raises:
        aiohttp.ClientError, OSError: the connection is broken already.
    """
    length, connection = response.content_length, response.connection
    if length is None or length < LEAST or connection is None or "Transfer-Encoding" in response.headers:
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
    return TakenOver(
        transport=transport,
        protocol=protocol,
        pieces=pieces,
        left=length - response.content.total_bytes,
        is_plain=transport.get_extra_info("sslcontext") is None,
    )


def surplus() -> NetworkError:
    """More came than the content that was announced."""
    return NetworkError("the origin sent more bytes than it had announced", voids=True)


class Ring:
    """Bytes that come in, are looked at, and leave in the same order, without ever being copied or allocated anew.

    Memory is used as far as the ring was ever filled: emptied, it begins anew at its first page.
    """

    def __init__(self, size: int) -> None:
        """A ring of `size` bytes."""
        self._view = memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self._size = size
        # Positions grow without end; what they point at is their remainder.
        self._head = 0
        self._seen = 0
        self._tail = 0

    @property
    def unseen(self) -> int:
        """Bytes that were not looked at yet."""
        return self._head - self._seen

    @property
    def room(self) -> int:
        """Bytes that can come in."""
        return self._size - (self._head - self._tail)

    def space(self) -> memoryview:
        """Where the next bytes go; empty when there is no room."""
        begin = self._head % self._size
        return self._view[begin : begin + min(self.room, self._size - begin)]

    def fill(self, nbytes: int) -> None:
        """So many bytes were put into the space."""
        self._head += nbytes

    def look(self, limit: int) -> memoryview:
        """The next bytes, at most `limit` if not negative; they stay where they are until they are released."""
        begin = self._seen % self._size
        nbytes = min(self._head - self._seen, self._size - begin)
        if 0 <= limit < nbytes:
            nbytes = limit
        self._seen += nbytes
        return self._view[begin : begin + nbytes]

    def release(self, nbytes: int) -> None:
        """The oldest bytes that were looked at are not needed any more."""
        self._tail += nbytes
        if self._tail == self._head:
            self._head = self._seen = self._tail = 0


class BufferedContent(asyncio.BufferedProtocol):
    """The content of a connection that was taken over, read straight into one buffer."""

    def __init__(self, taken: TakenOver, *, stall_timeout: float | None) -> None:
        """Goes on reading; `stall_timeout` in seconds, None for none."""
        self._transport = taken.transport
        self._protocol = taken.protocol
        self._stall_timeout = stall_timeout
        self._earlier = deque(taken.pieces)
        self._earlier_bytes = sum(map(len, taken.pieces))
        self._left = taken.left
        self._ring = Ring(RING_BYTES)
        self._paused = False
        self._came = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        self._broken: NetworkError | None = None
        self._transport.set_protocol(self)
        self._transport.resume_reading()

    async def read(self, limit: int) -> bytes | memoryview:
        """What has come, at most `limit` bytes of it if not negative; waits for something; b"" at the end.

        Raises:
            NetworkError: the connection broke, ended early or stalled.
        """
        if self._earlier:
            piece = self._earlier.popleft()
            if 0 <= limit < len(piece):
                self._earlier.appendleft(piece[limit:])
            return piece[:limit] if limit >= 0 else piece
        while not self._ring.unseen:
            if self._broken is not None:
                raise self._broken
            if not self._left:
                return b""
            self._came.clear()
            try:
                async with asyncio.timeout(self._stall_timeout):
                    await self._came.wait()
            except TimeoutError:
                raise NetworkError("the origin sent nothing within the stall timeout") from None
        return self._ring.look(limit)

    def check_end(self) -> None:
        """See `Content.check_end`."""
        if self._broken is not None and self._broken.voids:
            raise self._broken

    def release(self, nbytes: int) -> None:
        """The oldest bytes that were read are not needed any more; without it, reading comes to a halt."""
        earlier = min(nbytes, self._earlier_bytes)
        self._earlier_bytes -= earlier
        self._ring.release(nbytes - earlier)
        if self._paused and self._ring.room >= RING_BYTES // 2:
            self._paused = False
            self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._ring.space()

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have been put there."""
        wanted = min(nbytes, self._left)
        if nbytes > wanted and is_surplus(bytes(self._ring.space()[wanted:nbytes])):
            self._broken = surplus()
        self._ring.fill(wanted)
        self._left -= wanted
        if not self._paused and (not self._ring.room or not self._left):
            self._paused = True
            self._transport.pause_reading()
        if self._paused or self._ring.unseen >= READ_BYTES:
            self._came.set()
        elif self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(READ_SECONDS, self._wake)

    def _wake(self) -> None:
        self._soon = None
        self._came.set()

    def eof_received(self) -> None:
        """The origin will send nothing more."""
        self._break(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._break(exc)
        # The client waits for it when it is closed.
        self._protocol.connection_lost(exc)

    def _break(self, error: Exception | None) -> None:
        if not self._left:
            return
        reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        self._broken = self._broken or NetworkError(f"the connection ended before the last byte{reason}")
        self._came.set()


class SocketContent:
    """The rest of a content, still in its socket. Use it in a `with` block; no thread may use `source` at its end.

    Attributes:
        source: the socket.
        left: bytes of this content that are still to be taken.
    """

    def __init__(self, taken: TakenOver, *, stall_timeout: float | None) -> None:
        """The socket of a connection that carries the content as it is; `stall_timeout` in seconds, None for none.

        Raises:
            OSError: there are no descriptors left.
        """
        self.source = SocketSource(os.dup(taken.transport.get_extra_info("socket").fileno()))
        self.left = taken.left
        self._stall_timeout = stall_timeout
        self._lowat = 1
        self._last_came = asyncio.get_running_loop().time()

    def __enter__(self) -> Self:
        """Nothing is to be done."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the socket."""
        self.source.close()

    def took(self, nbytes: int) -> None:
        """Counts what was taken from the source."""
        if nbytes:
            self.left -= nbytes
            self._last_came = asyncio.get_running_loop().time()

    def check_end(self) -> None:
        """To be called when nothing is left.

        Raises:
            NetworkError: something came behind the last byte.
        """
        with suppress(OSError), socket.socket(fileno=os.dup(self.source.fd)) as same:
            if is_surplus(same.recv(SURPLUS_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)):
                raise surplus()

    async def readable(self, wanted: int, patience: float) -> None:
        """Waits until about `wanted` bytes have come, the connection has ended, or `patience` (seconds) is over.

        Raises:
            NetworkError: nothing has come for the stall timeout.
        """
        loop = asyncio.get_running_loop()
        if self._stall_timeout is not None:
            left = self._last_came + self._stall_timeout - loop.time()
            if left <= 0:
                raise NetworkError("the origin sent nothing within the stall timeout")
            patience = min(patience, left)
        self._wake_at(min(wanted, WAKE_BYTES))
        came: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self.source.fd, partial(_settle, came))
        try:
            await asyncio.wait((came,), timeout=patience)
        finally:
            loop.remove_reader(self.source.fd)

    def _wake_at(self, nbytes: int) -> None:
        # A wish: the kernel wakes earlier when its buffer holds no more, and at the end of the connection.
        if nbytes != self._lowat:
            self._lowat = nbytes
            with suppress(OSError), socket.socket(fileno=os.dup(self.source.fd)) as same:
                same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes)


def _settle(came: "asyncio.Future[None]") -> None:
    if not came.done():
        came.set_result(None)
