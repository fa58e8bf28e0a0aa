"""HTTP client for origins: one GET through all redirects, up to the head of the final response.

Downloads share connections and nothing else: no cookies, and no proxies from the environment.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict

from downloadd import __version__
from downloadd.clock import Clock, SystemClock
from downloadd.config import CredentialConfig
from downloadd.errors import NetworkError
from downloadd.policy.connector import build_connector, find_blocked_error
from downloadd.policy.policy import Policy
from downloadd.policy.redirects import may_keep_credentials, resolve_redirect
from downloadd.policy.resolver import SystemResolver
from downloadd.policy.tls_contexts import TlsContexts
from downloadd.policy.url import DEFAULT_PORTS, AllowedUrl, to_yarl
from downloadd.transfer.client_errors import map_client_error
from downloadd.transfer.content import Content
from downloadd.transfer.fields import format_range
from downloadd.transfer.head_normalization import MAX_HEAD_BYTES, MAX_HEAD_LINES
from downloadd.transfer.origin_protocol import OriginProtocol, require_strict_parser
from downloadd.transfer.response_head import ResponseHead, parse_response_head
from downloadd.transfer.resume import RangeRequest

REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
"""Statuses whose Location is followed."""
READ_BUFFER_BYTES: Final = 256 * 1024
"""Bytes that a connection reads ahead of the writer; the transport is paused at twice as many."""


EnterOrigin = Callable[[str], AbstractAsyncContextManager[None]]
"""Returns a context for the request to an origin that a redirect leads to, and for its response."""


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
        self._resolver = resolver or SystemResolver()
        self._clock = clock or SystemClock()
        self._client: aiohttp.ClientSession | None = None
        self.configure(policy=policy, credentials=credentials, stall_timeout=stall_timeout, tls=tls or TlsContexts())

    def configure(
        self, *, policy: Policy, credentials: Sequence[CredentialConfig], stall_timeout: float, tls: TlsContexts
    ) -> None:
        """Set the configuration of later requests."""
        self._policy = policy
        self._tls = tls
        self._credentials = {c.host.lower().rstrip("."): c for c in credentials}
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

    @asynccontextmanager
    async def get(
        self, url: str, request: RangeRequest, *, enter_origin: EnterOrigin = lambda _: nullcontext()
    ) -> AsyncIterator[OriginResponse]:
        """Request the representation, or the range in `request`, and follow redirects.

        The connection is released or closed when the context ends. `enter_origin` is entered before a connection to the
        target of each redirect is made, and left when that connection has been released.

        Raises:
            InvalidUrlError, DomainBlockedError, TooManyRedirectsError, RemoteError: the policy refuses the URL, its
                address, or a redirect.
            NetworkError: no response.
            Exception: what `enter_origin` raises; no connection to that origin was made.
        """
        target = first = self._policy.check_url(url)
        hops = 0
        while True:
            async with enter_origin(target.origin) if hops else nullcontext():
                response = await self._request(target, self._fields(target, first, request))
                try:
                    if response.version is None or response.version.major != 1:
                        raise NetworkError("the origin does not speak HTTP/1", permanent=True)
                    if response.status in REDIRECT_STATUSES:
                        hops += 1
                        target = resolve_redirect(
                            target, response.headers.get("Location"), hops, self._policy, status=response.status
                        )
                        continue
                    content = Content(response, stall_timeout=self._timeout.sock_read)
                    try:
                        yield OriginResponse(
                            url=target,
                            requested_url=first,
                            final_url_digest=_url_digest(target) if hops else None,
                            head=parse_response_head(response.status, response.headers, now=self._clock.wall()),
                            content=content,
                        )
                    finally:
                        content.release_connection()
                    return
                finally:
                    response.release() if response.content.at_eof() else response.close()

    async def _request(self, target: AllowedUrl, fields: CIMultiDict[str]) -> aiohttp.ClientResponse:
        assert self._client is not None  # noqa: S101 - narrows the type; entered before
        try:
            return await self._client.get(
                to_yarl(target),
                headers=fields,
                allow_redirects=False,
                timeout=self._timeout,
                ssl=self._tls.context_for(target.host),
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            blocked = find_blocked_error(error)
            if blocked is not None:
                raise blocked from error
            mapped = map_client_error(error)
            if isinstance(mapped, NetworkError):
                mapped.origin = target.origin
            raise mapped from error

    def _fields(self, target: AllowedUrl, first: AllowedUrl, request: RangeRequest) -> CIMultiDict[str]:
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
                fields["Authorization"] = aiohttp.encode_basic_auth(configured.user, configured.password)
        # Userinfo in a redirect is from the origin, not from the user, and is not sent (RFC 9110, section 4.2.4).
        if first.userinfo is not None and may_keep_credentials(first, target):
            fields["Authorization"] = aiohttp.encode_basic_auth(*first.userinfo)
        return fields


def _url_digest(url: AllowedUrl) -> str:
    return hashlib.sha256(url.text.partition("?")[0].encode()).hexdigest()[:16]


def _is_default_https(url: AllowedUrl) -> bool:
    return url.scheme == "https" and url.port == DEFAULT_PORTS["https"]
