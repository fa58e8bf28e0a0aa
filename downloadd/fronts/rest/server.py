"""HTTP server of the API: aiohttp's runner, with JSON responses to malformed requests too."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import structlog
from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from downloadd.errors import InternalError, InvalidParameterError
from downloadd.fronts.rest.connection_limit import ConnectionLimit
from downloadd.fronts.rest.request_context import REQUESTED_VERSION
from downloadd.fronts.rest.responses import error_response
from downloadd.fronts.rest.schemas import MAX_BODY_BYTES

_log: Final = structlog.get_logger()

IDLE_TIMEOUT_SECONDS: Final = 75.0
"""Seconds that a connection may be open without a complete request head."""
UNREAD_TIMEOUT_SECONDS: Final = 60.0
"""Seconds that a client may leave a response unread before its connection is closed."""
LISTEN_BACKLOG: Final = 1024
"""Connections that the kernel may queue for each socket."""
MAX_REQUEST_LINE_BYTES: Final = 64 * 1024
"""Bytes of a request line; percent-encoding makes a URL of 16 KiB three times as long."""


class ApiConnection(web.RequestHandler):
    """Connection of a client."""

    limit: ConnectionLimit
    on_lost: Callable[[], None] | None = None
    """Called when the connection is lost while a request is handled."""
    is_timed_out: bool = False
    """True if the kernel has closed the connection because the client took nothing for too long, or is gone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the kernel close the connection of a client that reads nothing; a response must not be kept for ever."""
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNREAD_TIMEOUT_SECONDS * 1000))
        super().connection_made(transport)
        self.limit.add(self)

    @contextmanager
    def counting_as_idle(self) -> Iterator[None]:
        """Let the limit close this connection during the block, which waits for a client that may be anybody."""
        self.limit.mark_idle(self)
        try:
            yield
        finally:
            self.limit.mark_busy(self)

    def abort(self) -> None:
        """Close the connection at once; an orderly close would wait until the client has read everything."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Remove the connection from the limit, and end the work of its request."""
        # ETIMEDOUT of the socket, by TCP_USER_TIMEOUT or keepalive probes.
        self.is_timed_out = isinstance(exc, TimeoutError)
        self.limit.remove(self)
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return a JSON response to a malformed request, which repeats nothing of it, and close the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun already")
        if isinstance(exc, ConnectionError) and self.transport is None:
            # aiohttp ignores it only if it is not handled here.
            raise exc
        if status == 500:
            _log.error("request_failed", exc_info=exc)
            response = error_response(InternalError())
        else:
            # Only the type of the error: its message repeats the request, which may hold a token.
            _log.info("request_malformed", status=status, error=type(exc).__name__)
            response = error_response(InvalidParameterError("request", "it is not well-formed HTTP, or too long"))
            response.set_status(status)
        response.force_close()
        return response


class ApiServer(web.Server):
    """Factory of the connections of one API."""

    def __init__(self, api: "Api", *, limit: ConnectionLimit, **settings: Any) -> None:
        """`limit` counts its connections; `settings` are those of aiohttp's request handler."""
        super().__init__(self._handle, request_factory=_make_request)
        self._api = api
        self._limit = limit
        # The API writes the access log itself.
        self._settings = {
            "access_log": None,
            # A small body may decompress to any size, on the event loop, before the token is checked.
            "auto_decompress": False,
            "max_line_size": MAX_REQUEST_LINE_BYTES,
            "keepalive_timeout": IDLE_TIMEOUT_SECONDS,
            **settings,
        }

    def __call__(self) -> web.RequestHandler:
        """Return a new connection."""
        connection = ApiConnection(self, loop=asyncio.get_running_loop(), **self._settings)
        connection.limit = self._limit
        return connection

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("ApiConnection", request.protocol)
        self._limit.mark_busy(connection)
        try:
            return await self._api.handle(request)
        finally:
            self._limit.mark_idle(connection)


class Api:
    """The API without its sockets."""

    def __init__(
        self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], close_long_lived: Callable[[], None]
    ) -> None:
        """`handle` answers a request; `close_long_lived` ends held responses and streams when the daemon stops."""
        self.handle = handle
        self.close_long_lived = close_long_lived


class ApiRunner(web.ServerRunner):
    """Runner that serves an API.

    `limit` counts its connections, and may be that of several runners; None for no limit. `shutdown_timeout` is in
    seconds, `settings` are those of aiohttp's request handler.
    """

    def __init__(
        self, api: Api, *, limit: ConnectionLimit | None = None, shutdown_timeout: float = 60.0, **settings: Any
    ) -> None:
        limit = limit or ConnectionLimit(None)
        super().__init__(ApiServer(api, limit=limit, **settings), shutdown_timeout=shutdown_timeout)
        self._api = api

    async def listen(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Accept requests on bound sockets; with `tls` on all but Unix sockets."""
        for each in sockets:
            context = None if each.family == socket.AF_UNIX else tls
            await web.SockSite(self, each, backlog=LISTEN_BACKLOG, ssl_context=context).start()

    async def shutdown(self) -> None:
        """End long-lived responses, before the other ones are waited for."""
        self._api.close_long_lived()


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    connection: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    requested = message.version
    if requested.major != 1:
        # aiohttp answers in the version of the request; the response must have a supported one (RFC 9110, section 6.2).
        message = message._replace(version=HttpVersion11, should_close=True)
    request = web.BaseRequest(
        message, payload, connection, writer, task, asyncio.get_running_loop(), client_max_size=MAX_BODY_BYTES
    )
    if requested.major != 1:
        request[REQUESTED_VERSION] = requested
    return request
