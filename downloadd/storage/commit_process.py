"""The process that writes small files, so that their many system calls do not wait for the interpreter lock.

It has the descriptors of the root and of one end of a socket pair, and nothing else; each request brings the descriptor
of a directory. The root's descriptor keeps the lock of the root until the process has ended, after a daemon that was
killed. If the process ends, it is started again, and its request is repeated.
"""

import json
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any, Final

import structlog

from downloadd.clock import Clock
from downloadd.storage import unnamed_files
from downloadd.storage.unnamed_files import HEAD, Content, Link, UnnamedFiles, WrittenFile, receive_exactly

log = structlog.get_logger()

MAX_FAILED_STARTS: Final = 3
"""Processes in a row that end before they have answered; then the threads of the daemon write the files."""

MAX_WAIT_SECONDS: Final = 2.0
"""Seconds that a request waits for the one before it; a disk may hang."""

_MAX_BUFFERS: Final = 512
_SHUTDOWN_SECONDS: Final = 2.0


class CommitBusyError(Exception):
    """An earlier request takes too long. Nothing was done."""


class CommitProcess:
    """Runs batches of `UnnamedFiles` in another process. All methods block; any thread may call them.

    Args:
        clock: measures how long a request takes.
        is_enabled: False to run everything in the calling thread.
        program: path of the program.
    """

    def __init__(self, clock: Clock, *, is_enabled: bool, program: str = unnamed_files.__file__) -> None:
        self._clock = clock
        self._program = program
        self._local = UnnamedFiles()
        self._is_enabled = is_enabled and bool(sys.executable)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._root_generation = -1
        self._root_fd = -1
        self._failed_starts = 0
        self._busy_since: float | None = None
        # Files that the process is still to close.
        self._discarded: deque[int] = deque()

    @property
    def is_stuck(self) -> bool:
        """Return True while a request takes too long."""
        since = self._busy_since
        return since is not None and self._clock.monotonic() - since > MAX_WAIT_SECONDS

    @property
    def pid(self) -> int | None:
        """Return the id of the process; None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def start(self, root_fd: int, generation: int) -> None:
        """Start the process, or start it anew for another root.

        Raises:
            CommitBusyError: an earlier request takes too long.
        """
        with self._locked():
            if self._is_enabled and (self._connection is None or generation != self._root_generation):
                self._start(root_fd)
                self._root_generation = generation

    def write(self, directory_fd: int, contents: Sequence[Content], *, fsync: bool) -> list[WrittenFile | int]:
        """Write files; see `UnnamedFiles.write`.

        Raises:
            CommitBusyError: an earlier request takes too long.
        """
        items = [
            (content.token, len(content.data), content.mode, content.owner, content.modified) for content in contents
        ]
        answer = self._request(["write", fsync, items], [content.data for content in contents], directory_fd)
        if answer is None:
            return self._local.write(directory_fd, contents, fsync=fsync)
        return [one if isinstance(one, int) else WrittenFile(*one) for one in answer]

    def link(self, directory_fd: int, links: Sequence[Link], *, fsync: bool) -> list[int]:
        """Link files; see `UnnamedFiles.link`.

        Raises:
            CommitBusyError: an earlier request takes too long.
        """
        answer: list[int] | None = self._request(["link", fsync, links], [], directory_fd)
        return self._local.link(directory_fd, links, fsync=fsync) if answer is None else answer

    def discard(self, tokens: Sequence[int]) -> None:
        """Close files that will not be linked; with the next request if an earlier one takes too long."""
        if not tokens:
            return
        self._local.discard(tokens)
        self._discarded.extend(tokens)
        with suppress(CommitBusyError):
            self._run(lambda connection: None)

    def close(self) -> None:
        """End the process; it finishes its request first."""
        with self._lock:
            self._is_enabled = False
            self._stop()

    def _request(self, request: Any, contents: Sequence[bytes | memoryview], directory_fd: int) -> Any:
        """Return the answer; None if the calling thread must do the work."""

        def exchange(connection: socket.socket) -> Any:
            _send(connection, request, contents, directory_fd)
            return _receive(connection)

        return self._run(exchange)

    def _run(self, exchange: Callable[[socket.socket], Any]) -> Any:
        """Send what was discarded, then return the result of an exchange; None if there is no process.

        Both are repeated with a new process if this one ends.
        """
        with self._locked():
            while self._connection is not None:
                try:
                    self._send_discarded(self._connection)
                    answer = exchange(self._connection)
                except (OSError, EOFError):
                    self._restart()
                    continue
                self._failed_starts = 0
                return answer
            # The files were closed with their process.
            self._discarded.clear()
            return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait for the request before, and exclude others.

        Raises:
            CommitBusyError: it takes too long.
        """
        if not self._lock.acquire(timeout=MAX_WAIT_SECONDS):
            raise CommitBusyError
        self._busy_since = self._clock.monotonic()
        try:
            yield
        finally:
            self._busy_since = None
            self._lock.release()

    def _send_discarded(self, connection: socket.socket) -> None:
        tokens = list(self._discarded)
        if tokens:
            _send(connection, ["discard", False, tokens], [], None)
            _receive(connection)
            for _ in tokens:
                self._discarded.popleft()

    def _restart(self) -> None:
        status = self._stop()
        self._failed_starts += 1
        log.warning("commit_process_ended", status=status, starts=self._failed_starts)
        if self._failed_starts < MAX_FAILED_STARTS:
            self._start(self._root_fd)
        else:
            self._is_enabled = False
            log.error("commit_process_disabled", detail="small files are written by threads of the daemon, more slowly")

    def _start(self, root_fd: int) -> None:
        self._stop()
        self._root_fd = root_fd
        own, other = socket.socketpair()
        with other:
            command = [sys.executable, "-I", "-S", self._program, str(other.fileno())]
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the interpreter, with a program of this package
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(other.fileno(), root_fd),
                    cwd="/",
                    env={},
                )
            except OSError as error:
                own.close()
                log.warning("commit_process_not_started", reason=error.strerror)
                return
        self._connection = own

    def _stop(self) -> int | None:
        """Close the connection, and return the exit status of the process."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            return process.wait(_SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return None


def _send(
    connection: socket.socket, request: Any, contents: Sequence[bytes | memoryview], directory_fd: int | None
) -> None:
    data = json.dumps(request).encode()
    head = HEAD.pack(len(data), sum(map(len, contents)))
    descriptors = () if directory_fd is None else (directory_fd,)
    left = [memoryview(piece) for piece in chain((head, data), contents) if piece]
    while left:
        # The descriptor arrives with the first byte.
        sent = socket.send_fds(connection, left[:_MAX_BUFFERS], descriptors)
        descriptors = ()
        while left and sent >= len(left[0]):
            sent -= len(left.pop(0))
        if sent:
            left[0] = left[0][sent:]


def _receive(connection: socket.socket) -> Any:
    length, _ = HEAD.unpack(receive_exactly(connection, HEAD.size))
    return json.loads(bytes(receive_exactly(connection, length)))
