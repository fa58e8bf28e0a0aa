"""Address rules: the addresses that a connection may be opened to.

These are globally routable unicast addresses and those in `allowed_networks`. The table follows the IANA IPv4 and IPv6
Special-Purpose Address Registries (RFC 6890 and its updates); that of Python's `ipaddress` changes between releases. An
IPv6 address that embeds an IPv4 address for a translator or a tunnel is allowed only if both are. It counts as globally
routable only if the embedded address does (RFC 3056, section 2; RFC 6052, section 3.1), so an IPv4 network in
`allowed_networks` does not allow its IPv6 forms. An IPv4-mapped address is the IPv4 address itself: the kernel connects
to that one.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from downloadd.errors import DomainBlockedError

Address = IPv4Address | IPv6Address

_SPECIAL_IPV4: Final = (
    (IPv4Network("0.0.0.0/8"), "this network"),
    (IPv4Network("10.0.0.0/8"), "private use"),
    (IPv4Network("100.64.0.0/10"), "shared address space"),
    (IPv4Network("127.0.0.0/8"), "loopback"),
    # In the public range, but in Azure it is the host of the virtual machine: it serves certificates and settings.
    (IPv4Network("168.63.129.16/32"), "cloud host"),
    (IPv4Network("169.254.0.0/16"), "link-local"),
    (IPv4Network("172.16.0.0/12"), "private use"),
    (IPv4Network("192.0.0.0/24"), "protocol assignments"),
    (IPv4Network("192.0.2.0/24"), "documentation"),
    (IPv4Network("192.88.99.0/24"), "6to4 relay anycast"),
    (IPv4Network("192.168.0.0/16"), "private use"),
    (IPv4Network("198.18.0.0/15"), "benchmarking"),
    (IPv4Network("198.51.100.0/24"), "documentation"),
    (IPv4Network("203.0.113.0/24"), "documentation"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv4Network("255.255.255.255/32"), "broadcast"),
    (IPv4Network("240.0.0.0/4"), "reserved"),
)

_SPECIAL_IPV6: Final = (
    (IPv6Network("::/128"), "unspecified"),
    (IPv6Network("::1/128"), "loopback"),
    (IPv6Network("64:ff9b:1::/48"), "local translation"),
    (IPv6Network("100::/64"), "discard-only"),
    (IPv6Network("100:0:0:1::/64"), "dummy prefix"),
    (IPv6Network("2001::/23"), "protocol assignments"),
    (IPv6Network("2001:db8::/32"), "documentation"),
    (IPv6Network("3fff::/20"), "documentation"),
    (IPv6Network("5f00::/16"), "segment routing"),
    (IPv6Network("fc00::/7"), "unique-local"),
    (IPv6Network("fe80::/10"), "link-local"),
    (IPv6Network("fec0::/10"), "site-local"),
    (IPv6Network("ff00::/8"), "multicast"),
)

REMEDY: Final = "downloads.allowed_networks allows further networks"
"""End of a message about a refused address."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Well-known prefix of IPv4/IPv6 translation (RFC 6052, section 2.1)."""
_GLOBAL_UNICAST: Final = (IPv6Network("2000::/3"), _NAT64)

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
"""IPv4-mapped addresses (RFC 4291, section 2.5.5.2)."""
_LAST_32_BITS: Final = (
    IPv6Network("::/96"),  # IPv4-compatible, RFC 4291, section 2.5.5.1
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated, RFC 2765, section 2.1
    _NAT64,
)
_NOT_COMPATIBLE: Final = (IPv6Address("::"), IPv6Address("::1"))
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
_6TO4: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
"""Upper halves of the interface identifiers of RFC 5214, section 6.1."""


class AddressRules:
    """Rules for addresses: globally routable unicast, or inside one of `allowed_networks`.

    A network of IPv4-mapped addresses stands for the IPv4 network. A wider IPv6 network, such as `::/0`, contains no
    IPv4 address.
    """

    __slots__ = ("_cached_reason", "_networks")

    def __init__(self, allowed_networks: Iterable[str] = ()) -> None:
        """Parse networks such as `10.0.0.0/8`, `fd00::/8` or a single address.

        Raises:
            ValueError: one of them is not a network; says which and why.
        """
        self._networks = tuple(_parse_network(text) for text in allowed_networks)
        self._cached_reason = lru_cache(maxsize=4096)(self._find_reason)

    def forbidden_reason(self, address: str | Address) -> str | None:
        """Return the kind of a forbidden address, such as "loopback"; None if a connection may be opened to it.

        A `str` that is not an address, or one with a zone (RFC 4007, section 11), is forbidden too. Recent answers are
        cached: each download checks an address at least twice.
        """
        return self._cached_reason(address)

    def _find_reason(self, address: str | Address) -> str | None:
        if isinstance(address, str):
            try:
                address = ip_address(address)
            except ValueError:
                return "not an IP address"
        if isinstance(address, IPv6Address):
            if address.scope_id is not None:
                return "with a zone"
            address = address.ipv4_mapped or address
        for inner in self._embedded_addresses(address):
            reason = self._own_reason(inner)
            if reason is not None:
                return f"{reason}, in IPv6 form"
        return self._own_reason(address)

    def _own_reason(self, address: Address) -> str | None:
        """Return the reason for the address itself, whatever is allowed of those that it embeds."""
        return None if any(address in network for network in self._networks) else _special_purpose(address)

    def _embedded_addresses(self, address: Address) -> tuple[IPv4Address, ...]:
        # A translator's prefix of 96 bits in `allowed_networks` says where its IPv4 address stands.
        is_read_at_end = any(network.prefixlen >= 96 and address in network for network in self._networks)
        return _embedded_addresses(address, is_read_at_end=is_read_at_end)

    def check_address(self, address: str | Address) -> None:
        """Raise an error unless a connection may be opened to an address.

        Raises:
            DomainBlockedError: it is forbidden; says its kind.
        """
        reason = self.forbidden_reason(address)
        if reason is not None:
            raise DomainBlockedError(f"the address {address} is not allowed ({reason}); {REMEDY}")


def check_special_name(host: str, rules: AddressRules) -> None:
    """Raise an error for a name that stands for a forbidden address without DNS.

    `localhost` and its subdomains are loopback (RFC 6761, section 6.3), whatever a resolver answers.

    Raises:
        DomainBlockedError: no loopback address is allowed.
    """
    if host != "localhost" and not host.endswith(".localhost"):
        return
    if rules.forbidden_reason("127.0.0.1") and rules.forbidden_reason("::1"):
        raise DomainBlockedError(f"the host {host} is not allowed (loopback); {REMEDY}")


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    if "%" in text:
        raise ValueError(f"{text!r} is not a network: it has a zone")
    try:
        network = ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            nearest = ip_network(text, strict=False)
            raise ValueError(f"{text!r} is not a network: did you mean '{nearest}'?") from None
        raise ValueError(f"{text!r} is not a network: write it like '10.0.0.0/8' or 'fd00::/8'") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED.prefixlen))
    return network


def _special_purpose(address: Address) -> str | None:
    """Return the kind of an address that is not globally routable unicast; None if it is."""
    if isinstance(address, IPv4Address):
        return next((name for network, name in _SPECIAL_IPV4 if address in network), None)
    for network, name in _SPECIAL_IPV6:
        if address in network:
            return name
    if not any(address in network for network in _GLOBAL_UNICAST):
        return "not globally routable"
    reasons = (_special_purpose(inner) for inner in _embedded_addresses(address))
    return next((f"{reason}, in IPv6 form" for reason in reasons if reason is not None), None)


def _embedded_addresses(address: Address, *, is_read_at_end: bool = False) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that may be reached by way of `address`.

    With `is_read_at_end`, a translator of the network itself reads the last 32 bits.
    """
    if isinstance(address, IPv4Address):
        return ()
    value = int(address)
    in_prefix: tuple[IPv4Address, ...] = ()
    if address in _LOCAL_NAT64:
        in_prefix = (_ipv4(value),) if is_read_at_end else _local_nat64_candidates(value)
    elif address not in _NOT_COMPATIBLE and any(address in network for network in _LAST_32_BITS):
        in_prefix = (_ipv4(value),)
    elif address in _6TO4:
        in_prefix = (_ipv4(value >> 80),)
    elif address in _TEREDO:
        # RFC 4380, section 4: the server, and the client with its bits inverted.
        in_prefix = (_ipv4(value >> 64), _ipv4(~value))
    # An interface identifier of ISATAP may follow any prefix, even that of 6to4.
    return (*in_prefix, _ipv4(value)) if value >> 32 & 0xFFFFFFFF in _ISATAP else in_prefix


def _local_nat64_candidates(value: int) -> tuple[IPv4Address, ...]:
    # RFC 8215 leaves the prefix length to the network, and RFC 6052, section 2.2 puts the IPv4 address elsewhere for
    # each length (bits 64 to 71 left out). All readings must be allowed; one in 0.0.0.0/8 is not a destination.
    without_u = (value >> 64) << 56 | (value & (1 << 56) - 1)
    candidates = (without_u >> 40, without_u >> 32, without_u >> 24, value)
    inner = tuple(_ipv4(reading) for reading in candidates if reading & 0xFF000000)
    return inner or (_ipv4(0),)


def _ipv4(value: int) -> IPv4Address:
    return IPv4Address(value & 0xFFFFFFFF)
