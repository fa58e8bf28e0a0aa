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

ADDRESSES: Final = 10_000
"""Addresses whose logins are remembered."""

REPEATED: Final = 0.1
"""What the same wrong credentials count when they come again: a program with an old token is no guesser."""
GUESSES: Final = 256
"""Wrong credentials of one address that are told apart."""

_OWN_SITES: Final = frozenset({"same-origin", "none"})
"""What `Sec-Fetch-Site` says of our own page, and of what a person typed."""


class HostNames:
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
            raise HostNotAllowedError(f"{host} is not a name of this server; add it to server.hosts if it is")


def refuse_other_sites(headers: CIMultiDictProxy[str], client: Client, authority: str | None = None) -> None:
    """Passes requests of programs, of our own page, and of persons who typed the address.

    Behind a trusted proxy, our own page is the one of the host (and scheme) that the proxy was called by; else that of
    the `authority` of the target, where it has one (RFC 9112, section 3.2.2), or of the `Host` field. Of a field that
    is repeated, every value must be ours.

    Raises:
        CrossSiteError: a page of another site sent it.
    """
    if any(site.strip().lower() not in _OWN_SITES for site in headers.getall("Sec-Fetch-Site", ())):
        raise CrossSiteError
    for origin in headers.getall("Origin", ()):
        scheme = origin.strip().lower().partition("://")[0]
        host = client.host or (headers.get("Host", "") if authority is None else authority)
        if client.scheme not in {"", scheme} or not _is_of(origin, host):
            raise CrossSiteError


class _Logins(msgspec.Struct):
    failures: float = 0.0
    """Those that are not forgiven yet."""
    at: float = 0.0
    """When that was counted, in seconds of a monotonic clock."""
    guesses: set[int] = msgspec.field(default_factory=set)
    """Hashes of what was wrong lately."""


class FailedLogins:
    """Slows those down who guess: an address with too many failed logins has to wait.

    Users who have been let in from an address before are not kept out by what others do there. IPv6 networks (/64)
    count as one address.
    """

    def __init__(self, per_minute: int) -> None:
        """`per_minute` failures are forgiven each minute, and as many at once; 0 for no limit."""
        self._per_minute = per_minute
        self._logins: OrderedDict[str, _Logins] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def require_patience(self, address: str, user: str | None, *, now: float) -> None:
        """Passes whoever has not failed too often, and `user`, by whom the credentials are, if known there.

        Raises:
            TooManyFailedLoginsError: it has to wait, whether the credentials are right or not.
        """
        logins = self._logins.get(_network(address)) if self._logins else None
        if logins is None or (user is not None and (address, user) in self._known):
            return
        over = self._forgive(logins, now) + 1 - self._per_minute
        if over > 0:
            raise TooManyFailedLoginsError(over * 60 / self._per_minute)

    def succeeded(self, address: str, user: str) -> None:
        """Credentials were right."""
        if self._per_minute and (address, user) not in self._known:
            self._known[address, user] = None
            if len(self._known) > ADDRESSES:
                self._known.popitem(last=False)

    def failed(self, address: str, guess: int, *, now: float) -> None:
        """Credentials, with the hash `guess`, were wrong."""
        if not self._per_minute:
            return
        network = _network(address)
        logins = self._logins.setdefault(network, _Logins(at=now))
        self._logins.move_to_end(network)
        self._forgive(logins, now)
        logins.failures += REPEATED if guess in logins.guesses else 1
        if len(logins.guesses) == GUESSES:
            logins.guesses.clear()
        logins.guesses.add(guess)
        if len(self._logins) > ADDRESSES:
            self._logins.popitem(last=False)

    def _forgive(self, logins: _Logins, now: float) -> float:
        logins.failures = max(0.0, logins.failures - (now - logins.at) * self._per_minute / 60)
        logins.at = now
        return logins.failures


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is judged before anything is done."""

    names: HostNames
    logins: FailedLogins


def _is_of(origin: str, host: str) -> bool:
    """Whether a page of `origin` is our own, as it was called by `host`."""
    scheme, mark, authority = origin.strip().lower().partition("://")
    if not mark or scheme not in DEFAULT_PORTS:
        return False
    # A proxy in front of us may speak TLS: the scheme is its own business.
    default = str(DEFAULT_PORTS[scheme])
    name, port = _split_port(authority)
    own_name, own_port = _split_port(host.strip().lower())
    return (name, port or default) == (own_name, own_port or default)


def _split_port(authority: str) -> tuple[str, str]:
    name, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]") or (port and not (port.isascii() and port.isdigit())):
        return authority, ""
    return name, port


def _network(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        # A Unix socket has none.
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or parsed.packed[:8].hex())
    return str(parsed)
