"""Scripted origin on raw sockets, for valid and invalid HTTP.

Usage::

    async with Origin() as origin:
        origin.script("/file", [
            ScriptedResponse(size=1000, etag='"v1"', cut_after=300),
            ScriptedResponse(size=1000, etag='"v1"'),
        ])
        ...  # let the client fetch origin.url("/file")
        await origin.wait_requested("/file", times=2)
        assert origin.requests("/file")[1].field("Range") == "bytes=300-"

Each request to a path consumes one answer of its script; the last one repeats. A path without a script is a 404.
"""

import asyncio
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import msgspec
from msgspec.structs import replace

from .scripted_response import Cut, Framing, PlannedResponse, ScriptedResponse, content, error_response, plan_response

CHUNK_BYTES: Final = 256 * 1024
"""Bytes written to a socket at once."""

TICK_SECONDS: Final = 0.05
"""Seconds between two pieces of a body that is sent at a rate, while there are few of them."""

MAX_WAKE_UPS_PER_SECOND: Final = 2_000
"""Pieces a second of all bodies that are sent at a rate; with more bodies, each gets larger pieces less often."""

MAX_HEAD_BYTES: Final = 64 * 1024
"""Bytes of the head of a request."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Request as received."""

    method: str
    target: bytes
    """Request target, byte for byte."""
    fields: tuple[tuple[bytes, bytes], ...]
    """Field lines in order, byte for byte, without the blanks around a value."""
    connection: int
    """Number of its connection, from 1."""
    received_at: float
    """Time of the event loop in seconds."""
    body: bytes = b""

    @property
    def path(self) -> str:
        """Target without its query."""
        return self.target.partition(b"?")[0].decode("utf-8", "surrogateescape")

    def field(self, name: str) -> str | None:
        """Return the value of the first field of this name, in any case; None if there is none."""
        wanted = name.lower().encode()
        return next((v.decode("utf-8", "surrogateescape") for n, v in self.fields if n.lower() == wanted), None)


class _PathState:
    """Script of a path, and the requests to it."""

    def __init__(self) -> None:
        self.answers: list[ScriptedResponse] = []
        self.next = 0
        self.requests: list[Request] = []
        self.sent = 0
        self.active = 0
        self.max_active = 0
        self.finished = 0

    def next_response(self) -> ScriptedResponse:
        answer = self.answers[min(self.next, len(self.answers) - 1)]
        self.next += 1
        return answer


class Origin:
    """Server that listens while it is entered; leaving it resets open connections.

    Attributes:
        port: the port it listens on.
        connections: the number of connections accepted so far.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        name: str | None = None,
        port: int = 0,
        fallback: Callable[[Request], ScriptedResponse] | None = None,
    ) -> None:
        """Create an origin that does not listen yet.

        Args:
            tls: the server context for TLS (see `tls.Authority`).
            host: the address to listen on.
            name: the host that `url` names; the address by default.
            port: 0 for any free one.
            fallback: returns the response to a path without a script.
        """
        self.port = port
        self.connections = 0
        self._tls = tls
        self._host = host
        self._name = name if name is not None else host
        self._fallback = fallback
        self._paths: dict[str, _PathState] = {}
        self._watchers: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._throttled_count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, self._host, self.port, ssl=self._tls, limit=MAX_HEAD_BYTES, backlog=2048
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop listening and reset every connection, as a crash would."""
        if self._server is None:
            return
        self._server.close()
        while self._tasks:
            # In every round, because a connection may have been on its way in when the listening ended.
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=TICK_SECONDS)
        await self._server.wait_closed()
        self._server = None

    def url(self, path: str) -> str:
        """Return the absolute URL of a path and query at this origin."""
        return f"{'https' if self._tls else 'http'}://{self._name}:{self.port}{path}"

    def set_fallback(self, answer: Callable[[Request], ScriptedResponse]) -> None:
        """Answer requests to paths without a script by this function from now on."""
        self._fallback = answer

    def script(self, path: str, answers: ScriptedResponse | Sequence[ScriptedResponse]) -> None:
        """Set the responses to the next requests to `path`; a later call replaces them."""
        wanted = [answers] if isinstance(answers, ScriptedResponse) else list(answers)
        if not wanted:
            raise ValueError("a script has at least one answer")
        state = self._path(path)
        state.answers, state.next = wanted, 0

    def requests(self, path: str) -> list[Request]:
        """Return the requests to `path` so far, in order."""
        return list(self._path(path).requests)

    def bytes_sent(self, path: str) -> int:
        """Return the bytes of content written to sockets for `path` so far, over all responses."""
        return self._path(path).sent

    def active(self, path: str) -> int:
        """Return the number of requests to `path` that are being answered."""
        return self._path(path).active

    def max_active(self, path: str) -> int:
        """Return the largest number of requests to `path` that were answered at once."""
        return self._path(path).max_active

    async def wait_requested(self, path: str, times: int = 1) -> None:
        """Wait until `path` has been requested so many times."""
        state = self._path(path)
        await self._wait_until(lambda: len(state.requests) >= times)

    async def wait_sent(self, path: str, nbytes: int) -> None:
        """Wait until so many bytes of content have been sent for `path`, over all responses."""
        state = self._path(path)
        await self._wait_until(lambda: state.sent >= nbytes)

    async def wait_finished(self, path: str, times: int = 1) -> None:
        """Wait until so many responses for `path` have ended, complete or not."""
        state = self._path(path)
        await self._wait_until(lambda: state.finished >= times)

    async def wait_idle(self, path: str) -> None:
        """Wait until no request to `path` is being answered."""
        state = self._path(path)
        await self._wait_until(lambda: state.active == 0)

    def _path(self, path: str) -> _PathState:
        return self._paths.setdefault(path, _PathState())

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        if condition():
            return
        watcher = (condition, asyncio.get_running_loop().create_future())
        self._watchers.append(watcher)
        try:
            await watcher[1]
        finally:
            self._watchers.remove(watcher)

    def _notify_watchers(self) -> None:
        for condition, happened in self._watchers:
            if not happened.done() and condition():
                happened.set_result(None)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve_connection(reader, writer, self.connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step closes nothing.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        """Serve one connection until either side ends it."""
        # `drain` returns after the kernel has taken all bytes, so that the counts are exact.
        writer.transport.set_write_buffer_limits(high=1, low=0)
        # A closed TLS transport no longer returns its socket.
        connection: socket.socket = writer.get_extra_info("socket")
        cut = Cut.RESET
        try:
            while (request := await _read_request(reader, number)) is not None:
                outcome = await self._respond_to(request, reader, writer)
                if outcome is not None:
                    cut = outcome
                    break
            else:
                cut = Cut.FIN
            await _end_connection(writer, connection, cut)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        except asyncio.CancelledError:
            # The origin stops: open connections are reset, and the result of this task is not awaited.
            pass
        finally:
            _reset_connection(writer, connection)

    async def _respond_to(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Cut | None:
        """Answer one request; return the kind of end of the connection, None to keep it."""
        state = self._path(request.path)
        state.requests.append(request)
        state.active += 1
        state.max_active = max(state.max_active, state.active)
        try:
            self._notify_watchers()
            if state.answers:
                answer = state.next_response()
            else:
                answer = error_response(404) if self._fallback is None else self._fallback(request)
            return await self._respond(answer, request, state, reader, writer)
        finally:
            state.active -= 1
            state.finished += 1
            self._notify_watchers()

    async def _respond(
        self,
        answer: ScriptedResponse,
        request: Request,
        state: _PathState,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Cut | None:
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.head_event is not None:
            await _wait_for_event(answer.head_event, reader)
        if answer.raw is not None:
            raw = answer.raw[: answer.cut_after]
            if answer.raw_pause:
                end = raw.find(b"\r\n\r\n") + 4
                writer.write(raw[:end])
                await asyncio.sleep(answer.raw_pause)
                raw = raw[end:]
            writer.write(raw)
            await writer.drain()
            return Cut.FIN if answer.cut_after is None else answer.cut
        planned = plan_response(
            answer, method=request.method, range_field=request.field("Range"), if_range=request.field("If-Range")
        )
        writer.write(planned.head)
        await writer.drain()
        if answer.body_event is not None:
            await _wait_for_event(answer.body_event, reader)
        await self._send(answer, planned, state, writer)
        length = planned.end - planned.start
        if answer.cut_after is not None and answer.cut_after <= length:
            return answer.cut
        if answer.stall_after is not None and answer.stall_after <= length:
            # Further bytes get no response; the end of the stream of the peer ends the wait.
            while await reader.read(MAX_HEAD_BYTES):
                pass
            return Cut.RESET
        if planned.framing is Framing.CHUNKED and request.method != "HEAD":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        if planned.close or request.field("Connection") == "close":
            return Cut.FIN
        return None

    async def _send(
        self, answer: ScriptedResponse, planned: PlannedResponse, state: _PathState, writer: asyncio.StreamWriter
    ) -> None:
        """Send the content up to its end, cut or stall."""
        length = planned.end - planned.start
        stops = [stop for stop in (answer.cut_after, answer.stall_after) if stop is not None]
        end = planned.start + min([length, *stops])
        if not answer.rate:
            for position in range(planned.start, end, CHUNK_BYTES):
                await self._send_chunk(answer, position, min(position + CHUNK_BYTES, end), state, writer)
            return
        self._throttled_count += 1
        try:
            await self._send_throttled(answer, planned.start, end, state, writer)
        finally:
            self._throttled_count -= 1

    async def _send_throttled(
        self, answer: ScriptedResponse, start: int, end: int, state: _PathState, writer: asyncio.StreamWriter
    ) -> None:
        """Send at a rate: in each period the bytes that are due."""
        loop = asyncio.get_running_loop()
        position, began = start, loop.time()
        while position < end:
            due = start + int((loop.time() - began) * answer.rate)
            piece_end = min(due, position + CHUNK_BYTES, end)
            if piece_end > position:
                await self._send_chunk(answer, position, piece_end, state, writer)
                position = piece_end
            # At a low rate the task sleeps until the next byte is due.
            next_due = began + (position + 1 - start) / answer.rate - loop.time()
            await asyncio.sleep(
                max(next_due, TICK_SECONDS, self._throttled_count / MAX_WAKE_UPS_PER_SECOND) if position < end else 0
            )

    async def _send_chunk(
        self, answer: ScriptedResponse, start: int, end: int, state: _PathState, writer: asyncio.StreamWriter
    ) -> None:
        piece = content(answer, start, end)
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.framing is Framing.CHUNKED else piece)
        await writer.drain()
        state.sent += len(piece)
        self._notify_watchers()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Request | None:
    """Return the next request; None if the peer has ended the stream before it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    request_line, *lines = head[:-4].split(b"\r\n")
    method, target, _version = request_line.split(b" ")
    fields = tuple((name, value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines))
    request = Request(
        method=method.decode("ascii"),
        target=target,
        fields=fields,
        connection=connection,
        received_at=asyncio.get_running_loop().time(),
    )
    length = request.field("Content-Length")
    return request if length is None else replace(request, body=await reader.readexactly(int(length)))


async def _wait_for_event(event: asyncio.Event, reader: asyncio.StreamReader) -> None:
    """Wait until an event is set.

    Raises:
        ConnectionResetError: the peer has closed the connection before.
    """
    while not event.is_set():
        if reader.at_eof() or reader.exception() is not None:
            raise ConnectionResetError
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), TICK_SECONDS)


async def _end_connection(writer: asyncio.StreamWriter, connection: socket.socket, cut: Cut) -> None:
    """End a connection when everything sent has reached the kernel of the peer."""
    if cut is Cut.FIN:
        writer.close()
        await writer.wait_closed()
        return
    # A reset discards bytes that the kernel has not delivered, so that a cut could come before its offset.
    undelivered = bytearray(4)
    while connection.fileno() >= 0:
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, undelivered)
        if not struct.unpack("i", undelivered)[0]:
            break
        await asyncio.sleep(0.001)


def _reset_connection(writer: asyncio.StreamWriter, connection: socket.socket) -> None:
    """Reset a connection if it is still open."""
    if connection.fileno() >= 0:
        # A linger time of zero turns the close into a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
