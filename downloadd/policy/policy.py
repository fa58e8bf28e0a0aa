"""The policy as a whole: one question, one answer.

Pure: no I/O and no clock.
"""

from typing import Self

import msgspec

from downloadd.config import DownloadsConfig
from downloadd.policy.addresses import AddressRules, check_special_name
from downloadd.policy.domains import DomainRules
from downloadd.policy.ports import PortRules
from downloadd.policy.url import AllowedUrl, is_address, parse_url


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What may be fetched. The default is every host of the public internet."""

    domains: DomainRules = DomainRules()
    addresses: AddressRules = AddressRules()
    ports: PortRules = PortRules()

    @classmethod
    def from_config(cls, config: DownloadsConfig) -> Self:
        """The policy of `allowed_domains`, `allowed_networks` and `allowed_ports`.

        Raises:
            ValueError: a domain, network or port is none; says which and why.
        """
        return cls(
            domains=DomainRules(config.allowed_domains),
            addresses=AddressRules(config.allowed_networks),
            ports=PortRules(config.allowed_ports),
        )

    def check_url(self, text: str) -> AllowedUrl:
        """The URL, read and allowed as far as it can be told without asking the DNS.

        The addresses that a name resolves to are judged by the connector, for each connection.

        Raises:
            InvalidUrlError: malformed, or neither http nor https.
            DomainBlockedError: the host, the address in its place, or the port is not allowed.
        """
        url = parse_url(text)
        self.check_origin(url)
        return url

    def check_origin(self, url: AllowedUrl) -> None:
        """Passes a URL whose host and port may be asked.

        Raises:
            DomainBlockedError: they may not.
        """
        self.domains.check_host(url.host)
        check_special_name(url.host, self.addresses)
        if is_address(url.host):
            self.addresses.check_address(url.host)
        self.ports.check_port(url.port)
