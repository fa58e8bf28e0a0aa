"""Content of a response: read in pieces in the event loop, or moved to a file by threads."""

import asyncio
from collections.abc import Callable
from ssl import SSLError
from typing import Final

from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.origin.connection_errors import early_end_error, map_transfer_error, surplus_error
from downloadd.origin.detached_content import DetachedContent
from downloadd.origin.framing import ContentDecoder, LengthDecoder, is_surplus
from downloadd.origin.message_head import MalformedResponseError
from downloadd.origin.stream import MAX_READ_BYTES, Stream

MIN_DETACH_BYTES: Final = 1 << 20
"""Bytes of content from which on threads move it: for fewer, changing threads takes longer than it saves."""


class Content:
    """Content of one response, read once, in pieces.

    Attributes:
        expected_length: bytes of the content by its head; None if unknown.
    """

    def __init__(
        self,
        stream: Stream,
        decoder: ContentDecoder,
        received: bytes,
        *,
        stall_timeout: float | None,
        keep: Callable[[], None] | None,
    ) -> None:
        """Make the content behind a head.

        Args:
            stream: the connection; it belongs to the content.
            decoder: decoder of its bytes.
            received: bytes that were received with the head.
            stall_timeout: seconds without content after which reading fails; None for none.
            keep: called with the connection when another request may use it; None if it must be closed.
        """
        self._stream = stream
        self._decoder = decoder
        self._pending = b""
        """Decoded bytes that were not read."""
        self._received = received
        """Bytes that were not decoded."""
        self._stall_timeout = stall_timeout
        self._keep = None if decoder.is_ended_by_close else keep
        self._is_closed = False
        self._is_started = False
        self._error: NetworkError | None = None
        self._delivered_bytes = 0
        self.expected_length: int | None = None

    async def read(self, limit: int = -1) -> bytes:
        """Wait for bytes and return them, at most `limit` if not negative; return b"" at the end.

        Raises:
            NetworkError: the connection broke, stalled, or the message is malformed or ended early.
        """
        self._is_started = True
        data = self._pending or await self._receive(limit)
        if 0 <= limit < len(data):
            data, self._pending = data[:limit], data[limit:]
        else:
            self._pending = b""
        self._delivered_bytes += len(data)
        if self.expected_length is not None and self._delivered_bytes > self.expected_length:
            # The framing may not have the length: a range may be chunked, or end with the connection.
            raise surplus_error()
        return data

    @property
    def is_at_end(self) -> bool:
        """True if the last byte was read; False while only a further read can tell."""
        return self._decoder.is_complete and not self._pending and not self._received

    def check_end(self) -> None:
        """Check for bytes behind the announced content, for a caller that does not read on or has detached it.

        Raises:
            NetworkError: such bytes were received by now.
        """
        if self._decoder.is_complete:
            self._check_surplus()

    def detach(self, *, may_splice: bool) -> DetachedContent | None:
        """Return the content as one that threads move to a file; None if it must be read, or was read before.

        Afterwards `read` must not be called. With `may_splice` the bytes need not enter the process.

        Raises:
            OSError: no descriptors are left.
        """
        decoder = self._decoder
        if self._is_started or not isinstance(decoder, LengthDecoder) or decoder.remaining < MIN_DETACH_BYTES:
            return None
        self._is_started = True
        prefetched, self._received = decoder.decode(self._received), b""
        return DetachedContent(
            self._stream,
            decoder,
            prefetched,
            stall_timeout=self._stall_timeout,
            may_splice=may_splice and not self._stream.is_tls,
        )

    def close(self) -> None:
        """Close the connection, also before the end of the content."""
        if not self._is_closed:
            self._is_closed = True
            self._stream.close()

    def release_connection(self) -> None:
        """Keep the connection for another request if everything was received, and close it otherwise."""
        # Reading the rest could take longer than a new connection.
        if self._received and not self._decoder.is_complete:
            try:
                self._decoder.decode(self._received)
            except MalformedResponseError:
                self._keep = None
        if self._is_closed or self._keep is None or not self._decoder.is_complete or self._decoder.surplus:
            self.close()
        else:
            self._is_closed = True
            self._keep()

    async def _receive(self, limit: int) -> bytes:
        """Return the next decoded bytes, b"" at the end."""
        loop = asyncio.get_running_loop()
        deadline = None if self._stall_timeout is None else loop.time() + self._stall_timeout
        while True:
            if self._error is not None:
                raise self._error
            try:
                if self._received:
                    received, self._received = self._received, b""
                    data = self._decoder.decode(received)
                    if data:
                        return data
                if self._decoder.is_complete:
                    self._check_surplus()
                    return b""
                # Bytes without content (chunk extensions, trailers) are not progress.
                timeout = None if deadline is None else max(0.0, deadline - loop.time())
                if timeout == 0.0:
                    raise TimeoutError
                self._received = await self._stream.receive(
                    limit if 0 <= limit < MAX_READ_BYTES else MAX_READ_BYTES, timeout=timeout
                )
            except (OSError, MalformedResponseError) as error:
                self._error = self._map_error(error)
                raise self._error from error
            if not self._received:
                if self._decoder.is_ended_by_close:
                    # The stream raises an error for every other end than an orderly one (RFC 9112, section 9.8).
                    self._decoder.is_complete = True
                    return b""
                self._error = early_end_error(has_head=True)

    def _check_surplus(self) -> None:
        surplus = self._decoder.surplus
        if not surplus and not self._decoder.is_ended_by_close:
            try:
                surplus = self._stream.peek() or b""
            except OSError:
                self._keep = None
            if surplus:
                # The connection has bytes that no request asked for, if only an empty line.
                self._keep = None
        if is_surplus(surplus):
            raise surplus_error()

    def _map_error(self, error: OSError | MalformedResponseError) -> NetworkError:
        if self._decoder.is_ended_by_close and isinstance(error, SSLError | ConnectionError):
            what = "the TLS connection was cut" if isinstance(error, SSLError) else "the connection was reset"
            return NetworkError(f"{what} before the end of a body without a length", kind=NetworkErrorKind.CUT)
        return map_transfer_error(error, has_head=True)
