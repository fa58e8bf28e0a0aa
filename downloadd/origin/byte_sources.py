"""Sources of bytes that threads move from a connection to a file.

`SplicingSource` moves them inside the kernel, by splice(2). `CopyingSource` reads and writes them: the bytes of TLS,
and those that are hashed. The interpreter lock is released in both while the kernel or OpenSSL is at work.
"""

import errno
import fcntl
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from ssl import SSLWantReadError, SSLWantWriteError
from typing import Final

from downloadd.origin.connection_errors import map_transfer_error
from downloadd.storage.byte_source import MoveResult

PIPE_BYTES: Final = 1 << 20
"""Capacity in bytes of the pipe between socket and file; the kernel allows no more without privileges."""

COPY_BYTES: Final = 64 * 1024
"""Bytes that are read before they are written: a part of the processor's cache, and four records of TLS."""

MAX_MOVE_SECONDS: Final = 0.1
"""Seconds that one call may take, so that the caller can apply limits and stop."""

IDLE_POLL_MS: Final = 2
"""Milliseconds that a call waits for an empty socket; returning to the event loop for each packet takes longer."""

_UNSUPPORTED_ERRNOS: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""EPERM is the answer of a sandbox that does not know the call."""


class SplicingSource:
    """Connected socket whose bytes are moved inside the kernel, or copied where that is not supported."""

    def __init__(self, fd: int) -> None:
        """Move the bytes of the socket with the descriptor `fd`, which does not block.

        Raises:
            OSError: no descriptors are left.
        """
        self._fd = fd
        self._pipe: tuple[int, int] | None = None
        if hasattr(os, "splice"):
            self._pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            with suppress(OSError):
                fcntl.fcntl(self._pipe[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def close(self) -> None:
        """Close the pipe; no thread may be using it."""
        pipe, self._pipe = self._pipe, None
        for descriptor in pipe or ():
            os.close(descriptor)

    def move_to(
        self, target: int, offset: int, max_bytes: int, on_bytes: Callable[[memoryview, int], None]
    ) -> MoveResult:
        """Move bytes; see `ByteSource`."""
        return _move(self._fd, lambda done: self._move_once(target, offset + done, max_bytes - done), max_bytes)

    def _move_once(self, target: int, offset: int, max_bytes: int) -> int:
        if self._pipe is None:
            data = os.read(self._fd, min(max_bytes, PIPE_BYTES))
            with _TargetErrors():
                _write(target, memoryview(data), offset)
            return len(data)
        reader, writer = self._pipe
        try:
            nbytes = os.splice(
                self._fd, writer, min(max_bytes, PIPE_BYTES), flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
            )
        except OSError as error:
            if error.errno not in _UNSUPPORTED_ERRNOS:
                raise
            self.close()
            return self._move_once(target, offset, max_bytes)
        with _TargetErrors():
            self._empty_pipe(reader, target, offset, nbytes)
        return nbytes

    def _empty_pipe(self, reader: int, target: int, offset: int, nbytes: int) -> None:
        left = nbytes
        while left:
            try:
                left -= os.splice(reader, target, left, offset_dst=offset + nbytes - left, flags=os.SPLICE_F_MOVE)
            except OSError as error:
                if error.errno not in _UNSUPPORTED_ERRNOS:
                    raise
                _write(target, memoryview(os.read(reader, left)), offset + nbytes - left)
                self.close()
                return


class CopyingSource:
    """Connected socket, with or without TLS, whose bytes are read and written."""

    def __init__(self, sock: socket.socket) -> None:
        """Read a socket that does not block."""
        self._socket = sock

    def move_to(
        self, target: int, offset: int, max_bytes: int, on_bytes: Callable[[memoryview, int], None]
    ) -> MoveResult:
        """Move bytes; see `ByteSource`."""
        buffer = memoryview(bytearray(min(COPY_BYTES, max_bytes)))

        def move_once(done: int) -> int:
            filled, error = self._fill(buffer[: max_bytes - done])
            if filled:
                with _TargetErrors():
                    _write(target, buffer[:filled], offset + done)
                on_bytes(buffer[:filled], offset + done)
            elif error is not None:
                raise error
            return filled

        return _move(self._socket.fileno(), move_once, max_bytes)

    def _fill(self, buffer: memoryview) -> tuple[int, OSError | None]:
        """Fill the buffer as far as bytes are there; return their number, and the error that ended it."""
        filled = 0
        while filled < len(buffer):
            try:
                nbytes = self._socket.recv_into(buffer[filled:])
            except (SSLWantReadError, SSLWantWriteError):
                return filled, BlockingIOError()
            except OSError as error:
                return filled, error
            if not nbytes:
                break
            filled += nbytes
        return filled, None


class _TargetError(Exception):
    """Error of the file, apart from those of the connection."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


class _TargetErrors:
    """Context that marks errors as those of the file."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Mark an error."""
        if isinstance(error, OSError):
            raise _TargetError(error)


def _move(fd: int, move_once: Callable[[int], int], max_bytes: int) -> MoveResult:
    """Call `move_once` with the number of bytes moved so far, until the conditions of `ByteSource.move_to` hold."""
    moved = 0
    deadline = time.perf_counter() + MAX_MOVE_SECONDS
    while moved < max_bytes and time.perf_counter() < deadline:
        try:
            nbytes = move_once(moved)
        except BlockingIOError:
            if not _poll_readable(fd):
                break
            continue
        except _TargetError as target_error:
            raise target_error.error from None
        except OSError as error:
            if moved:
                # Report the bytes first; the socket reports the error again at the next call.
                break
            raise map_transfer_error(error, has_head=True) from error
        if nbytes == 0:
            return MoveResult(nbytes=moved, is_eof=True)
        moved += nbytes
    return MoveResult(nbytes=moved, is_eof=False)


def _poll_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(IDLE_POLL_MS))


def _write(target: int, data: memoryview, offset: int) -> None:
    left = data
    while left:
        written = os.pwrite(target, left, offset)
        left, offset = left[written:], offset + written
