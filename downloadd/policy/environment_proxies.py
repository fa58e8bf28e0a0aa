"""Proxies that the environment names: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, as curl reads them.

Names in upper case count too, after those in lower case; `HTTP_PROXY` does not, since a web server sets it from a
request (RFC 3875, section 4.1.18). Pure: the variables come from the caller.
"""

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from downloadd.errors import InvalidUrlError
from downloadd.policy.proxy_url import ProxyUrl, parse_proxy_url
from downloadd.policy.url import DEFAULT_PORTS, ParsedUrl, is_address, parse_host

_ALL: Final = "all_proxy"
_NONE: Final = "no_proxy"


class EnvironmentProxies:
    """Proxies by the scheme of a URL, and the hosts that are connected to directly."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read the variables.

        Raises:
            ValueError: one of them is malformed; says which and why, and shows no value.
        """
        common = _read(environment, _ALL)
        self._by_scheme = {scheme: _read(environment, f"{scheme}_proxy") or common for scheme in DEFAULT_PORTS}
        text = environment.get(_NONE) or environment.get(_NONE.upper()) or ""
        self._exceptions = [entry for entry in text.replace(",", " ").split() if entry]

    def select(self, url: ParsedUrl) -> ProxyUrl | None:
        """Return the proxy for a URL; None for a direct connection."""
        proxy = self._by_scheme[url.scheme]
        return None if proxy is None or any(_matches(entry, url) for entry in self._exceptions) else proxy


def _read(environment: Mapping[str, str], variable: str) -> ProxyUrl | None:
    names = (variable,) if variable == "http_proxy" else (variable, variable.upper())
    for name in names:
        text = environment.get(name, "")
        if text:
            try:
                return parse_proxy_url(text if "://" in text else f"http://{text}")
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    return None


def _matches(entry: str, url: ParsedUrl) -> bool:
    """Return True if an entry of `no_proxy` names a host, a domain above it, or its network."""
    if entry == "*":
        return True
    if is_address(url.host):
        with suppress(ValueError):
            return ipaddress.ip_address(url.host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
        return False
    name, colon, port = entry.partition(":")
    try:
        domain = parse_host(name.removeprefix("*").removeprefix("."))
    except InvalidUrlError:
        return False
    return (url.host == domain or url.host.endswith(f".{domain}")) and (not colon or port == str(url.port))
