"""Client for origins: one request, its head, and its content."""

from collections.abc import Callable
from contextlib import suppress
from ssl import SSLError
from types import TracebackType
from typing import Self

import msgspec

from downloadd.clock import Clock
from downloadd.errors import NetworkError
from downloadd.origin.addresses import AddressBook
from downloadd.origin.connection_errors import early_end_error, map_transfer_error
from downloadd.origin.connection_options import ConnectionOptions
from downloadd.origin.content import Content
from downloadd.origin.dialer import Dialer
from downloadd.origin.exchange import OriginRequest
from downloadd.origin.framing import make_decoder, may_reuse
from downloadd.origin.message_head import MalformedResponseError, MessageHead
from downloadd.origin.pool import ConnectionPool
from downloadd.origin.proxy import credentials_error, proxy_authorization
from downloadd.origin.receive_head import receive_head
from downloadd.origin.request_head import encode_request_head
from downloadd.origin.response_parser import ResponseParser
from downloadd.origin.stream import Stream
from downloadd.origin.timeouts import Timeouts
from downloadd.policy.addresses import AddressRules
from downloadd.policy.resolver import Resolver
from downloadd.request_fields import Method


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Response to one request. Its content must be closed, or its connection released."""

    head: MessageHead
    content: Content


class _StaleConnectionError(Exception):
    """End of an idle connection before the first byte of a response.

    The origin has closed it while the request was under way (RFC 9112, section 9.3.1).
    """


class OriginClient:
    """HTTP/1.1 client that reuses connections; opened with `async with`."""

    def __init__(self, *, rules: Callable[[], AddressRules], resolver: Resolver, clock: Clock) -> None:
        """Make a client.

        Args:
            rules: returns the present rules for addresses.
            resolver: looks names up; it is closed with the client.
            clock: the time.
        """
        self._addresses = AddressBook(resolver, rules, clock)
        self._dialer = Dialer(self._addresses)
        self._pool = ConnectionPool(clock, may_use=lambda stream: self._addresses.is_allowed(stream.peer))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()
        await self._dialer.close()
        await self._addresses.close()

    async def request(self, request: OriginRequest, options: ConnectionOptions, timeouts: Timeouts) -> Response:
        """Send a request and return the final response, up to its content. Redirects are not followed.

        Raises:
            DomainBlockedError: the policy forbids the addresses of the host.
            NetworkError: no response, or one that is not valid HTTP.
        """
        response = await self._send(request, options, timeouts)
        # Through a tunnel or SOCKS the origin has answered, and not the proxy.
        proxy = options.proxy if options.sends_absolute_form else None
        if response.head.status == 407 and proxy is not None:
            response.content.close()
            raise credentials_error(proxy)
        return response

    async def _send(self, request: OriginRequest, options: ConnectionOptions, timeouts: Timeouts) -> Response:
        """Send a request on an idle connection, or on a new one, and return its response."""
        encoded = _encode(request, options)
        key = (request.url.origin, options)
        stream = self._pool.acquire(key)
        if stream is not None:
            # A request of another method must not be sent twice (RFC 9110, section 9.2.2).
            with suppress(_StaleConnectionError):
                may_repeat = request.method is Method.GET
                return await self._exchange(stream, key, encoded, timeout=timeouts.stall, may_repeat=may_repeat)
        stream = await self._dialer.connect(request.url, options, timeout=timeouts.connect)
        return await self._exchange(stream, key, encoded, timeout=timeouts.stall, may_repeat=False)

    async def _exchange(
        self, stream: Stream, key: object, request: bytes, *, timeout: float | None, may_repeat: bool
    ) -> Response:
        """Send a request on a connection and return its response.

        Raises:
            _StaleConnectionError: the connection is stale, and `may_repeat` is true.
        """
        parser = ResponseParser()
        try:
            await stream.send(request, timeout=timeout)
            head = await receive_head(stream, parser, timeout=timeout)
            if head is None:
                raise early_end_error(has_head=False)
            if head.version[0] != 1:
                raise NetworkError("the origin does not speak HTTP/1", permanent=True)
            decoder = make_decoder(head)
        except BaseException as error:
            stream.close()
            if may_repeat and not parser.has_input and isinstance(error, ConnectionError | SSLError | NetworkError):
                raise _StaleConnectionError from error
            if isinstance(error, OSError | MalformedResponseError):
                raise map_transfer_error(error, has_head=False) from error
            raise
        return Response(
            head=head,
            content=Content(
                stream,
                decoder,
                parser.rest,
                stall_timeout=timeout,
                keep=(lambda: self._pool.release(key, stream)) if may_reuse(head) else None,
            ),
        )


def _encode(request: OriginRequest, options: ConnectionOptions) -> bytes:
    """Return a request as bytes, its body framed by its length."""
    fields = list(request.fields)
    body = request.body or b""
    if request.method is Method.POST:
        # RFC 9110, section 8.6: it has a length even without content.
        fields.append(("Content-Length", str(len(body))))
    if options.sends_absolute_form and options.proxy is not None:
        authorization = proxy_authorization(options.proxy)
        if authorization is not None:
            fields.append(("Proxy-Authorization", authorization))
    head = encode_request_head(request.url, fields, method=request.method, via_proxy=options.sends_absolute_form)
    return head + body
