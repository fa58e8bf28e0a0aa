"""Properties of connections from the configuration."""

import ssl
from socket import AddressFamily

import pytest

from downloadd.config import HostConfig
from downloadd.origin.connection_options import ConnectionOptions, make_connection_options
from downloadd.policy.origin_proxies import Proxy
from downloadd.policy.proxy_url import ProxyUrl

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def make_proxy(scheme: str) -> Proxy:
    return Proxy(name="p", url=ProxyUrl(scheme=scheme, host="proxy.example", port=1), is_resolver=False)


def options(host: HostConfig | None = None, proxy: Proxy | None = None) -> ConnectionOptions:
    return make_connection_options(host, tls=None, proxy=proxy, proxy_tls=TLS)


def test_a_host_without_settings_is_connected_to_in_any_way() -> None:
    assert options() == ConnectionOptions(tls=None)
    assert options(HostConfig(host="a.example")) == options()


@pytest.mark.parametrize(
    ("family", "address", "expected"),
    [
        ("any", "", AddressFamily.AF_UNSPEC),
        ("ipv4", "", AddressFamily.AF_INET),
        ("ipv6", "", AddressFamily.AF_INET6),
        ("any", "192.0.2.7", AddressFamily.AF_INET),
        ("any", "2001:db8::7", AddressFamily.AF_INET6),
    ],
)
def test_the_family_is_that_of_the_setting_or_of_the_local_address(
    family: str, address: str, expected: AddressFamily
) -> None:
    values = {"host": "a.example", "address_family": family}
    host = HostConfig(**values, **({"bind_address": address} if address else {}))  # type: ignore[arg-type]
    assert options(host) == ConnectionOptions(tls=None, family=expected, bind_address=address)


@pytest.mark.parametrize(
    ("scheme", "is_http", "has_tls"), [("http", True, False), ("https", True, True), ("socks5", False, False)]
)
def test_a_proxy_is_connected_to_from_any_address(scheme: str, is_http: bool, has_tls: bool) -> None:
    host = HostConfig(host="a.example", bind_address="192.0.2.7")
    found = options(host, make_proxy(scheme))
    assert (found.bind_address, found.family) == ("", AddressFamily.AF_UNSPEC)
    assert (found.is_http_proxy, found.proxy_tls is TLS) == (is_http, has_tls)
    assert found.sends_absolute_form is is_http


def test_a_request_over_tls_is_never_sent_to_a_proxy_itself() -> None:
    found = make_connection_options(None, tls=TLS, proxy=make_proxy("http"), proxy_tls=TLS)
    assert not found.sends_absolute_form
