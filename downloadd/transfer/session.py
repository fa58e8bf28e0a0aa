"""HTTP client for origins: one GET through all redirects, up to the head of the final response.

Downloads share connections and nonces of Digest authentication, and nothing else: each has cookies of its own.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from secrets import token_urlsafe
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict

from downloadd.clock import Clock, SystemClock
from downloadd.config import CredentialConfig
from downloadd.errors import NetworkError
from downloadd.origin.authentication import ProtectionSpaces
from downloadd.origin.context import RequestContext
from downloadd.origin.cookies import CookieJar
from downloadd.origin.exchange import Exchange, OriginRequest
from downloadd.origin.public_suffixes import PublicSuffixes
from downloadd.policy.connector import build_connector, find_blocked_error
from downloadd.policy.origin_proxies import OriginProxies
from downloadd.policy.policy import Policy
from downloadd.policy.resolver import SystemResolver
from downloadd.policy.tls_contexts import TlsContexts
from downloadd.policy.url import AllowedUrl, to_yarl
from downloadd.transfer.client_errors import map_client_error
from downloadd.transfer.content import Content
from downloadd.transfer.head_normalization import MAX_HEAD_BYTES, MAX_HEAD_LINES
from downloadd.transfer.origin_protocol import OriginProtocol, require_strict_parser
from downloadd.transfer.response_head import ResponseHead, parse_response_head
from downloadd.transfer.resume import RangeRequest, format_range_fields

READ_BUFFER_BYTES: Final = 256 * 1024
"""Bytes that a connection reads ahead of the writer; the transport is paused at twice as many."""


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
        proxies: OriginProxies | None = None,
        suffixes: PublicSuffixes | None = None,
        resolver: AbstractResolver | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a client; `stall_timeout` in seconds, for connecting and between two reads; 0 for none.

        `tls` are the authorities, by default those of the system, which are read: blocks. The list of `suffixes` is
        read too, unless it is given. `resolver` resolves names, by default with the system; it is closed with the
        session. `clock` is by default the machine's.
        """
        self._suffixes = suffixes or PublicSuffixes()
        self._resolver = resolver or SystemResolver()
        self._clock = clock or SystemClock()
        self._client: aiohttp.ClientSession | None = None
        self._spaces = ProtectionSpaces(make_nonce=token_urlsafe)
        self.configure(
            policy=policy,
            credentials=credentials,
            stall_timeout=stall_timeout,
            tls=tls or TlsContexts(),
            proxies=proxies,
        )

    def configure(
        self,
        *,
        policy: Policy,
        credentials: Sequence[CredentialConfig],
        stall_timeout: float,
        tls: TlsContexts,
        proxies: OriginProxies | None = None,
    ) -> None:
        """Set the configuration of later requests."""
        self._proxies = proxies or OriginProxies()
        self._policy = policy
        self._tls = tls
        self._fields_by_host = {each.host: each.request_fields for each in credentials}
        limit = stall_timeout or None
        self._timeout = aiohttp.ClientTimeout(total=None, connect=limit, sock_connect=limit, sock_read=limit)

    async def __aenter__(self) -> Self:
        """Open the client.

        Raises:
            StartupError: the HTTP library has no compiled parser, which strict parsing requires.
        """
        require_strict_parser()
        connector = build_connector(lambda: self._policy.addresses, resolver=self._resolver)
        # The library has no public option to limit the bytes before a final response.
        connector._factory = partial(OriginProtocol, loop=asyncio.get_running_loop())  # type: ignore[assignment]
        self._client = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
            max_headers=MAX_HEAD_LINES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._client is not None  # noqa: S101 - narrows the type; entered before
        await self._client.close()
        await self._resolver.close()

    def make_cookie_jar(self) -> CookieJar:
        """Return an empty cookie jar for one attempt of a download."""
        return CookieJar(is_public_suffix=self._suffixes.is_public, now=self._clock.wall)

    @asynccontextmanager
    async def get(
        self, url: str, request: RangeRequest, context: RequestContext | None = None
    ) -> AsyncIterator[OriginResponse]:
        """Request the representation, or the range in `request`, and follow redirects.

        The connection is released or closed when the block ends. Without a `context`, the request has no fields of a
        download, and its cookies are forgotten.

        Raises:
            InvalidUrlError, DomainBlockedError, TooManyRedirectsError, RemoteError: the policy refuses the URL, its
                address, or a redirect.
            NetworkError: no response.
        """
        first = self._policy.check_url(url)
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
            response = await self._request(exchange.next_request())
            try:
                if response.version is None or response.version.major != 1:
                    raise NetworkError("the origin does not speak HTTP/1", permanent=True)
                if exchange.must_continue(response.status, response.headers):
                    continue
                content = Content(response, stall_timeout=self._timeout.sock_read)
                try:
                    yield OriginResponse(
                        url=exchange.target,
                        requested_url=first,
                        final_url_digest=_url_digest(exchange.target) if exchange.hops else None,
                        head=parse_response_head(response.status, response.headers, now=self._clock.wall()),
                        content=content,
                    )
                finally:
                    content.release_connection()
                return
            finally:
                response.release() if response.content.at_eof() else response.close()

    async def _request(self, request: OriginRequest) -> aiohttp.ClientResponse:
        assert self._client is not None  # noqa: S101 - narrows the type; entered before
        if request.proxy is not None:
            # A direct connection would show the origin the address that the proxy hides.
            raise NetworkError("connections through proxies are not supported yet", permanent=True)
        try:
            return await self._client.request(
                request.method,
                to_yarl(request.url),
                headers=CIMultiDict(request.fields),
                skip_auto_headers=("Content-Type",),
                data=request.body,
                allow_redirects=False,
                timeout=self._timeout,
                ssl=self._tls.context_for(request.url.host),
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            blocked = find_blocked_error(error)
            if blocked is not None:
                raise blocked from error
            mapped = map_client_error(error)
            if isinstance(mapped, NetworkError):
                mapped.origin = request.url.origin
            raise mapped from error


def _url_digest(url: AllowedUrl) -> str:
    return hashlib.sha256(url.text.partition("?")[0].encode()).hexdigest()[:16]
