"""Selection of the proxy for a request to an origin.

A download may name a proxy; otherwise the first one of the configuration that is for the URL is used, and then that of
the environment, if the configuration allows it. Pure: no I/O; the variables come from the caller.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, Self

import msgspec

from downloadd.config import Config, ProxyConfig
from downloadd.errors import NetworkError, StartupError
from downloadd.policy.domains import DomainRules
from downloadd.policy.environment_proxies import EnvironmentProxies
from downloadd.policy.proxy_url import ProxyUrl, parse_proxy_url
from downloadd.policy.url import ParsedUrl, is_address
from downloadd.request_fields import Credentials

ALL_HOSTS: Final = "*"
"""Entry of `hosts` that stands for every host."""


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """The proxy of a request."""

    name: str
    """In the configuration; empty for one of the environment."""
    url: ProxyUrl
    is_resolver: bool
    """True if the proxy alone resolves names of origins, so that the rules for addresses do not apply to them."""


class ProxyHosts:
    """Hosts that a proxy is for, or is not for."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Parse the patterns: those of `DomainRules`, networks, and `*` for all hosts.

        Raises:
            ValueError: one of them is malformed; says which and why.
        """
        given = set(patterns)
        self._includes_all = ALL_HOSTS in given
        networks = {pattern for pattern in given if _is_network(pattern)}
        self._networks = tuple([_parse_network(pattern) for pattern in sorted(networks)])
        domains = given - networks - {ALL_HOSTS}
        self._rules = DomainRules(domains) if domains else None

    def includes(self, host: str) -> bool:
        """Return True if a host, in the spelling of `parse_host`, is among them; a network includes addresses only."""
        if self._includes_all or (self._rules is not None and self._rules.allows_host(host)):
            return True
        if not self._networks or not is_address(host):
            return False
        address = ip_address(host)
        return any(address in network for network in self._networks)


class _ProxyScope:
    """URLs that a configured proxy is for."""

    def __init__(self, config: ProxyConfig) -> None:
        self._schemes = frozenset(config.schemes)
        self._hosts = ProxyHosts(config.hosts)
        self._excluded_hosts = ProxyHosts(config.excluded_hosts)

    def includes(self, url: ParsedUrl) -> bool:
        return (
            url.scheme in self._schemes
            and self._hosts.includes(url.host)
            and not self._excluded_hosts.includes(url.host)
        )


class OriginProxies:
    """The configured proxies, and those of the environment."""

    def __init__(
        self,
        proxies: Sequence[ProxyConfig] = (),
        *,
        environment: EnvironmentProxies | None = None,
        resolves_at_proxy: bool = False,
    ) -> None:
        """Take the proxies in the order of the configuration.

        Args:
            proxies: their settings.
            environment: the proxies of the environment; None if they are not used.
            resolves_at_proxy: True for `downloads.proxy_dns = "proxy"`.

        Raises:
            ValueError: a URL or a host is malformed; says why.
        """
        self._resolves_at_proxy = resolves_at_proxy
        self._environment = environment
        self._proxies = {each.name: self._make(each.name, _with_user(each)) for each in proxies}
        self._scopes = [(_ProxyScope(each), self._proxies[each.name]) for each in proxies]

    @classmethod
    def from_config(cls, config: Config, environment: Mapping[str, str]) -> Self:
        """Return the proxies of a configuration; `environment` are the variables of the process.

        Raises:
            StartupError: a variable is used and malformed; says which and why.
        """
        downloads = config.downloads
        try:
            from_environment = EnvironmentProxies(environment) if downloads.proxy_from_environment else None
        except ValueError as error:
            raise StartupError(f"downloads.proxy_from_environment: {error}") from error
        return cls(config.proxies, environment=from_environment, resolves_at_proxy=downloads.proxy_dns == "proxy")

    @property
    def names(self) -> frozenset[str]:
        """Names that a download may state."""
        return frozenset(self._proxies)

    def select_proxy(self, url: ParsedUrl, requested_name: str | None) -> Proxy | None:
        """Return the proxy for a request; None for a direct connection.

        Args:
            url: URL of the request; after a redirect, its target.
            requested_name: the proxy that the download names; it is used for all hosts.

        Raises:
            NetworkError: no proxy of that name is configured any more.
        """
        if requested_name is not None:
            if requested_name not in self._proxies:
                raise NetworkError("the proxy that the download names is not configured any more", permanent=True)
            return self._proxies[requested_name]
        for scope, proxy in self._scopes:
            if scope.includes(url):
                return proxy
        found = None if self._environment is None else self._environment.select(url)
        return None if found is None else self._make("", found)

    def _make(self, name: str, url: ProxyUrl) -> Proxy:
        return Proxy(name=name, url=url, is_resolver=self._resolves_at_proxy or url.scheme == "socks5h")


def _with_user(config: ProxyConfig) -> ProxyUrl:
    url = parse_proxy_url(config.url)
    user = Credentials(user=config.user, password=config.password) if config.user else url.user
    return msgspec.structs.replace(url, user=user)


def _is_network(pattern: str) -> bool:
    address, slash, _ = pattern.partition("/")
    try:
        return bool(slash) and ip_address(address) is not None
    except ValueError:
        return False


def _parse_network(pattern: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(pattern)
    except ValueError as error:
        raise ValueError(f"{pattern!r} is not a network such as 10.0.0.0/8: {error}") from None
