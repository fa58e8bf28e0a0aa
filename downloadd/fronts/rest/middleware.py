"""Middleware of all requests: request id, error responses, access log and request counter."""

import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from downloadd.clock import Clock
from downloadd.errors import (
    CrossSiteError,
    DownloadError,
    DownloadForbiddenError,
    HostNotAllowedError,
    InternalError,
)
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.request_metrics import RequestMetrics
from downloadd.fronts.rest.responses import error_response, forbidden_response, permission_missing_response
from downloadd.fronts.rest.target import parse_target
from downloadd.policy.proxies import Client, TrustedProxies
from downloadd.policy.redaction import redact_url
from downloadd.users import PermissionMissingError

MAX_LOGGED_PATH_CHARACTERS: Final = 2_048
"""Characters of a path in the log; requests must not fill the disk."""
PROBED_PATHS: Final = frozenset({"/api/v1/health", "/api/v1/metrics"})
"""Paths that monitoring requests every few seconds."""
COUNTED_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""Methods that are counted by name; all others are counted as one, so that clients cannot add counters."""


class RequestMiddleware:
    """Outermost layer of the API; every response passes through it."""

    def __init__(
        self,
        handler: Callable[[RequestContext], Awaitable[web.StreamResponse]],
        *,
        metrics: RequestMetrics,
        clock: Clock,
        proxies: TrustedProxies,
        base_path: str,
        access_log: bool = True,
    ) -> None:
        """Make the layer; without `access_log` it writes no line for a request."""
        self._handler = handler
        self._proxies = proxies
        self._base_path = base_path
        self._access_log = access_log
        self._metrics = metrics
        self._clock = clock
        self._log = structlog.get_logger().bind()
        # Unique over restarts of the daemon, and cheaper than a random number per request.
        self._instance_id = secrets.token_hex(4)
        self._request_numbers = itertools.count(1)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response, also after an error, and write one line to the access log."""
        started = self._clock.monotonic()
        target = parse_target(request.raw_path, self._base_path)
        context = RequestContext(
            request, target, self._resolve_client(request), f"{self._instance_id}{next(self._request_numbers):x}"
        )
        structlog.contextvars.bind_contextvars(request_id=context.request_id)
        status = 499
        try:
            response = await self._handle(context)
            status = context.counted_status or response.status
        finally:
            seconds = self._clock.monotonic() - started
            self._metrics.request(request.method if request.method in COUNTED_METHODS else "other", status, seconds)
            if self._access_log:
                self._write_access_log(context, status, seconds)
        if not response.prepared:
            response.headers["X-Request-Id"] = context.request_id
            response.headers.update(context.response_fields)
        return response

    async def _handle(self, context: RequestContext) -> web.StreamResponse:
        try:
            return await self._handler(context)
        except PermissionMissingError:
            return permission_missing_response()
        except DownloadForbiddenError:
            return forbidden_response()
        except (CrossSiteError, HostNotAllowedError) as error:
            # A mistake in the configuration of a proxy has no other sign.
            client = context.client.address or None
            self._log.warning("request_refused", error=error.code, detail=error.detail, client=client)
            return error_response(error)
        except DownloadError as error:
            return error_response(error)
        except ConnectionError:
            # The client has disconnected.
            raise
        except Exception:
            self._log.exception("request_failed")
            return error_response(InternalError(), request_id=context.request_id)

    def _resolve_client(self, request: web.BaseRequest) -> Client:
        headers = request.headers
        return self._proxies.resolve_client(
            request.remote or "",
            headers.getall("X-Forwarded-For", ()),
            ",".join(headers.getall("X-Forwarded-Proto", ())),
            ",".join(headers.getall("X-Forwarded-Host", ())),
            request.forwarded if "Forwarded" in headers else (),
        )

    def _write_access_log(self, context: RequestContext, status: int, seconds: float) -> None:
        path = (
            f"{context.target.base_path}{context.target.path}"
            if context.target.is_below_base_path
            else context.target.path
        )
        fields: dict[str, object] = {
            "method": context.request.method,
            # A request without `?download=` may have a URL here, with its secrets.
            "path": redact_url(
                path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            )[:MAX_LOGGED_PATH_CHARACTERS],
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "user": context.user.id or None,
            "client": context.client.address or None,
        }
        if context.query.values:
            # Only the selectors: values and unknown names may be secrets.
            fields["query"] = "&".join(context.query.selectors)
        if context.download_id is not None:
            fields["download_id"] = context.download_id
        if context.redacted_url is not None:
            fields["url"] = context.redacted_url
        fields.update(context.log_fields)
        is_probe = status < 400 and context.target.path in PROBED_PATHS
        (self._log.debug if is_probe else self._log.info)("request", **fields)
