"""Addresses to listen on, as `server.listen` and the older settings spell them.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import Final

import msgspec

from downloadd.config.settings import ServerConfig

UNIX_PREFIX: Final = "unix:"
MAX_PORT: Final = 65_535

_INVALID_IN_HOST: Final = re.compile(r"[\x00-\x20\x7f/@?#]")
_BRACKETS_AND_COLON: Final = frozenset("[]:")
_ANY_IPV4: Final = "0.0.0.0"  # noqa: S104 - compared, not bound
_ANY_IPV6: Final = "::"
_EXPECTED: Final = 'expected an address such as "127.0.0.1:8080", "[::]:8080" or "unix:/run/downloadd/api.sock"'


class TcpAddress(msgspec.Struct, frozen=True):
    """Address or name, and port, of one entry or of `host` and `port`."""

    host: str
    port: int


class UnixAddress(msgspec.Struct, frozen=True):
    """Path of a Unix socket."""

    path: str


def listen_addresses(config: ServerConfig) -> tuple[TcpAddress | UnixAddress, ...]:
    """Return the addresses of `listen`, or else that of `host` and `port`; and that of `unix_socket`.

    Raises:
        ValueError: an entry of `listen` is malformed.
    """
    given = [parse_listen_address(text, config.port) for text in config.listen]
    unix = [UnixAddress(config.unix_socket)] if config.unix_socket else []
    return (*(given or [TcpAddress(config.host, config.port)]), *unix)


def aria2_addresses(server: ServerConfig, port: int) -> tuple[TcpAddress, ...]:
    """Return the addresses of the further port for the RPC interface of aria2: `port` at each host; none for port 0.

    Raises:
        ValueError: an entry of `server.listen` is malformed.
    """
    hosts = dict.fromkeys(each.host for each in listen_addresses(server) if isinstance(each, TcpAddress))
    return tuple([TcpAddress(host, port) for host in _without_included(hosts)]) if port else ()


def parse_listen_address(text: str, default_port: int) -> TcpAddress | UnixAddress:
    """Return the address that an entry of `listen` spells.

    A Unix socket is an absolute path, or a path behind `unix:`. An IPv6 address with a port is in brackets.

    Raises:
        ValueError: it is malformed.
    """
    if text.startswith((UNIX_PREFIX, "/")):
        path = text.removeprefix(UNIX_PREFIX)
        if not path:
            raise ValueError(_EXPECTED)
        return UnixAddress(path)
    if _is_ipv6(text):
        return TcpAddress(text, default_port)
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default_port)
    if host.startswith("[") and host.endswith("]") and _is_ipv6(host[1:-1]):
        host = host[1:-1]
    elif not _BRACKETS_AND_COLON.isdisjoint(host):
        raise ValueError(_EXPECTED)
    if not host or not (port.isascii() and port.isdigit()) or int(port[:6]) > MAX_PORT:
        raise ValueError(_EXPECTED)
    return TcpAddress(parse_listen_host(host), int(port))


def parse_listen_host(text: str) -> str:
    """Return the text if it can be a host name or an address.

    Raises:
        ValueError: it cannot.
    """
    if _INVALID_IN_HOST.search(text):
        raise ValueError("expected a host name or an IP address alone")
    return text


def _without_included(hosts: Iterable[str]) -> list[str]:
    """Return the hosts without those that a wildcard among them includes: one port cannot be bound for both."""
    hosts = list(hosts)
    if _ANY_IPV6 in hosts:
        return [host for host in hosts if host in {_ANY_IPV6, _ANY_IPV4}]
    if _ANY_IPV4 in hosts:
        return [host for host in hosts if host == _ANY_IPV4 or _is_ipv6(host)]
    return hosts


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
