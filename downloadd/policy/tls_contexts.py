"""TLS contexts by host: each host is verified against the authorities that the administrator trusts for it."""

from collections.abc import Mapping
from ssl import SSLContext
from typing import Self

from downloadd.config import Config
from downloadd.errors import StartupError
from downloadd.tls import make_client_context


class TlsContexts:
    """Contexts of the connections to origins and webhooks: one for all hosts, and one for each set of authorities.

    A connection belongs to its context, so the connection pool does not reuse it under other authorities.
    """

    def __init__(self, ca_file: str = "", ca_file_by_host: Mapping[str, str] | None = None) -> None:
        """Read the authorities: those of the system, of `ca_file` for all hosts, and of one further file per host.

        Hosts have the spelling of `parse_host`. Blocks.

        Raises:
            StartupError: a file cannot be used; says which and why.
        """
        by_host = {host: _distinct(ca_file, file) for host, file in (ca_file_by_host or {}).items()}
        common = _distinct(ca_file)
        try:
            contexts = {files: make_client_context(files) for files in {common, *by_host.values()}}
        except ValueError as error:
            raise StartupError(f"ca_file: {error}") from error
        self._default = contexts[common]
        self._by_host = {host: contexts[files] for host, files in by_host.items()}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Return the contexts of `downloads.ca_file` and `[[hosts]]`. Blocks.

        Raises:
            StartupError: a file cannot be used; says which and why.
        """
        return cls(config.downloads.ca_file, {each.host: each.ca_file for each in config.hosts})

    def context_for(self, host: str) -> SSLContext:
        """Return the context for a host, in the spelling of `parse_host`."""
        return self._by_host.get(host, self._default)


def _distinct(*files: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(file for file in files if file))
