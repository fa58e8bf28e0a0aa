"""Connections through proxies: CONNECT of HTTP proxies (RFC 9110, section 9.3.6), and SOCKS 5 (RFC 1928).

With local name resolution the proxy gets the address of the target that the policy has allowed, not its name.
"""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import msgspec

from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.origin.connection_errors import map_transfer_error
from downloadd.origin.message_head import MalformedResponseError, MessageHead
from downloadd.origin.response_parser import ResponseParser
from downloadd.origin.stream import MAX_READ_BYTES, Stream

_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers to CONNECT after which another try may succeed."""


_NO_LIMIT: Final = 86_400.0
"""Seconds; the library needs a limit, and the caller has one."""


class ProxyScheme(StrEnum):
    """Protocols of proxies."""

    HTTP = "http"
    HTTPS = "https"
    """HTTP over TLS to the proxy."""
    SOCKS5 = "socks5"
    SOCKS5H = "socks5h"
    """SOCKS 5 whose proxy resolves names."""


class ProxyServer(msgspec.Struct, frozen=True, kw_only=True):
    """Proxy for connections to origins."""

    name: str
    """Name in messages."""
    scheme: ProxyScheme
    host: str
    """Name or address, in the spelling of `parse_host`."""
    port: int
    user: str = ""
    password: str = ""
    resolves_names: bool = False
    """True if the proxy gets names of targets, whose addresses are then not checked."""

    @property
    def is_http(self) -> bool:
        """True for HTTP proxies, False for SOCKS."""
        return self.scheme in {ProxyScheme.HTTP, ProxyScheme.HTTPS}

    def __repr__(self) -> str:
        """Return name and host, without the password."""
        return f"ProxyServer({self.name!r}, {self.scheme}://{self.host}:{self.port})"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Host, a name or an address, and port that a proxy connects to."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port; an IPv6 address has brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def proxy_authorization(proxy: ProxyServer) -> str | None:
    """Return the value of `Proxy-Authorization` (RFC 7617, section 2); None without a user name."""
    if not proxy.user:
        return None
    return f"Basic {b64encode(f'{proxy.user}:{proxy.password}'.encode()).decode()}"


async def open_http_tunnel(stream: Stream, proxy: ProxyServer, target: Target) -> None:
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
        head: MessageHead | None = None
        while head is None:
            data = await stream.receive(MAX_READ_BYTES, timeout=None)
            if not data:
                raise _refusal(proxy, "closed the connection")
            head = parser.feed(data)
    _check_answer(proxy, head)
    if parser.rest:
        # A server waits for the client's first bytes of TLS: these are of the proxy.
        raise _refusal(proxy, "sent content in place of a tunnel")


async def connect_by_socks(proxy: ProxyServer, address: str, target: Target) -> Stream:
    """Connect to a target by the SOCKS proxy at an address, which the policy has allowed.

    Raises:
        NetworkError: the proxy cannot be reached, or refuses.
    """
    # Most daemons have no such proxy.
    from python_socks import ProxyError, ProxyType
    from python_socks.async_.asyncio import Proxy as SocksProxy

    socks = SocksProxy(
        ProxyType.SOCKS5, address, proxy.port, username=proxy.user or None, password=proxy.password or None, rdns=True
    )
    with proxy_errors(proxy):
        try:
            sock = await socks.connect(target.host, target.port, timeout=_NO_LIMIT)
        except ProxyError as error:
            raise _refusal(proxy, f"refused the connection: {error}") from error
    return Stream(sock, peer=address)


@contextmanager
def proxy_errors(proxy: ProxyServer) -> Iterator[None]:
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


def credentials_error(proxy: ProxyServer) -> NetworkError:
    """Return the error for a proxy that answered 407 (RFC 9110, section 15.5.8)."""
    known = "refused its user and password" if proxy.user else "requires a user and password"
    return _refusal(proxy, f"{known}; set them in [[proxies]]", permanent=True)


def _check_answer(proxy: ProxyServer, head: MessageHead) -> None:
    # Some proxies answer 401 to a wrong password.
    if head.status in {401, 407}:
        raise credentials_error(proxy)
    if not 200 <= head.status <= 299:
        permanent = head.status not in _TRANSIENT_STATUSES
        raise _refusal(proxy, f"answered {head.status} to CONNECT", permanent=permanent)


def _refusal(proxy: ProxyServer, what: str, *, permanent: bool = False) -> NetworkError:
    return NetworkError(f"the proxy {proxy.name} {what}", kind=NetworkErrorKind.CONNECT, permanent=permanent)
