"""The HTTP client that speaks to origins: one GET, through every redirect, to the head of the final response.

Nothing is carried from one download to another but connections: no cookies, no proxies of the environment. Errors of
aiohttp are mapped to `DownloadError`s here, and nowhere else.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ssl import SSLError, SSLObject, SSLZeroReturnError
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict, MultiMapping

from downloadd import __version__
from downloadd.config import CredentialConfig
from downloadd.errors import DownloadError, NetworkError
from downloadd.policy.connector import build_connector, find_blocked_error
from downloadd.policy.policy import Policy
from downloadd.policy.redirects import may_keep_credentials, resolve_redirect
from downloadd.policy.resolver import SystemResolver
from downloadd.policy.url import DEFAULT_PORTS, AllowedUrl, to_yarl
from downloadd.transfer.classification import RangeRequest, ResponseHead
from downloadd.transfer.detach import BufferedContent, DetachedConnection, SocketContent, detach, surplus_error
from downloadd.transfer.fields import format_range
from downloadd.transfer.head_normalization import MAX_HEAD_BYTES, MAX_HEAD_LINES
from downloadd.transfer.origin_protocol import OriginProtocol, SurplusError, require_strict_parser

REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
READ_BUFFER_BYTES: Final = 256 * 1024
"""Bytes that a connection reads ahead of the writer, before the transport is paused (at twice as many)."""


class Content:
    """The content of one response, read once, piece by piece."""

    def __init__(self, response: aiohttp.ClientResponse, *, stall_timeout: float | None) -> None:
        self._response = response
        self._stall_timeout = stall_timeout
        self._buffered: BufferedContent | None = None
        self._detached: DetachedConnection | None = None
        self._is_started = False
        self.expected_length: int | None = None
        """Bytes that this content has, by what the head says; None if it does not."""
        self._delivered_bytes = 0
        self._is_delimited = (
            response.content_length is not None or response.headers.get("Transfer-Encoding") is not None
        )
        connection = response.connection
        protocol = connection.protocol if connection is not None else None
        self._closed = protocol.closed if protocol is not None and not self._is_delimited else None
        transport = connection.transport if connection is not None and not self._is_delimited else None
        self._tls: SSLObject | None = transport.get_extra_info("ssl_object") if transport is not None else None
        if protocol is not None:
            # aiohttp starts its stall clock anew when a paused connection goes on, even if that brings the last byte: a
            # reader that is held back by a speed limit would then miss what is left in the buffer. Without a time
            # it has nothing to start; the next request on this connection sets its own.
            response.content.on_eof(partial(setattr, protocol, "read_timeout", None))

    async def read(self, limit: int = -1) -> bytes | memoryview:
        """What has come since the last call, at most `limit` bytes of it; waits for something; b"" at the end.

        The bytes stay as they are until they are released.

        Raises:
            NetworkError: the connection broke, stalled, or the message is malformed or ended early.
        """
        if not self._is_started:
            self._is_started = True
            detached = self._detach()
            if detached is not None:
                self._buffered = BufferedContent(detached, stall_timeout=self._stall_timeout)
        return await (self._read_parsed(limit) if self._buffered is None else self._buffered.read(limit))

    def check_end(self) -> None:
        """To be called by whoever has what it wants, and does not read on.

        Raises:
            NetworkError: more came than was announced, as far as is known by now.
        """
        if self._buffered is not None:
            self._buffered.check_end()
        elif isinstance(self._response.content.exception(), SurplusError):
            raise surplus_error()

    def release(self, nbytes: int) -> None:
        """The oldest bytes that were read are not needed any more: their memory may be used again."""
        if self._buffered is not None:
            self._buffered.release(nbytes)

    def close(self) -> None:
        """Ends the connection, whatever is still to come on it."""
        if self._detached is not None:
            self._detached.transport.close()
        self._response.close()

    def release_connection(self) -> None:
        """Lets the connection be used again where everything was read, and ends it otherwise."""
        # What is left of a body is not worth waiting for.
        if self._detached is None and self._response.content.at_eof():
            self._response.release()
        else:
            self.close()

    def detach_socket(self) -> tuple[list[bytes], SocketContent] | None:
        """What has come already, and the rest as a socket; None where the content has to be read, or that has begun.

        Where it gives a socket, nothing can be read here any more.

        Raises:
            NetworkError: the connection broke.
        """
        if self._is_started:
            return None
        detached = self._detach()
        if detached is None:
            return None
        self._is_started = True
        if not detached.is_plaintext:
            self._buffered = BufferedContent(detached, stall_timeout=self._stall_timeout)
            return None
        try:
            return detached.prefetched, SocketContent(detached, stall_timeout=self._stall_timeout)
        except OSError as error:
            raise map_client_error(error) from error

    def _detach(self) -> DetachedConnection | None:
        try:
            self._detached = detach(self._response)
            return self._detached
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise map_client_error(error) from error

    async def _read_parsed(self, limit: int) -> bytes:
        try:
            # Bytes that bring no content (chunk extensions, trailers) do not count as progress.
            async with asyncio.timeout(self._stall_timeout):
                data = await (self._response.content.readany() if limit < 0 else self._response.content.read(limit))
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            # aiohttp raises what ended the stream before it gives what came until then, which a reader that is late
            # would lose: an attempt that is cut again and again would then never get further.
            data = self._response.content._read_nowait(limit)
            if not data:
                raise map_client_error(error) from error
        self._delivered_bytes += len(data)
        if self.expected_length is not None and self._delivered_bytes > self.expected_length:
            # The framing need not know: a range may come in chunks, or end with the connection.
            raise surplus_error()
        # A message without a length ends with the connection (RFC 9112, section 6.3, rule 8): only an orderly close
        # says that it is whole.
        if not data and self._closed is not None and self._closed.done() and self._closed.exception() is not None:
            raise NetworkError("the connection was reset before the end of a body without a length")
        if not data and self._tls is not None and not _received_close_notify(self._tls):
            raise NetworkError("the TLS connection was cut before the end of a body without a length")
        return data


class OriginResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The final response to a request."""

    url: AllowedUrl
    """Where it came from, after redirects."""
    final_url_digest: str | None
    """A digest of that without its query, where there were redirects: links that are signed anew lead to one place."""
    head: ResponseHead
    content: Content


class Session:
    """The client. Opens with `async with`; one for the whole daemon, so that connections are reused."""

    def __init__(
        self,
        *,
        policy: Policy,
        credentials: Sequence[CredentialConfig],
        stall_timeout: float,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """`stall_timeout` in seconds, for connecting and between two reads; 0 for none.

        `resolver` answers for names, by default the system; it is closed with the session.
        """
        self._resolver = resolver or SystemResolver()
        self._client: aiohttp.ClientSession | None = None
        self.configure(policy=policy, credentials=credentials, stall_timeout=stall_timeout)

    def configure(self, *, policy: Policy, credentials: Sequence[CredentialConfig], stall_timeout: float) -> None:
        """Sets what the next request obeys."""
        self._policy = policy
        self._credentials = {c.host.lower().rstrip("."): c for c in credentials}
        limit = stall_timeout or None
        self._timeout = aiohttp.ClientTimeout(total=None, connect=limit, sock_connect=limit, sock_read=limit)

    async def __aenter__(self) -> Self:
        """Opens the client.

        Raises:
            StartupError: the HTTP library lacks its compiled parser, which alone can be told to be strict.
        """
        require_strict_parser()
        connector = build_connector(lambda: self._policy.addresses, resolver=self._resolver)
        # The library has no public way to bound what comes before an answer.
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
    async def get(self, url: str, request: RangeRequest) -> AsyncIterator[OriginResponse]:
        """Asks for the representation, or for what `request` says of it, and follows redirects.

        The connection is free again, or closed, when the context ends.

        Raises:
            InvalidUrlError, DomainBlockedError, TooManyRedirectsError, RemoteError: what the policy says of the URL,
                the address it leads to, and each redirect.
            NetworkError: no answer.
        """
        target = first = self._policy.check_url(url)
        hops = 0
        while True:
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
                        final_url_digest=_url_digest(target) if hops else None,
                        head=parse_response_head(response.status, response.headers),
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
            return await self._client.get(to_yarl(target), headers=fields, allow_redirects=False, timeout=self._timeout)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            blocked = find_blocked_error(error)
            if blocked is not None:
                raise blocked from error
            raise map_client_error(error) from error

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
            if request.validator is not None:
                fields["If-Range"] = request.validator
        configured = self._credentials.get(target.host)
        # A redirect must not talk a secret out of TLS, nor to another service of the same host.
        if configured is not None and (may_keep_credentials(first, target) or _is_default_https(target)):
            fields.update(configured.headers)
            if configured.user:
                fields["Authorization"] = aiohttp.encode_basic_auth(configured.user, configured.password)
        # What an origin writes before the host of a redirect is not the user's to send (RFC 9110, section 4.2.4).
        if first.userinfo is not None and may_keep_credentials(first, target):
            fields["Authorization"] = aiohttp.encode_basic_auth(*first.userinfo)
        return fields


def _url_digest(url: AllowedUrl) -> str:
    return hashlib.sha256(url.text.partition("?")[0].encode()).hexdigest()[:16]


def parse_response_head(status: int, fields: MultiMapping[str]) -> ResponseHead:
    """The parts of a response's head that decide what becomes of it."""
    # A list over several lines is one list (RFC 9110, section 5.3); of the other fields the first line counts.
    return ResponseHead(
        status=status,
        content_length=fields.get("Content-Length"),
        content_range=fields.get("Content-Range"),
        content_type=fields.get("Content-Type"),
        content_encoding=_joined_field(fields, "Content-Encoding"),
        content_disposition=fields.get("Content-Disposition"),
        etag=fields.get("ETag"),
        last_modified=fields.get("Last-Modified"),
        date=fields.get("Date"),
        retry_after=fields.get("Retry-After"),
        transfer_encoding=_joined_field(fields, "Transfer-Encoding"),
        content_digest=_joined_field(fields, "Content-Digest"),
        repr_digest=_joined_field(fields, "Repr-Digest"),
        digest=_joined_field(fields, "Digest"),
    )


def _joined_field(fields: MultiMapping[str], name: str) -> str | None:
    lines = fields.getall(name, None)
    return None if lines is None else ", ".join(lines)


def _received_close_notify(tls: SSLObject) -> bool:
    """Whether the other side's closure alert came.

    Without it anybody on the way can have cut the connection: a message without a length is complete only with it
    (RFC 9112, section 9.8).
    """
    try:
        return not tls.read(1)
    except SSLZeroReturnError:
        # Likewise, once our own alert was sent.
        return True
    except SSLError:
        return False


def map_client_error(error: BaseException) -> DownloadError:
    """What an error of the client library means, in a sentence that holds nothing of the URL."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            cause = error.__cause__
            reason = cause.reason if isinstance(cause, SSLError) and cause.reason else "TLS failed"
            verify = getattr(cause, "verify_message", "")
            return NetworkError(f"the TLS connection was refused: {verify or reason}", permanent=True)
        case aiohttp.ClientConnectorDNSError():
            return NetworkError("the origin's name could not be resolved")
        case aiohttp.ConnectionTimeoutError():
            return NetworkError("no connection to the origin within the stall timeout")
        case aiohttp.SocketTimeoutError() | TimeoutError() | asyncio.TimeoutError():
            return NetworkError("the origin sent nothing within the stall timeout")
        case aiohttp.ServerDisconnectedError():
            return NetworkError("the origin closed the connection without an answer")
        case SurplusError():
            return surplus_error()
        case aiohttp.ClientPayloadError():
            return NetworkError("the connection ended before the last byte, or the body is malformed")
        # The parser gave up within the content: it is told of as a closed connection.
        case aiohttp.ClientResponseError() | RuntimeError():
            return NetworkError("the origin's answer is not valid HTTP")
        case aiohttp.ClientConnectionResetError():
            return NetworkError("the connection was closed before the request was out")
        case aiohttp.ClientOSError() | OSError():
            # Not the library's own words, which name the address.
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else type(error).__name__
            return NetworkError(f"the connection failed: {reason}")
        case _:
            return NetworkError(f"the request failed: {type(error).__name__}")


def _is_default_https(url: AllowedUrl) -> bool:
    return url.scheme == "https" and url.port == DEFAULT_PORTS["https"]
