"""Clients behind proxies: the parts of `X-Forwarded-*` and `Forwarded` (RFC 7239) that can be trusted.

Any client can send these fields. Only entries that a trusted proxy added count: the right-most ones, up to and
including the first address that is not a trusted proxy. A malformed entry ends the search, so that at worst the nearest
proxy is taken for the client. No content of a request raises an error here.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

import msgspec

UNIX_SOCKET: Final = "unix"
"""Name in `trusted_proxies` for all connections through the Unix socket."""

_WITH_PORT: Final = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?|([0-9.]{7,15}):[0-9]{1,5}")
_IPV4_MAPPED: Final = "::ffff:"
"""Prefix of an IPv4 address as an IPv6 socket spells it (RFC 4291, section 2.5.5.2)."""
_MAX_PROXIES: Final = 64
"""Proxies of one request that are examined; no honest request has more."""
_SCHEMES: Final = frozenset({"http", "https"})


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Client of a request, and the URL parts that it used."""

    address: str
    """IP address in the spelling of `ipaddress`; "" for the Unix socket."""
    scheme: str = ""
    """http or https, from a trusted proxy; "" if none says it."""
    host: str = ""
    """Host field that a trusted proxy received; "" if none says it."""


class TrustedProxies:
    """Proxies whose fields are trusted."""

    def __init__(self, proxies: Iterable[str]) -> None:
        """Parse `proxies`: networks, addresses, or `unix`.

        Raises:
            ValueError: one of them is malformed, or contains all addresses.
        """
        proxies = tuple(proxies)
        self._unix = UNIX_SOCKET in proxies
        networks = [ip_network(text) for text in proxies if text != UNIX_SOCKET]
        for network in networks:
            if network.prefixlen == 0:
                raise ValueError(f"{network} would let every client forge its address")
        self._networks = tuple(networks)

    def resolve_client(
        self, peer: str, x_forwarded_for: Sequence[str], scheme: str, host: str, forwarded: Sequence[Mapping[str, str]]
    ) -> Client:
        """Return the client of a request that `peer` ("" on the Unix socket) sent.

        `x_forwarded_for` are the values of `X-Forwarded-For`, `scheme` and `host` those of `X-Forwarded-Proto` and
        `X-Forwarded-Host`, `forwarded` the elements of `Forwarded`. A proxy sets one kind, and may pass on the other
        from the client: if the two contradict each other, both are ignored.
        """
        if peer.startswith(_IPV4_MAPPED) and "." in peer:
            # The peer of a socket for IPv6 and IPv4.
            peer = peer.removeprefix(_IPV4_MAPPED)
        if not self._is_trusted(peer):
            return Client(address=peer)
        extension = [entry.strip() for value in x_forwarded_for for entry in value.split(",")]
        standard = [element.get("for", "") for element in forwarded]
        last = forwarded[-1] if forwarded else {}
        if extension and standard:
            address = self._find_client_address(peer, extension)
            if address != self._find_client_address(peer, standard):
                return Client(address=peer)
        else:
            address = self._find_client_address(peer, extension or standard)
        schemes = {_last_entry(scheme).lower(), last.get("proto", "").lower()} - {""}
        hosts = {_last_entry(host), last.get("host", "")} - {""}
        return Client(
            address=address,
            scheme=schemes.pop() if len(schemes) == 1 and schemes <= _SCHEMES else "",
            host=hosts.pop() if len(hosts) == 1 else "",
        )

    def _find_client_address(self, peer: str, entries: Sequence[str]) -> str:
        """Return the right-most address that is not a trusted proxy; if there is none, the last well-formed one."""
        nearest = peer
        for entry in reversed(entries[-_MAX_PROXIES:]):
            address = _parse_address(entry)
            if address is None:
                break
            nearest = str(address)
            if not self._is_trusted(nearest):
                break
        return nearest

    def _is_trusted(self, peer: str) -> bool:
        if not peer:
            return self._unix
        if not self._networks:
            return False
        address = _parse_address(peer)
        return address is not None and any(address in network for network in self._networks)


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address of an entry, with or without a port; None if it has none."""
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _last_entry(value: str) -> str:
    return value.rpartition(",")[2].strip()
