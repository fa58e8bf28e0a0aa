"""Requests for representations: one GET through all redirects, up to the head of the final response.

Downloads share connections and nothing else: no cookies, and no proxies from the environment.
"""

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

import msgspec
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict

from downloadd import __version__
from downloadd.clock import Clock, SystemClock
from downloadd.config import CredentialConfig
from downloadd.errors import NetworkError
from downloadd.origin.client import OriginClient, Response
from downloadd.origin.content import Content
from downloadd.origin.dialer import ConnectionOptions
from downloadd.policy.policy import Policy
from downloadd.policy.redirects import may_keep_credentials, resolve_redirect
from downloadd.policy.resolver import SystemResolver
from downloadd.policy.tls_contexts import TlsContexts
from downloadd.policy.url import DEFAULT_PORTS, AllowedUrl
from downloadd.transfer.fields import format_range
from downloadd.transfer.response_head import ResponseHead, parse_response_head
from downloadd.transfer.resume import RangeRequest

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
        self._credentials = {c.host.lower().rstrip("."): c for c in credentials}
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
    async def get(self, url: str, request: RangeRequest) -> AsyncIterator[OriginResponse]:
        """Request the representation, or the range in `request`, and follow redirects.

        The connection is released or closed when the context ends.

        Raises:
            InvalidUrlError, DomainBlockedError, TooManyRedirectsError, RemoteError: the policy refuses the URL, its
                address, or a redirect.
            NetworkError: no response.
        """
        target = first = self._policy.check_url(url)
        hops = 0
        while True:
            response = await self._request(target, self._fields(target, first, request))
            content = response.content
            try:
                if response.head.status in REDIRECT_STATUSES:
                    hops += 1
                    target = resolve_redirect(
                        target,
                        response.head.fields.get("Location"),
                        hops,
                        self._policy,
                        status=response.head.status,
                    )
                    continue
                yield OriginResponse(
                    url=target,
                    requested_url=first,
                    final_url_digest=_url_digest(target) if hops else None,
                    head=parse_response_head(response.head.status, response.head.fields, now=self._clock.wall()),
                    content=content,
                )
                return
            finally:
                content.release_connection()

    async def _request(self, target: AllowedUrl, fields: list[tuple[str, str]]) -> Response:
        try:
            return await self._client.request(target, fields, self._connection_options(target))
        except NetworkError as error:
            error.origin = target.origin
            raise

    def _connection_options(self, target: AllowedUrl) -> ConnectionOptions:
        return ConnectionOptions(
            tls=self._tls.context_for(target.host) if target.scheme == "https" else None,
            connect_timeout=self._connect_timeout,
        )

    def _fields(self, target: AllowedUrl, first: AllowedUrl, request: RangeRequest) -> list[tuple[str, str]]:
        fields = CIMultiDict(
            {
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "User-Agent": f"downloadd/{__version__}",
            }
        )
        if request.is_range:
            fields["Range"] = format_range(request.start, request.end)
            if request.if_range is not None:
                fields["If-Range"] = request.if_range
        configured = self._credentials.get(target.host)
        # A redirect must not send a secret without TLS, or to another service of the same host.
        if configured is not None and (may_keep_credentials(first, target) or _is_default_https(target)):
            fields.update(configured.headers)
            if configured.user:
                fields["Authorization"] = _encode_basic_auth(configured.user, configured.password)
        # Userinfo in a redirect is from the origin, not from the user, and is not sent (RFC 9110, section 4.2.4).
        if first.userinfo is not None and may_keep_credentials(first, target):
            fields["Authorization"] = _encode_basic_auth(*first.userinfo)
        return list(fields.items())


def _encode_basic_auth(user: str, password: str) -> str:
    """Return credentials of the scheme Basic, in UTF-8 (RFC 7617, section 2)."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _url_digest(url: AllowedUrl) -> str:
    return hashlib.sha256(url.text.partition("?")[0].encode()).hexdigest()[:16]


def _is_default_https(url: AllowedUrl) -> bool:
    return url.scheme == "https" and url.port == DEFAULT_PORTS["https"]
