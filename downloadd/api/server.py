"""How the API is served: aiohttp's runner, with requests that are no HTTP answered like all others."""

from typing import Any, Final

import structlog
from aiohttp import web

from downloadd.api.answers import refusal
from downloadd.errors import InternalError, InvalidParameterError

_log: Final = structlog.get_logger()

LONGEST_LINE: Final = 64 * 1024
"""Bytes of a request line: a URL of 16 KiB may be percent-encoded to three times its length."""


class ApiConnection(web.RequestHandler):
    """One connection of a client."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers what cannot be parsed in JSON, without repeating any of it, and closes the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        if status == 500:
            _log.error("request_broke", exc_info=exc)
            response = refusal(InternalError())
        else:
            # Only the kind of the error: its sentence repeats the request, and with it perhaps a token.
            _log.info("request_malformed", status=status, error=type(exc).__name__)
            response = refusal(InvalidParameterError("request", "it is not well-formed HTTP, or too long"))
            response.set_status(status)
        response.force_close()
        return response


class ApiServer(web.Server):
    """Makes the connections of one listening API."""

    def __call__(self) -> web.RequestHandler:
        """A connection."""
        return ApiConnection(self, loop=self._loop, **self._kwargs)


class ApiRunner(web.AppRunner):
    """Runs what `create_api` makes; `settings` are those of aiohttp's `AppRunner`."""

    def __init__(self, app: web.Application, **settings: Any) -> None:
        # The middleware writes the access log.
        super().__init__(app, **{"access_log": None, "max_line_size": LONGEST_LINE, **settings})

    async def _make_server(self) -> web.Server:
        # The one place where aiohttp has no public way: which class a connection has.
        server = await super()._make_server()
        return ApiServer(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            loop=server._loop,
            **server._kwargs,
        )
