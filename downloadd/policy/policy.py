"""Policy: the rules for URLs as a whole, and the only maker of `AllowedUrl`.

Pure: no I/O and no clock.
"""

from typing import Self

import msgspec

from downloadd.config import DownloadsConfig
from downloadd.policy.addresses import AddressRules, check_special_name
from downloadd.policy.domains import DomainRules
from downloadd.policy.ports import PortRules
from downloadd.policy.url import AllowedUrl, ParsedUrl, is_address, parse_url


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for URLs; the default allows every host of the public internet."""

    domains: DomainRules = DomainRules()
    addresses: AddressRules = AddressRules()
    ports: PortRules = PortRules()

    @classmethod
    def from_config(cls, config: DownloadsConfig) -> Self:
        """Return the policy of `allowed_domains`, `allowed_networks` and `allowed_ports`.

        Raises:
            ValueError: a domain, network or port is malformed; says which and why.
        """
        return cls(
            domains=DomainRules(config.allowed_domains),
            addresses=AddressRules(config.allowed_networks),
            ports=PortRules(config.allowed_ports),
        )

    def check_url(self, text: str) -> AllowedUrl:
        """Parse a URL, and return it if it is allowed as far as can be decided without DNS.

        The connector checks the addresses that a name resolves to, for each connection.

        Raises:
            InvalidUrlError: malformed, or neither http nor https.
            DomainBlockedError: the host, the address in its place, or the port is not allowed.
        """
        return self.allow(parse_url(text))

    def allow(self, url: ParsedUrl) -> AllowedUrl:
        """Return a parsed URL as an allowed one.

        Raises:
            DomainBlockedError: the host, the address in its place, or the port is not allowed.
        """
        self.domains.check_host(url.host)
        check_special_name(url.host, self.addresses)
        if is_address(url.host):
            self.addresses.check_address(url.host)
        self.ports.check_port(url.port)
        return AllowedUrl(
            text=url.text,
            scheme=url.scheme,
            host=url.host,
            port=url.port,
            request_target=url.request_target,
            userinfo=url.userinfo,
        )
