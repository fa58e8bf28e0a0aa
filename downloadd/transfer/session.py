"""Requests for representations: one GET through all redirects, up to the head of the final response.

Downloads share connections and nothing else: no cookies, and no proxies from the environment.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

import msgspec
from aiohttp.abc import AbstractResolver

from downloadd.clock import Clock, SystemClock
from downloadd.config import CredentialConfig
from downloadd.errors import NetworkError
from downloadd.origin.client import OriginClient, Response
from downloadd.origin.content import Content
from downloadd.origin.dialer import ConnectionOptions
from downloadd.origin.request_headers import build_request_fields
from downloadd.policy.policy import Policy
from downloadd.policy.redirects import method_after_redirect, resolve_redirect
from downloadd.policy.resolver import SystemResolver
from downloadd.policy.tls_contexts import TlsContexts
from downloadd.policy.url import AllowedUrl
from downloadd.request_fields import Method, RequestFields
from downloadd.transfer.response_head import ResponseHead, parse_response_head
from downloadd.transfer.resume import RangeRequest, format_range_fields

REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
"""Statuses whose Location is followed."""


class OriginResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Final response to a request."""

    url: AllowedUrl
    """URL of the response, after redirects."""
    requested_url: AllowedUrl
    """URL before redirects."""
    final_url_digest: str | None
    """Digest of that URL without its query; None without redirects. A new signature in the query does not change it."""
    head: ResponseHead
    content: Content


class Session:
    """HTTP client, opened with `async with`; one for the daemon, so that connections are reused."""

    def __init__(
        self,
        *,
        policy: Policy,
        credentials: Sequence[CredentialConfig],
        stall_timeout: float,
        tls: TlsContexts | None = None,
        resolver: AbstractResolver | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a client; `stall_timeout` in seconds, for connecting and between two reads; 0 for none.

        `tls` are the authorities, by default those of the system, which are read: blocks. `resolver` resolves names, by
        default with the system; it is closed with the session. `clock` is by default the machine's.
        """
        self._clock = clock or SystemClock()
        self._policy = policy
        self._client = OriginClient(
            rules=lambda: self._policy.addresses,
            resolver=resolver or SystemResolver(),
            stall_timeout=stall_timeout or None,
            clock=self._clock,
        )
        self.configure(policy=policy, credentials=credentials, stall_timeout=stall_timeout, tls=tls or TlsContexts())

    def configure(
        self, *, policy: Policy, credentials: Sequence[CredentialConfig], stall_timeout: float, tls: TlsContexts
    ) -> None:
        """Set the configuration of later requests."""
        self._policy = policy
        self._fields_by_host = {each.host: each.request_fields for each in credentials}
        self._tls = tls
        self._connect_timeout = stall_timeout or None
        self._client.stall_timeout = stall_timeout or None

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def get(
        self, url: str, request: RangeRequest, fields: RequestFields | None = None
    ) -> AsyncIterator[OriginResponse]:
        """Request the representation, or the range in `request`, and follow redirects.

        The `fields` of the download are sent to the origin of the URL alone. The connection is released or closed when
        the context ends.

        Raises:
            InvalidUrlError, DomainBlockedError, TooManyRedirectsError, RemoteError: the policy refuses the URL, its
                address, or a redirect.
            NetworkError: no response.
        """
        target = first = self._policy.check_url(url)
        method = Method.GET if fields is None else fields.method
        hops = 0
        while True:
            headers = build_request_fields(
                target,
                first,
                method=method,
                range_fields=format_range_fields(request),
                given=fields,
                by_host=self._fields_by_host,
            )
            body = None if fields is None or method is Method.GET else fields.body
            response = await self._request(target, method, headers, body)
            head, content = response.head, response.content
            try:
                if head.status in REDIRECT_STATUSES:
                    hops += 1
                    location = head.fields.get("Location")
                    target = resolve_redirect(target, location, hops, self._policy, status=head.status)
                    method = method_after_redirect(method, head.status, first, target)
                    continue
                yield OriginResponse(
                    url=target,
                    requested_url=first,
                    final_url_digest=_url_digest(target) if hops else None,
                    head=parse_response_head(head.status, head.fields, now=self._clock.wall()),
                    content=content,
                )
                return
            finally:
                content.release_connection()

    async def _request(
        self, target: AllowedUrl, method: Method, headers: Sequence[tuple[str, str]], body: str | None
    ) -> Response:
        options = ConnectionOptions(
            tls=self._tls.context_for(target.host) if target.scheme == "https" else None,
            connect_timeout=self._connect_timeout,
        )
        encoded = None if body is None else body.encode()
        try:
            return await self._client.request(target, headers, options, method=method, body=encoded)
        except NetworkError as error:
            error.origin = target.origin
            raise


def _url_digest(url: AllowedUrl) -> str:
    return hashlib.sha256(url.text.partition("?")[0].encode()).hexdigest()[:16]
