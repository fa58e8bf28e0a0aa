"""Content of a response: received bytes, in pieces or as a socket."""

import asyncio
from functools import partial
from ssl import SSLError, SSLObject, SSLZeroReturnError

import aiohttp

from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.transfer.client_errors import map_client_error
from downloadd.transfer.detach import BufferedContent, DetachedConnection, SocketContent, detach, surplus_error
from downloadd.transfer.origin_protocol import SurplusError


class Content:
    """Content of one response, read once, in pieces.

    Attributes:
        expected_length: bytes of the content by its head; None if unknown.
    """

    def __init__(self, response: aiohttp.ClientResponse, *, stall_timeout: float | None) -> None:
        self._response = response
        self._stall_timeout = stall_timeout
        self._buffered: BufferedContent | None = None
        self._detached: DetachedConnection | None = None
        self._is_started = False
        self.expected_length: int | None = None
        self._delivered_bytes = 0
        self._is_delimited = (
            response.content_length is not None or response.headers.get("Transfer-Encoding") is not None
        )
        connection = response.connection
        protocol = connection.protocol if connection is not None else None
        self._closed = protocol.closed if protocol is not None and not self._is_delimited else None
        transport = connection.transport if connection is not None and not self._is_delimited else None
        self._tls: SSLObject | None = transport.get_extra_info("ssl_object") if transport is not None else None
        if protocol is not None:
            # aiohttp restarts its stall timer when a paused connection is resumed, even for the last byte: a reader
            # delayed by a speed limit would then lose the rest of the buffer. Without a timeout no timer starts; the
            # next request on this connection sets its own.
            response.content.on_eof(partial(setattr, protocol, "read_timeout", None))

    async def read(self, limit: int = -1) -> bytes | memoryview:
        """Wait for bytes and return them, at most `limit` if not negative; return b"" at the end.

        The bytes are valid until they are released.

        Raises:
            NetworkError: the connection broke, stalled, or the message is malformed or ended early.
        """
        if not self._is_started:
            self._is_started = True
            detached = self._detach()
            if detached is not None:
                self._buffered = BufferedContent(detached, stall_timeout=self._stall_timeout)
        return await (self._read_parsed(limit) if self._buffered is None else self._buffered.read(limit))

    def check_end(self) -> None:
        """Check for bytes behind the announced content, for a caller that does not read on.

        Raises:
            NetworkError: such bytes were received by now.
        """
        if self._buffered is not None:
            self._buffered.check_end()
        elif isinstance(self._response.content.exception(), SurplusError):
            raise surplus_error()

    def release(self, nbytes: int) -> None:
        """Release the memory of the oldest bytes that were read."""
        if self._buffered is not None:
            self._buffered.release(nbytes)

    def close(self) -> None:
        """Close the connection, also before the end of the content."""
        if self._detached is not None:
            self._detached.transport.close()
        self._response.close()

    def release_connection(self) -> None:
        """Return the connection to the pool if everything was read, and close it otherwise."""
        # Reading the rest could take longer than a new connection.
        if self._detached is None and self._response.content.at_eof():
            self._response.release()
        else:
            self.close()

    def detach_socket(self) -> tuple[list[bytes], SocketContent] | None:
        """Return the bytes read so far and the rest as a socket; None if the content must be read, or was read before.

        After it has returned a socket, `read` must not be called.

        Raises:
            NetworkError: the connection broke.
        """
        if self._is_started:
            return None
        detached = self._detach()
        if detached is None:
            return None
        self._is_started = True
        if not detached.is_plaintext:
            self._buffered = BufferedContent(detached, stall_timeout=self._stall_timeout)
            return None
        try:
            return detached.prefetched, SocketContent(detached, stall_timeout=self._stall_timeout)
        except OSError as error:
            raise map_client_error(error, has_head=True) from error

    def _detach(self) -> DetachedConnection | None:
        try:
            self._detached = detach(self._response)
            return self._detached
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise map_client_error(error, has_head=True) from error

    async def _read_parsed(self, limit: int) -> bytes:
        try:
            # Bytes without content (chunk extensions, trailers) are not progress.
            async with asyncio.timeout(self._stall_timeout):
                data = await (self._response.content.readany() if limit < 0 else self._response.content.read(limit))
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            # aiohttp raises the error of the stream before it returns the bytes received until then. A slow reader
            # would lose them: attempts that are cut repeatedly would make no progress.
            data = self._response.content._read_nowait(limit)
            if not data:
                raise map_client_error(error, has_head=True) from error
        self._delivered_bytes += len(data)
        if self.expected_length is not None and self._delivered_bytes > self.expected_length:
            # The framing may not have the length: a range may be chunked, or end with the connection.
            raise surplus_error()
        # A message without a length ends with the connection (RFC 9112, section 6.3, rule 8): it is complete only after
        # an orderly close.
        if not data and self._closed is not None and self._closed.done() and self._closed.exception() is not None:
            raise NetworkError(
                "the connection was reset before the end of a body without a length", kind=NetworkErrorKind.CUT
            )
        if not data and self._tls is not None and not _received_close_notify(self._tls):
            raise NetworkError(
                "the TLS connection was cut before the end of a body without a length", kind=NetworkErrorKind.CUT
            )
        return data


def _received_close_notify(tls: SSLObject) -> bool:
    """Return True if the closure alert of the peer was received.

    Without it, an attacker in the network may have cut the connection: a message without a length is complete only
    with it (RFC 9112, section 9.8).
    """
    try:
        return not tls.read(1)
    except SSLZeroReturnError:
        # The same, after our own alert was sent.
        return True
    except SSLError:
        return False
