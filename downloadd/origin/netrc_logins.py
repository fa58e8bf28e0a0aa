"""Logins of a netrc file (netrc(5)), as credentials of hosts beside the configured ones."""

import netrc
import os
import stat
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from downloadd.config import Config, CredentialConfig
from downloadd.errors import InvalidUrlError, StartupError
from downloadd.policy.url import format_host, parse_host
from downloadd.request_fields import Credentials, find_user_problems

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_DEFAULT_ENTRY: Final = "default"


def load_credentials(config: Config) -> tuple[CredentialConfig, ...]:
    """Return `[[credentials]]`, with the logins of `downloads.netrc` for hosts without others. Blocks.

    Raises:
        StartupError: the file cannot be used; says why.
    """
    file = config.downloads.netrc
    if not file:
        return config.credentials
    try:
        return add_logins(config.credentials, read_netrc(file))
    except ValueError as error:
        raise StartupError(f"downloads.netrc: {error}") from error


def add_logins(
    credentials: Iterable[CredentialConfig], logins: Mapping[str, Credentials]
) -> tuple[CredentialConfig, ...]:
    """Return the credentials with a user for each host of `logins` that has neither user nor Authorization."""
    by_host = {each.host: each for each in credentials}
    for host, login in logins.items():
        configured = by_host.get(host, CredentialConfig(host=host))
        if not configured.user and not configured.request_fields.has_header("authorization"):
            by_host[host] = replace(configured, user=login.user, password=login.password)
    return tuple(by_host.values())


def read_netrc(file: str) -> dict[str, Credentials]:
    """Return the logins of a netrc file by host, in the spelling of `parse_host`. Blocks.

    Accounts and macros are ignored.

    Raises:
        ValueError: it cannot be read, others may read it, or it is malformed; the message holds nothing of its content
            but names of hosts.
    """
    try:
        mode = os.stat(file).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"{file}: not a file")
        if mode & _OTHERS:
            raise ValueError(f"{file}: it holds passwords, and others than its owner may read it; use `chmod 600`")
        entries = netrc.netrc(file).hosts
    except netrc.NetrcParseError as error:
        # Its message quotes the unexpected word, which may be a password.
        raise ValueError(f"{file}: line {error.lineno} is not in the format of netrc") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: it is not UTF-8") from None
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror or error}") from error
    return {host: login for host, login in (_check_entry(file, *entry) for entry in entries.items()) if login.user}


def _check_entry(file: str, machine: str, entry: tuple[str, str | None, str | None]) -> tuple[str, Credentials]:
    if machine == _DEFAULT_ENTRY:
        raise ValueError(f"{file}: its default entry would send a password to every host; name the hosts instead")
    try:
        host = parse_host(format_host(machine))
    except InvalidUrlError as error:
        raise ValueError(f"{file}: machine {machine!r} is not a host: {error.detail}") from None
    user, _, password = entry
    for name, problem in find_user_problems(user or "", password or ""):
        raise ValueError(f"{file}: machine {machine}: its {'login' if name == 'user' else name} {problem}")
    return host, Credentials(user=user or "", password=password or "")
