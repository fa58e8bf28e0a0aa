"""Byte stream over one socket, with or without TLS.

The socket does not block. While no thread moves its bytes, it is read and written in the event loop, without a buffer
of its own: bytes stay in the kernel until they are read, so a slow reader slows the origin down.
"""

import asyncio
import socket
from contextlib import suppress
from ssl import SSLContext, SSLError, SSLSocket, SSLWantReadError, SSLWantWriteError
from typing import Final

MAX_READ_BYTES: Final = 64 * 1024
"""Bytes of one read."""
YIELD_BYTES: Final = 512 * 1024
"""Bytes that are read without a pause before other tasks run."""

_PEEK_BYTES: Final = 16


class Stream:
    """One connection to an origin or a proxy.

    Attributes:
        socket: the socket; for TLS an `SSLSocket`. It does not block.
        peer: the address that was connected to; None if the socket has none.
    """

    def __init__(self, sock: socket.socket, *, peer: str | None) -> None:
        """Take ownership of a connected socket that does not block."""
        self.socket = sock
        self.peer = peer
        self._unyielded = 0
        # True if nothing waited to be read when the socket was used last: reading would be a call in vain.
        self._is_drained = False
        self._loop = asyncio.get_running_loop()

    @property
    def is_tls(self) -> bool:
        """True if the stream is encrypted."""
        return isinstance(self.socket, SSLSocket)

    async def start_tls(self, context: SSLContext, host: str) -> None:
        """Make the TLS handshake; verify the certificate for `host`, a name or an address.

        Raises:
            OSError, ssl.SSLError: the handshake failed.
        """
        plain, self.socket = (
            self.socket,
            context.wrap_socket(
                self.socket, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
            ),
        )
        # wrap_socket has taken the descriptor over.
        assert plain.fileno() == -1  # noqa: S101 - else it would be closed twice
        tls: SSLSocket = self.socket
        while True:
            try:
                tls.do_handshake()
            except SSLWantReadError:
                await self._wait(is_write=False, timeout=None)
            except SSLWantWriteError:
                await self._wait(is_write=True, timeout=None)
            else:
                return

    async def send(self, data: bytes, *, timeout: float | None) -> None:
        """Send all bytes.

        Raises:
            TimeoutError: the peer took no byte for `timeout` seconds.
            OSError, ssl.SSLError: the connection broke.
        """
        left = memoryview(data)
        while left:
            try:
                left = left[self.socket.send(left) :]
            except (BlockingIOError, SSLWantWriteError):
                await self._wait(is_write=True, timeout=timeout)
            except SSLWantReadError:
                await self._wait(is_write=False, timeout=timeout)
        # The response takes the time of a round trip.
        self._is_drained = not self.has_buffered_bytes()

    async def receive(self, max_bytes: int, *, timeout: float | None) -> bytes:
        """Wait for bytes and return them, at most `max_bytes`; return b"" at the end of the stream.

        Raises:
            TimeoutError: nothing arrived within `timeout` seconds.
            ssl.SSLEOFError: the connection ended without the closure alert of TLS.
            OSError, ssl.SSLError: the connection broke.
        """
        if self._unyielded >= YIELD_BYTES:
            self._unyielded = 0
            # A fast origin would leave no time to other tasks.
            await asyncio.sleep(0)
        if self._is_drained:
            await self._wait(is_write=False, timeout=timeout)
        while True:
            try:
                data = self.socket.recv(min(max_bytes, MAX_READ_BYTES))
            except (BlockingIOError, SSLWantReadError):
                await self._wait(is_write=False, timeout=timeout)
            except SSLWantWriteError:
                await self._wait(is_write=True, timeout=timeout)
            else:
                self._unyielded += len(data)
                return data

    async def wait_readable(self, *, timeout: float | None) -> bool:
        """Wait until something can be read, or the connection has ended; return False after `timeout` seconds."""
        try:
            await self._wait(is_write=False, timeout=timeout)
        except TimeoutError:
            return False
        return True

    def has_buffered_bytes(self) -> bool:
        """Return True if decrypted bytes wait to be read, which no wait for the socket would notice."""
        return isinstance(self.socket, SSLSocket) and self.socket.pending() > 0

    def peek(self) -> bytes | None:
        """Return some bytes that wait to be read; None if there are none, b"" at the end of the stream.

        Bytes of TLS are read, so the stream must not be used after it has returned some.

        Raises:
            OSError, ssl.SSLError: the connection broke.
        """
        try:
            if isinstance(self.socket, SSLSocket):
                return self.socket.recv(_PEEK_BYTES)
            return self.socket.recv(_PEEK_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, SSLWantReadError, SSLWantWriteError):
            return None

    def is_idle(self) -> bool:
        """Return True if the connection is open, and nothing waits to be read."""
        try:
            return self.peek() is None
        except (OSError, SSLError):
            return False

    def close(self) -> None:
        """Close the connection; no thread may use the socket."""
        if isinstance(self.socket, SSLSocket):
            # The closure alert (RFC 8446, section 6.1); that of the peer is not waited for.
            with suppress(OSError, ValueError):
                self.socket.unwrap()
        self.socket.close()

    async def _wait(self, *, is_write: bool, timeout: float | None) -> None:
        loop, fd = self._loop, self.socket.fileno()
        ready: asyncio.Future[None] = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, _expire, ready)
        self._unyielded, self._is_drained = 0, False
        (loop.add_writer if is_write else loop.add_reader)(fd, _resolve, ready)
        try:
            await ready
        finally:
            (loop.remove_writer if is_write else loop.remove_reader)(fd)
            if timer is not None:
                timer.cancel()


def _resolve(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def _expire(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_exception(TimeoutError())
