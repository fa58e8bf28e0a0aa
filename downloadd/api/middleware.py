"""What every request passes through: a request id, errors turned into answers, the access log, the request counter."""

import itertools
import secrets
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from downloadd.api.answers import refusal
from downloadd.api.bodies import MAX_BODY
from downloadd.api.call import Call
from downloadd.api.engine import RequestMetrics
from downloadd.clock import Clock
from downloadd.errors import (
    BodyTooLargeError,
    DownloadError,
    InternalError,
    InvalidParameterError,
    MethodNotAllowedError,
    NotFoundError,
)

CALL: Final = web.RequestKey("call", Call)
"""Where the router leaves the call for the access log."""

REQUEST_ID: Final = web.RequestKey("request_id", str)
"""For handlers that send their header fields themselves."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""Methods that the counters know; all others are one, so that no client can fill them."""


class Edge:
    """The outermost layer; nothing leaves the API but through it."""

    def __init__(self, *, metrics: RequestMetrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._log = structlog.get_logger()
        # Unique among all lives of the daemon, and cheaper than a random number a request.
        self._life = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    @web.middleware
    async def pass_through(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers the request, whatever happens, and writes one line about it."""
        started = self._clock.monotonic()
        request_id = f"{self._life}{next(self._numbers):x}"
        request[REQUEST_ID] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 499
        try:
            response = await self._answer(request, handler, request_id)
            status = response.status
        finally:
            self._metrics.request(request.method if request.method in METHODS else "other", status)
            self._write_line(request, request_id, status, self._clock.monotonic() - started)
        if not response.prepared:
            response.headers["X-Request-Id"] = request_id
        return response

    async def _answer(self, request: web.Request, handler: Handler, request_id: str) -> web.StreamResponse:
        try:
            return await handler(request)
        except DownloadError as error:
            return refusal(error)
        except web.HTTPException as error:
            return refusal(_foreign(request, error))
        except ConnectionError:
            # The client has gone; there is nobody to answer.
            raise
        except Exception:
            self._log.exception("request_broke", request_id=request_id)
            return refusal(InternalError(), request_id=request_id)

    def _write_line(self, request: web.Request, request_id: str, status: int, seconds: float) -> None:
        call = request.get(CALL)
        path = request.raw_path.partition("?")[0] if call is None else call.target.path
        fields: dict[str, object] = {
            "method": request.method,
            "path": path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
            "status": status,
            "request_id": request_id,
            "duration_ms": round(seconds * 1000, 3),
        }
        if call is not None:
            fields["user"] = call.user.id or None
            if call.query.values:
                # Nothing else of the query: a value may be a secret, and so may a name that nobody knows.
                fields["query"] = "&".join(call.query.selectors)
            if call.download_id is not None:
                fields["download_id"] = call.download_id
            if call.shown_url is not None:
                fields["url"] = call.shown_url
        self._log.info("request", **fields)


def _foreign(request: web.Request, error: web.HTTPException) -> DownloadError:
    """The error of ours that says what one of the framework's means."""
    match error:
        case web.HTTPRequestEntityTooLarge():
            return BodyTooLargeError(MAX_BODY)
        case web.HTTPMethodNotAllowed():
            return MethodNotAllowedError(request.method, tuple(sorted(error.allowed_methods)))
        case web.HTTPNotFound():
            return NotFoundError("nothing lives at this path; GET /api/v1/openapi.json lists every path")
        case _:
            return InvalidParameterError("request", "the request cannot be understood")
