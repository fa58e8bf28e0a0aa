"""What every request passes through: a request id, errors turned into answers, the access log, the request counter."""

import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from downloadd.api.answers import refusal
from downloadd.api.call import Call
from downloadd.api.engine import RequestMetrics
from downloadd.api.target import parse_target
from downloadd.clock import Clock
from downloadd.errors import DownloadError, InternalError
from downloadd.policy.masking import show_url
from downloadd.policy.proxies import Client, TrustedProxies

LONGEST_LOGGED: Final = 2_048
"""Characters of a path in the log: whoever may ask may not fill a disk."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""Methods that the counters know; all others are one, so that no client can fill them."""


class Edge:
    """The outermost layer; nothing leaves the API but through it."""

    def __init__(
        self,
        inner: Callable[[Call], Awaitable[web.StreamResponse]],
        *,
        metrics: RequestMetrics,
        clock: Clock,
        proxies: TrustedProxies,
        base_path: str,
    ) -> None:
        self._inner = inner
        self._proxies = proxies
        self._base_path = base_path
        self._metrics = metrics
        self._clock = clock
        self._log = structlog.get_logger().bind()
        # Unique among all lives of the daemon, and cheaper than a random number a request.
        self._life = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers the request, whatever happens, and writes one line about it."""
        started = self._clock.monotonic()
        target = parse_target(request.raw_path, self._base_path)
        call = Call(request, target, self._client_of(request), f"{self._life}{next(self._numbers):x}")
        structlog.contextvars.bind_contextvars(request_id=call.request_id)
        status = 499
        try:
            response = await self._answer(call)
            status = response.status
        finally:
            seconds = self._clock.monotonic() - started
            self._metrics.request(request.method if request.method in METHODS else "other", status, seconds)
            self._write_line(call, status, seconds)
        if not response.prepared:
            response.headers["X-Request-Id"] = call.request_id
        return response

    async def _answer(self, call: Call) -> web.StreamResponse:
        try:
            return await self._inner(call)
        except DownloadError as error:
            return refusal(error)
        except ConnectionError:
            # The client has gone; there is nobody to answer.
            raise
        except Exception:
            self._log.exception("request_broke")
            return refusal(InternalError(), request_id=call.request_id)

    def _client_of(self, request: web.BaseRequest) -> Client:
        headers = request.headers
        return self._proxies.client_of(
            request.remote or "",
            headers.getall("X-Forwarded-For", ()),
            ",".join(headers.getall("X-Forwarded-Proto", ())),
            ",".join(headers.getall("X-Forwarded-Host", ())),
            request.forwarded if "Forwarded" in headers else (),
        )

    def _write_line(self, call: Call, status: int, seconds: float) -> None:
        path = f"{call.target.base_path}{call.target.path}" if call.target.inside else call.target.path
        fields: dict[str, object] = {
            "method": call.request.method,
            # Whoever forgets `?download=` has a URL here, with all its secrets.
            "path": show_url(
                path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            )[:LONGEST_LOGGED],
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "user": call.user.id or None,
            "client": call.client.address or None,
        }
        if call.query.values:
            # Nothing else of the query: a value may be a secret, and so may a name that nobody knows.
            fields["query"] = "&".join(call.query.selectors)
        if call.download_id is not None:
            fields["download_id"] = call.download_id
        if call.shown_url is not None:
            fields["url"] = call.shown_url
        self._log.info("request", **fields)
