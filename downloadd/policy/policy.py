"""The policy as a whole: one question, one answer.

Pure: no I/O and no clock.
"""

from typing import Self

import msgspec

from downloadd.config import DownloadsConfig
from downloadd.policy.addresses import AddressRules, judge_special_name
from downloadd.policy.domains import DomainRules
from downloadd.policy.url import AllowedUrl, is_address, parse_url


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What may be fetched. The default is every host of the public internet."""

    domains: DomainRules = DomainRules()
    addresses: AddressRules = AddressRules()

    @classmethod
    def from_config(cls, config: DownloadsConfig) -> Self:
        """The policy of `allowed_domains` and `allowed_networks`.

        Raises:
            ValueError: a domain or network is none; says which and why.
        """
        return cls(domains=DomainRules(config.allowed_domains), addresses=AddressRules(config.allowed_networks))

    def judge(self, text: str) -> AllowedUrl:
        """The URL, read and allowed as far as it can be told without asking the DNS.

        The addresses that a name resolves to are judged by the connector, for each connection.

        Raises:
            InvalidUrlError: malformed, or neither http nor https.
            DomainBlockedError: the host, or the address in its place, is not allowed.
        """
        url = parse_url(text)
        self.judge_host(url.host)
        return url

    def judge_host(self, host: str) -> None:
        """Passes a host, as `parse_host` spells it, that may be asked.

        Raises:
            DomainBlockedError: it may not.
        """
        self.domains.judge_host(host)
        judge_special_name(host, self.addresses)
        if is_address(host):
            self.addresses.judge_address(host)
