"""TLS contexts by host: the authorities that the administrator trusts for it, and the certificate that it gets."""

from collections.abc import Mapping
from ssl import SSLContext, TLSVersion
from typing import Final, Self

import msgspec
from msgspec import UNSET

from downloadd.config import Config, HostConfig
from downloadd.errors import StartupError
from downloadd.tls import load_client_certificate, make_client_context

_VERSIONS: Final = {"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}


class HostTls(msgspec.Struct, frozen=True, kw_only=True):
    """TLS settings of one host."""

    ca_file: str = ""
    client_certificate: str = ""
    client_key: str = ""
    """The private key of the certificate; empty if the file of the certificate holds it."""
    min_version: TLSVersion = TLSVersion.TLSv1_2

    @classmethod
    def from_config(cls, config: HostConfig) -> Self:
        """Return the settings of a table `[[hosts]]`."""
        return cls(
            ca_file="" if config.ca_file is UNSET else config.ca_file,
            client_certificate="" if config.client_certificate is UNSET else config.client_certificate,
            client_key="" if config.client_key is UNSET else config.client_key,
            min_version=_VERSIONS[config.min_tls_version],
        )


class TlsContexts:
    """Contexts of the connections to origins and webhooks: one for all hosts, and one for each set of settings.

    A connection belongs to its context, so the connection pool does not reuse it under other settings.
    """

    def __init__(self, ca_file: str = "", by_host: Mapping[str, HostTls] | None = None) -> None:
        """Read the authorities: those of the system, of `ca_file` for all hosts, and what further hosts need.

        Hosts have the spelling of `parse_host`. Blocks.

        Raises:
            StartupError: a file cannot be used; says which and why.
        """
        settings = {host: _without_common(given, ca_file) for host, given in (by_host or {}).items()}
        contexts = {each: _make_context(ca_file, each) for each in {HostTls(), *settings.values()}}
        self._default = contexts[HostTls()]
        self._by_host = {host: contexts[each] for host, each in settings.items()}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return the contexts of `downloads.ca_file` and `[[hosts]]`. Blocks.

        Raises:
            StartupError: a file cannot be used; says which and why.
        """
        return cls(config.downloads.ca_file, {each.host: HostTls.from_config(each) for each in config.hosts})

    def context_for(self, host: str) -> SSLContext:
        """Return the context for a host, in the spelling of `parse_host`."""
        return self._by_host.get(host, self._default)


def _without_common(settings: HostTls, ca_file: str) -> HostTls:
    """Return the settings without authorities that are trusted for all hosts, so that equal contexts are one."""
    return msgspec.structs.replace(settings, ca_file="") if settings.ca_file == ca_file else settings


def _make_context(common: str, settings: HostTls) -> SSLContext:
    try:
        context = make_client_context(file for file in (common, settings.ca_file) if file)
    except ValueError as error:
        raise StartupError(f"ca_file: {error}") from error
    context.minimum_version = settings.min_version
    if settings.client_certificate:
        try:
            load_client_certificate(context, settings.client_certificate, settings.client_key)
        except ValueError as error:
            raise StartupError(f"client_certificate: {error}") from error
    return context
