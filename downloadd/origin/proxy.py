"""Connections through proxies: CONNECT of HTTP proxies (RFC 9110, section 9.3.6), and SOCKS 5 (RFC 1928).

With local name resolution the proxy gets the address of the target that the policy has allowed, not its name. That does
not hold for requests without a tunnel: an HTTP proxy replaces Host by what the target says (RFC 9112, section 3.2.2),
and the origin needs its name there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from downloadd.errors import NetworkError, NetworkErrorKind, is_transient_status
from downloadd.origin.connection_errors import map_transfer_error
from downloadd.origin.message_head import MalformedResponseError, MessageHead
from downloadd.origin.receive_head import receive_head
from downloadd.origin.request_headers import encode_basic
from downloadd.origin.response_parser import ResponseParser
from downloadd.origin.stream import Stream
from downloadd.policy.origin_proxies import Proxy
from downloadd.policy.url import format_host

_NO_LIMIT: Final = 86_400.0
"""Seconds; the library needs a limit, and the caller has one."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Host, a name or an address, and port that a proxy connects to."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port; an IPv6 address has brackets."""
        return f"{format_host(self.host)}:{self.port}"


def proxy_authorization(proxy: Proxy) -> str | None:
    """Return the value of `Proxy-Authorization` (RFC 7617, section 2); None without a user name."""
    return None if proxy.url.user is None else encode_basic(proxy.url.user)


def describe_proxy(proxy: Proxy) -> str:
    """Return the proxy as messages name it."""
    return f"the proxy {proxy.name}" if proxy.name else "the proxy of the environment"


async def open_http_tunnel(stream: Stream, proxy: Proxy, target: Target) -> None:
    """Ask an HTTP proxy for a tunnel; afterwards `stream` is connected to the target.

    Raises:
        NetworkError: the proxy refuses, or its answer is not one to CONNECT.
    """
    lines = [f"CONNECT {target.authority} HTTP/1.1", f"Host: {target.authority}"]
    authorization = proxy_authorization(proxy)
    if authorization is not None:
        lines.append(f"Proxy-Authorization: {authorization}")
    parser = ResponseParser()
    with proxy_errors(proxy):
        await stream.send("\r\n".join([*lines, "", ""]).encode(), timeout=None)
        head = await receive_head(stream, parser, timeout=None)
    if head is None:
        raise _refusal(proxy, "closed the connection")
    _check_answer(proxy, head)
    if parser.rest:
        # A server waits for the client's first bytes of TLS: these are of the proxy.
        raise _refusal(proxy, "sent content in place of a tunnel")


async def connect_by_socks(proxy: Proxy, address: str, target: Target) -> Stream:
    """Connect to a target by the SOCKS proxy at an address, which the policy has allowed.

    Raises:
        NetworkError: the proxy cannot be reached, or refuses.
    """
    # Most daemons have no such proxy.
    from python_socks import ProxyError, ProxyType
    from python_socks.async_.asyncio import Proxy as SocksProxy

    user = proxy.url.user
    socks = SocksProxy(
        ProxyType.SOCKS5,
        address,
        proxy.url.port,
        username=None if user is None else user.user,
        password=None if user is None else user.password,
        rdns=True,
    )
    with proxy_errors(proxy):
        try:
            sock = await socks.connect(target.host, target.port, timeout=_NO_LIMIT)
        except ProxyError as error:
            raise _refusal(proxy, f"refused the connection: {error}") from error
    return Stream(sock, peer=address)


@contextmanager
def proxy_errors(proxy: Proxy) -> Iterator[None]:
    """Map errors of the connection to a proxy to `NetworkError`.

    Raises:
        NetworkError: the block has raised such an error.
    """
    try:
        yield
    except TimeoutError as error:
        if error.errno is None:
            # The limit of the caller.
            raise
        raise _refusal(proxy, "could not be reached: Connection timed out") from error
    except MalformedResponseError as error:
        raise _refusal(proxy, f"does not speak HTTP: {error}") from error
    except OSError as error:
        detail = map_transfer_error(error, has_head=False).detail
        raise _refusal(proxy, f"could not be used: {detail}") from error


def credentials_error(proxy: Proxy) -> NetworkError:
    """Return the error for a proxy that answered 407 (RFC 9110, section 15.5.8)."""
    known = "requires a user and password" if proxy.url.user is None else "refused its user and password"
    place = "in [[proxies]]" if proxy.name else "in its variable"
    return _refusal(proxy, f"{known}; set them {place}", permanent=True)


def _check_answer(proxy: Proxy, head: MessageHead) -> None:
    # Some proxies answer 401 to a wrong password.
    if head.status in {401, 407}:
        raise credentials_error(proxy)
    if not 200 <= head.status <= 299:
        # The time that a proxy asks to wait is not applied.
        is_transient = is_transient_status(head.status, has_retry_after=False)
        raise _refusal(proxy, f"answered {head.status} to CONNECT", permanent=not is_transient)


def _refusal(proxy: Proxy, what: str, *, permanent: bool = False) -> NetworkError:
    return NetworkError(f"{describe_proxy(proxy)} {what}", kind=NetworkErrorKind.CONNECT, permanent=permanent)
