"""Properties of a connection to an origin, from the configuration."""

from socket import AddressFamily
from ssl import SSLContext
from typing import Final

import msgspec
from msgspec import UNSET

from downloadd.config import HostConfig
from downloadd.origin.addresses import family_of
from downloadd.policy.origin_proxies import Proxy

_FAMILIES: Final = {
    "any": AddressFamily.AF_UNSPEC,
    "ipv4": AddressFamily.AF_INET,
    "ipv6": AddressFamily.AF_INET6,
}


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Properties of a connection; connections with the same origin and options are interchangeable."""

    tls: SSLContext | None
    """Context of TLS; None for http."""
    proxy: Proxy | None = None
    """Proxy to connect through; None for none."""
    proxy_tls: SSLContext | None = None
    """Context of TLS to the proxy; None without."""
    family: AddressFamily = AddressFamily.AF_UNSPEC
    """Family of addresses to connect to; AF_UNSPEC for any."""
    bind_address: str = ""
    """Local address to connect from; "" for any."""

    @property
    def is_http_proxy(self) -> bool:
        """True for an HTTP proxy; False for SOCKS, and without a proxy."""
        return self.proxy is not None and self.proxy.url.scheme in {"http", "https"}

    @property
    def sends_absolute_form(self) -> bool:
        """True if requests go to an HTTP proxy itself, without a tunnel (RFC 9112, section 3.2.2)."""
        return self.tls is None and self.is_http_proxy


def make_connection_options(
    host: HostConfig | None,
    *,
    tls: SSLContext | None,
    proxy: Proxy | None,
    proxy_tls: SSLContext | None,
) -> ConnectionOptions:
    """Return the properties of a connection to a host with these settings; None for none of its own.

    With a proxy, the local address and the family are not applied: it may be reached at another one.
    """
    if proxy is None or proxy.url.scheme != "https":
        proxy_tls = None
    if host is None or proxy is not None:
        return ConnectionOptions(tls=tls, proxy=proxy, proxy_tls=proxy_tls)
    family, address = _FAMILIES[host.address_family], "" if host.bind_address is UNSET else host.bind_address
    if address:
        # A connection from an address goes to one of its family.
        family = family_of(address)
    return ConnectionOptions(tls=tls, family=family, bind_address=address)
