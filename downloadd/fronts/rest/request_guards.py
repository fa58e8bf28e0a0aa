"""Who is turned away at the gate, whatever token is shown: pages of other sites, names that are not ours, guessers.

A page in somebody's browser can send requests to every address that the browser can reach. It is told apart by
`Sec-Fetch-Site` (W3C Fetch Metadata) and `Origin` (RFC 6454), which no page can forge; and one whose name was made to
resolve to us, so that the browser takes us for its own site (DNS rebinding), by `Host`.

Pure: no I/O and no clock.
"""

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import Final

import msgspec
from multidict import CIMultiDictProxy

from downloadd.errors import CrossSiteError, HostNotAllowedError, InvalidUrlError, TooManyFailedLoginsError
from downloadd.policy.domains import DomainRules
from downloadd.policy.proxies import Client
from downloadd.policy.url import DEFAULT_PORTS, is_address, parse_host

MAX_TRACKED_ADDRESSES: Final = 10_000
"""Addresses whose logins are remembered."""

REPEATED_FAILURE_WEIGHT: Final = 0.1
"""What the same wrong credentials count when they come again: a program with an old token is no guesser."""
MAX_TRACKED_CREDENTIALS: Final = 256
"""Wrong credentials of one address that are told apart."""

_ALLOWED_FETCH_SITES: Final = frozenset({"same-origin", "none"})
"""What `Sec-Fetch-Site` says of our own page, and of what a person typed."""


class AllowedHosts:
    """Names that clients may call us by: addresses, names without a dot, `*.localhost`, and those that are given."""

    def __init__(self, own: Iterable[str], allowed: Iterable[str]) -> None:
        """`own` are names of this machine, `allowed` patterns as in `DomainRules`.

        Raises:
            ValueError: one of the patterns is none.
        """
        self._rules = DomainRules(("*.localhost", *own, *allowed))

    def require(self, field: str) -> None:
        """Passes the value of a `Host` field, or the authority of a target.

        Raises:
            HostNotAllowedError: it names somebody else, or is no host.
        """
        name, _ = _split_port(field)
        try:
            host = parse_host(name)
        except InvalidUrlError:
            raise HostNotAllowedError("it is no host name") from None
        # Nobody else can own an address, nor, out there, a name without a dot: to make a browser mistake us for
        # another site takes a name of the public DNS.
        if "." in host and not is_address(host) and not self._rules.allows_host(host):
            raise HostNotAllowedError(f"{host} is not a name of this server; add it to server.allowed_hosts if it is")


def reject_cross_site(headers: CIMultiDictProxy[str], client: Client, authority: str | None = None) -> None:
    """Passes requests of programs, of our own page, and of persons who typed the address.

    Behind a trusted proxy, our own page is the one of the host (and scheme) that the proxy was called by; else that of
    the `authority` of the target, where it has one (RFC 9112, section 3.2.2), or of the `Host` field. Of a field that
    is repeated, every value must be ours.

    Raises:
        CrossSiteError: a page of another site sent it.
    """
    if any(site.strip().lower() not in _ALLOWED_FETCH_SITES for site in headers.getall("Sec-Fetch-Site", ())):
        raise CrossSiteError
    for origin in headers.getall("Origin", ()):
        scheme = origin.strip().lower().partition("://")[0]
        host = client.host or (headers.get("Host", "") if authority is None else authority)
        if client.scheme not in {"", scheme} or not _is_same_origin(origin, host):
            raise CrossSiteError


class _FailureRecord(msgspec.Struct):
    count: float = 0.0
    """Those that are not forgiven yet."""
    updated_at: float = 0.0
    """When that was counted, in seconds of a monotonic clock."""
    credential_hashes: set[int] = msgspec.field(default_factory=set)
    """Hashes of what was wrong lately."""


class LoginThrottle:
    """Slows those down who guess: an address with too many failed logins has to wait.

    Users who have been let in from an address before are not kept out by what others do there. IPv6 networks (/64)
    count as one address.
    """

    def __init__(self, per_minute: int) -> None:
        """`per_minute` failures are forgiven each minute, and as many at once; 0 for no limit."""
        self._per_minute = per_minute
        self._failures: OrderedDict[str, _FailureRecord] = OrderedDict()
        self._trusted: OrderedDict[tuple[str, str], None] = OrderedDict()

    def require_not_throttled(self, address: str, user: str | None, *, now: float) -> None:
        """Passes whoever has not failed too often, and `user`, by whom the credentials are, if known there.

        Raises:
            TooManyFailedLoginsError: it has to wait, whether the credentials are right or not.
        """
        record = self._failures.get(_network_key(address)) if self._failures else None
        if record is None or (user is not None and (address, user) in self._trusted):
            return
        over = self._decay(record, now) + 1 - self._per_minute
        if over > 0:
            raise TooManyFailedLoginsError(over * 60 / self._per_minute)

    def record_success(self, address: str, user: str) -> None:
        """Credentials were right."""
        if self._per_minute and (address, user) not in self._trusted:
            self._trusted[address, user] = None
            if len(self._trusted) > MAX_TRACKED_ADDRESSES:
                self._trusted.popitem(last=False)

    def record_failure(self, address: str, credential_hash: int, *, now: float) -> None:
        """Credentials, with the hash `credential_hash`, were wrong."""
        if not self._per_minute:
            return
        network = _network_key(address)
        record = self._failures.setdefault(network, _FailureRecord(updated_at=now))
        self._failures.move_to_end(network)
        self._decay(record, now)
        record.count += REPEATED_FAILURE_WEIGHT if credential_hash in record.credential_hashes else 1
        if len(record.credential_hashes) == MAX_TRACKED_CREDENTIALS:
            record.credential_hashes.clear()
        record.credential_hashes.add(credential_hash)
        if len(self._failures) > MAX_TRACKED_ADDRESSES:
            self._failures.popitem(last=False)

    def _decay(self, record: _FailureRecord, now: float) -> float:
        record.count = max(0.0, record.count - (now - record.updated_at) * self._per_minute / 60)
        record.updated_at = now
        return record.count


class RequestGuards(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is judged before anything is done."""

    hosts: AllowedHosts
    throttle: LoginThrottle


def _is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of `origin` is our own, as it was called by `host`."""
    scheme, mark, authority = origin.strip().lower().partition("://")
    if not mark or scheme not in DEFAULT_PORTS:
        return False
    # A proxy in front of us may speak TLS: the scheme is its own business.
    default = str(DEFAULT_PORTS[scheme])
    name, port = _split_port(authority)
    expected_name, expected_port = _split_port(host.strip().lower())
    return (name, port or default) == (expected_name, expected_port or default)


def _split_port(authority: str) -> tuple[str, str]:
    name, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]") or (port and not (port.isascii() and port.isdigit())):
        return authority, ""
    return name, port


def _network_key(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        # A Unix socket has none.
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or parsed.packed[:8].hex())
    return str(parsed)
