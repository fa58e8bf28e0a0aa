"""Rest of a content of known length that threads move from its connection to a file."""

import asyncio
import socket
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.origin.byte_sources import CopyingSource, SplicingSource
from downloadd.origin.connection_errors import NOTHING_SENT, early_end_error
from downloadd.origin.framing import LengthDecoder
from downloadd.origin.stream import Stream
from downloadd.storage.byte_source import ByteSource

WAKE_BYTES: Final = 128 * 1024
"""Bytes that should wait in a socket before they are moved, to save a thread switch for each packet."""
MAX_RECORD_BYTES: Final = 17 * 1024
"""Bytes of a TLS record that may have been read from the socket before it is complete (RFC 8446, section 5.2)."""


class DetachedContent:
    """Rest of a content in its connection. Use it in a `with` block; no thread may use `source` at its end.

    Attributes:
        prefetched: first bytes of the content, which were received with its head.
        source: moves the bytes behind them.
    """

    def __init__(
        self,
        stream: Stream,
        decoder: LengthDecoder,
        prefetched: bytes,
        *,
        stall_timeout: float | None,
        may_splice: bool,
    ) -> None:
        """Detach the content of a stream; `stall_timeout` in seconds, None for none.

        Raises:
            OSError: no descriptors are left.
        """
        self.prefetched = prefetched
        self._splicing = SplicingSource(stream.socket.fileno()) if may_splice else None
        self.source: ByteSource = self._splicing or CopyingSource(stream.socket)
        self._stream = stream
        self._decoder = decoder
        self._stall_timeout = stall_timeout
        self._low_watermark = 1
        self._last_received_at = asyncio.get_running_loop().time()

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what belongs to the source; the connection belongs to the content."""
        if self._splicing is not None:
            self._splicing.close()
        self._set_low_watermark(1)

    @property
    def remaining(self) -> int:
        """Bytes of the content that are still to be received."""
        return self._decoder.remaining

    def add_received(self, nbytes: int) -> None:
        """Count bytes that were received from the source."""
        if nbytes:
            self._decoder.skip(nbytes)
            self._last_received_at = asyncio.get_running_loop().time()

    def check_eof(self, *, is_eof: bool) -> None:
        """Raise an error if the connection has ended before the last byte.

        Raises:
            NetworkError: it has.
        """
        if is_eof and self.remaining:
            raise early_end_error(has_head=True)

    async def wait_readable(self, expected: int, timeout: float) -> None:
        """Wait until about `expected` bytes can be received, the connection has ended, or `timeout` (seconds) is over.

        Raises:
            NetworkError: nothing was received for the stall timeout.
        """
        if self._stall_timeout is not None:
            left = self._last_received_at + self._stall_timeout - asyncio.get_running_loop().time()
            if left <= 0:
                raise NetworkError(NOTHING_SENT, kind=NetworkErrorKind.STALLED)
            timeout = min(timeout, left)
        if self._stream.has_buffered_bytes():
            return
        # The rest of a record may be all that is still to come.
        wanted = min(expected - MAX_RECORD_BYTES if self._stream.is_tls else expected, WAKE_BYTES)
        self._set_low_watermark(max(1, wanted))
        await self._stream.wait_readable(timeout=timeout)

    def _set_low_watermark(self, nbytes: int) -> None:
        # A hint: the kernel wakes earlier when its buffer is full, and at the end of the connection.
        if nbytes != self._low_watermark:
            self._low_watermark = nbytes
            with suppress(OSError):
                self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes)
