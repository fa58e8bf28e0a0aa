"""Transfer from a socket to a file inside the kernel, by splice(2).

If the platform or the file system does not support `splice`, bytes are read and written instead.
"""

import errno
import fcntl
import os
import select
import time
from contextlib import suppress
from typing import Final

import msgspec

from downloadd.errors import NetworkError

PIPE_BYTES: Final = 1 << 20
"""Capacity in bytes of the pipe between socket and file; the kernel allows no more without privileges."""

MAX_SPLICE_SECONDS: Final = 0.1
"""Seconds that one call may take, so that the caller can apply limits and stop."""

IDLE_POLL_MS: Final = 2
"""Milliseconds that a call waits for an empty socket; returning to the event loop for each packet takes longer."""

_UNSUPPORTED_ERRNOS: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""EPERM is the answer of a sandbox that does not know the call."""


class SpliceResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of one call."""

    nbytes: int
    """Bytes that were moved."""
    is_eof: bool
    """The peer has closed the connection."""


class SocketSource:
    """Connected socket whose bytes are moved to a file. For one thread at a time.

    Attributes:
        fd: the descriptor of the socket, non-blocking; this object is its only reader.
    """

    def __init__(self, fd: int) -> None:
        """Take ownership of the descriptor `fd`, also when it raises OSError for want of descriptors."""
        self.fd = fd
        self._pipe: tuple[int, int] | None = None
        if hasattr(os, "splice"):
            try:
                self._pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            except BaseException:
                os.close(fd)
                raise
            with suppress(OSError):
                fcntl.fcntl(self._pipe[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def close(self) -> None:
        """Close all descriptors; no thread may be using them."""
        os.close(self.fd)
        self._close_pipe()

    def splice(self, target: int, offset: int, max_bytes: int) -> SpliceResult:
        """Move at most `max_bytes` bytes to `offset` of the file `target`.

        Return when they are moved, when the socket is empty for `IDLE_POLL_MS`, or after `MAX_SPLICE_SECONDS`.

        Raises:
            NetworkError: the connection broke; earlier bytes were reported by the call before.
            OSError: the file could not be written; bytes that did not fit are lost.
        """
        moved = 0
        deadline = time.perf_counter() + MAX_SPLICE_SECONDS
        while moved < max_bytes and time.perf_counter() < deadline:
            try:
                nbytes = self._splice_once(target, offset + moved, min(max_bytes - moved, PIPE_BYTES))
            except BlockingIOError:
                if not self._poll_readable():
                    break
                continue
            except NetworkError:
                if moved:
                    # Report the bytes first; the socket reports the error again at the next call.
                    break
                raise
            if nbytes == 0:
                return SpliceResult(nbytes=moved, is_eof=True)
            moved += nbytes
        return SpliceResult(nbytes=moved, is_eof=False)

    def _splice_once(self, target: int, offset: int, max_bytes: int) -> int:
        if self._pipe is None:
            data = self._read(max_bytes)
            _write(target, data, offset)
            return len(data)
        reader, writer = self._pipe
        try:
            nbytes = os.splice(self.fd, writer, max_bytes, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno not in _UNSUPPORTED_ERRNOS:
                raise _connection_error(error) from error
            self._close_pipe()
            return self._splice_once(target, offset, max_bytes)
        left = nbytes
        while left:
            try:
                left -= os.splice(reader, target, left, offset_dst=offset + nbytes - left, flags=os.SPLICE_F_MOVE)
            except OSError as error:
                if error.errno not in _UNSUPPORTED_ERRNOS:
                    raise
                _write(target, os.read(reader, left), offset + nbytes - left)
                self._close_pipe()
                break
        return nbytes

    def _read(self, max_bytes: int) -> bytes:
        try:
            return os.read(self.fd, max_bytes)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _connection_error(error) from error

    def _poll_readable(self) -> bool:
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(IDLE_POLL_MS))

    def _close_pipe(self) -> None:
        pipe, self._pipe = self._pipe, None
        for descriptor in pipe or ():
            os.close(descriptor)


def _write(target: int, data: bytes, offset: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(target, left, offset)
        left, offset = left[written:], offset + written


def _connection_error(error: OSError) -> NetworkError:
    return NetworkError(f"the connection failed: {error.strerror or type(error).__name__}")
