"""Settings of the requests to origins, with the files that the configuration names."""

from collections.abc import Mapping
from typing import Self

import msgspec

from downloadd.config import Config, CredentialConfig, HostConfig
from downloadd.origin.netrc_logins import load_credentials
from downloadd.policy.origin_proxies import OriginProxies
from downloadd.policy.policy import Policy
from downloadd.policy.tls_contexts import TlsContexts


class OriginSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that a reload replaces as a whole."""

    policy: Policy
    tls: TlsContexts
    credentials: tuple[CredentialConfig, ...]
    """Those of the configuration and of the netrc file."""
    hosts: Mapping[str, HostConfig]
    """Settings of connections by host, in the spelling of `parse_host`."""

    proxies: OriginProxies

    @classmethod
    def load(cls, config: Config, environment: Mapping[str, str]) -> Self:
        """Return the settings of a configuration. Reads files: blocks.

        Args:
            config: the configuration.
            environment: the variables of the process, which may name proxies.

        Raises:
            StartupError: a file or a variable cannot be used; says which and why.
        """
        return cls(
            policy=Policy.from_config(config.downloads),
            tls=TlsContexts.from_config(config),
            credentials=load_credentials(config),
            hosts={each.host: each for each in config.hosts},
            proxies=OriginProxies.from_config(config, environment),
        )
