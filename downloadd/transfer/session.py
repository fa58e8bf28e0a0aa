"""Requests for representations: one GET through all redirects, up to the head of the final response.

Downloads share connections and nonces of Digest authentication, and nothing else: each has cookies of its own.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from secrets import token_urlsafe
from types import TracebackType
from typing import Self

import msgspec

from downloadd.attempt_options import NO_OPTIONS, AttemptOptions
from downloadd.clock import Clock, SystemClock
from downloadd.config import CredentialConfig, HostConfig
from downloadd.errors import NetworkError
from downloadd.origin.authentication import ProtectionSpaces
from downloadd.origin.client import OriginClient, Response
from downloadd.origin.connection_options import ConnectionOptions, make_connection_options
from downloadd.origin.content import Content
from downloadd.origin.context import RequestContext
from downloadd.origin.cookies import CookieJar
from downloadd.origin.exchange import Exchange, OriginRequest
from downloadd.origin.public_suffixes import PublicSuffixes
from downloadd.origin.timeouts import Timeouts
from downloadd.policy.origin_proxies import OriginProxies
from downloadd.policy.policy import Policy
from downloadd.policy.resolver import Resolver, SystemResolver
from downloadd.policy.tls_contexts import TlsContexts
from downloadd.policy.url import AllowedUrl
from downloadd.transfer.response_head import ResponseHead, parse_response_head
from downloadd.transfer.resume import RangeRequest, format_range_fields

EnterOrigin = Callable[[str], AbstractAsyncContextManager[None]]
"""Returns a context for the request to an origin that a redirect leads to, and for its response."""


class OriginResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Final response to a request."""

    url: AllowedUrl
    """URL of the response, after redirects."""
    requested_url: AllowedUrl
    """URL before redirects."""
    redirects: int = 0
    """Number of redirects."""
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
        tls: TlsContexts,
        proxies: OriginProxies | None = None,
        hosts: Mapping[str, HostConfig] | None = None,
        suffixes: PublicSuffixes | None = None,
        resolver: Resolver | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a client; `stall_timeout` in seconds, for connecting and between two reads; 0 for none.

        A download may have limits of its own. `resolver` resolves names, by default with the system; it is closed with
        the session. `clock` is by default the machine's.
        """
        self._suffixes = suffixes or PublicSuffixes()
        self._clock = clock or SystemClock()
        self._policy = policy
        self._client = OriginClient(
            rules=lambda: self._policy.addresses,
            resolver=resolver or SystemResolver(),
            clock=self._clock,
        )
        self._spaces = ProtectionSpaces(make_nonce=token_urlsafe)
        self.configure(
            policy=policy,
            credentials=credentials,
            stall_timeout=stall_timeout,
            tls=tls,
            proxies=proxies,
            hosts=hosts,
        )

    def configure(
        self,
        *,
        policy: Policy,
        credentials: Sequence[CredentialConfig],
        stall_timeout: float,
        tls: TlsContexts,
        proxies: OriginProxies | None = None,
        hosts: Mapping[str, HostConfig] | None = None,
    ) -> None:
        """Set the configuration of later requests; `hosts` by host, in the spelling of `parse_host`."""
        self._hosts = hosts or {}
        self._proxies = proxies or OriginProxies()
        self._policy = policy
        self._fields_by_host = {each.host: each.request_fields for each in credentials}
        self._tls = tls
        self._stall_timeout = stall_timeout

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    def make_cookie_jar(self) -> CookieJar:
        """Return an empty cookie jar for one download."""
        return CookieJar(is_public_suffix=self._suffixes.is_public, now=self._clock.wall)

    @asynccontextmanager
    async def get(
        self,
        url: str,
        request: RangeRequest,
        context: RequestContext | None = None,
        *,
        enter_origin: EnterOrigin = lambda _: nullcontext(),
    ) -> AsyncIterator[OriginResponse]:
        """Request the representation, or the range in `request`, and follow redirects.

        The connection is released or closed when the block ends. Without a `context`, the request has no fields of a
        download, and its cookies are forgotten. `enter_origin` is entered before a connection to the target of each
        redirect is made, and left when that connection has been released.

        Raises:
            InvalidUrlError, DomainBlockedError, TooManyRedirectsError, RemoteError: the policy refuses the URL, its
                address, or a redirect.
            NetworkError: no response.
            Exception: what `enter_origin` raises; no connection to that origin was made.
        """
        first, options = self._policy.check_url(url), NO_OPTIONS if context is None else context.options
        exchange = Exchange(
            first,
            policy=self._policy,
            proxies=self._proxies,
            spaces=self._spaces,
            by_host=self._fields_by_host,
            cookies=self.make_cookie_jar() if context is None else context.cookies,
            given=None if context is None else context.fields,
            range_fields=format_range_fields(request),
        )
        while True:
            async with enter_origin(exchange.target.origin) if exchange.hops else nullcontext():
                response = await self._request(exchange.next_request(), options)
                head, content = response.head, response.content
                try:
                    if exchange.must_continue(head.status, head.fields):
                        continue
                    yield OriginResponse(
                        url=exchange.target,
                        requested_url=first,
                        redirects=exchange.hops,
                        final_url_digest=_url_digest(exchange.target) if exchange.hops else None,
                        head=parse_response_head(
                            head.status,
                            head.fields,
                            now=self._clock.wall(),
                            is_encrypted=exchange.target.scheme == "https",
                        ),
                        content=content,
                    )
                    return
                finally:
                    content.release_connection()

    async def _request(self, request: OriginRequest, options: AttemptOptions) -> Response:
        timeouts = Timeouts.select(
            stall_timeout=self._stall_timeout, host=self._hosts.get(request.url.host), options=options
        )
        try:
            return await self._client.request(request, self._connection_options(request), timeouts)
        except NetworkError as error:
            error.origin = request.url.origin
            raise

    def _connection_options(self, request: OriginRequest) -> ConnectionOptions:
        url, proxy = request.url, request.proxy
        return make_connection_options(
            self._hosts.get(url.host),
            tls=self._tls.context_for(url.host) if url.scheme == "https" else None,
            proxy=proxy,
            proxy_tls=None if proxy is None else self._tls.context_for(proxy.url.host),
        )


def _url_digest(url: AllowedUrl) -> str:
    return hashlib.sha256(url.text.partition("?")[0].encode()).hexdigest()[:16]
