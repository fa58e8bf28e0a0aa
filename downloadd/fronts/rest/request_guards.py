"""Protection against CSRF, DNS rebinding and guessing of tokens; independent of the credentials of a request.

A page in a browser can send requests to every address that the browser can reach. Pages of other sites are recognised
by `Sec-Fetch-Site` (W3C Fetch Metadata) and `Origin` (RFC 6454), which a page cannot forge. A page whose name resolves
to this server, so that the browser takes the server for its own site (DNS rebinding), is recognised by `Host`.

Pure: no I/O and no clock.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv6Address, ip_address
from types import MappingProxyType
from typing import Final

import msgspec
from multidict import CIMultiDictProxy

from downloadd.errors import CrossSiteError, HostNotAllowedError, InvalidUrlError, TooManyFailedLoginsError
from downloadd.fronts.cross_origin import AllowedOrigins
from downloadd.policy.domains import DomainRules
from downloadd.policy.proxies import Client
from downloadd.policy.url import DEFAULT_PORTS, is_address, parse_host

MAX_TRACKED_ADDRESSES: Final = 10_000
"""Addresses for which failed and successful logins are stored."""

REPEATED_FAILURE_WEIGHT: Final = 0.1
"""Count of a failure with wrong credentials seen before: a program with an old token does not guess."""
MAX_TRACKED_CREDENTIALS: Final = 256
"""Different wrong credentials that are stored per address."""

MAX_SHOWN_CHARACTERS: Final = 300
"""Characters of a field in a message; the longest host name has 253."""

_ALLOWED_FETCH_SITES: Final = frozenset({"same-origin", "none"})
"""Values of `Sec-Fetch-Site` for the own page, and for an address that a person typed."""


class AllowedHosts:
    """Host names that requests may have: addresses, names without a dot, `*.localhost`, and given names."""

    def __init__(self, own: Iterable[str], allowed: Iterable[str]) -> None:
        """`own` are names of this machine, `allowed` patterns as in `DomainRules`.

        Raises:
            ValueError: one of the patterns is malformed.
        """
        self._rules = DomainRules(("*.localhost", *own, *allowed))

    def require_all(
        self,
        headers: CIMultiDictProxy[str],
        client: Client,
        authority: str | None = None,
        *,
        reached_at: Callable[[], str] = lambda: "",
    ) -> None:
        """Return if every host that a request names is allowed: of `Host`, of its target, and of a trusted proxy.

        An error also names the address of this server, which `reached_at` returns, and the host that a proxy says it
        received.

        Raises:
            HostNotAllowedError: one names another server, or is not a host name.
        """
        # Pages in browsers cannot reach a Unix socket, whose clients have no address.
        if client.address:
            for host in headers.getall("Host", ()):
                self.require(host, headers=headers, reached_at=reached_at)
            # The authority of a target in absolute form replaces the field (RFC 9112, section 3.2.2).
            if authority is not None:
                self.require(authority, field="request target", reached_at=reached_at)
        # Checked in addition to `Host`: a proxy may forward a value that a page has set.
        if client.host:
            self.require(client.host, field=_forwarded_field(headers), reached_at=reached_at)

    def require(
        self,
        value: str,
        *,
        field: str = "Host",
        headers: Mapping[str, str] = MappingProxyType({}),
        reached_at: Callable[[], str] = lambda: "",
    ) -> None:
        """Return if the value of a `Host` field, or of another `field` with a host and a port, is allowed.

        `headers` are the fields of the request; for `reached_at` see `require_all`.

        Raises:
            HostNotAllowedError: it names another server, or is not a host name.
        """
        name, _ = _split_port(value)
        try:
            host = parse_host(name)
        except InvalidUrlError:
            reason = (
                f'"{_clip(value)}" is not a name of this server{_describe_server(reached_at())}: it is not a host name'
            )
            raise HostNotAllowedError(reason, field=field) from None
        # DNS rebinding needs a name in the public DNS; addresses and names without a dot cannot be registered there.
        if "." in host and not is_address(host) and not self._rules.allows_host(host):
            forwarded = headers.get("X-Forwarded-Host", "")
            received = f" (X-Forwarded-Host is {_clip(forwarded)})" if forwarded not in {"", value} else ""
            reason = (
                f"{host} is not a name of this server{_describe_server(reached_at())}{received}; "
                "add it to server.allowed_hosts if it is"
            )
            raise HostNotAllowedError(reason, field=field)


def reject_cross_site(headers: CIMultiDictProxy[str], client: Client, authority: str | None = None) -> None:
    """Return if a request was sent by a program, by the own page, or by a person who typed the address.

    Behind a trusted proxy, the own page has the host (and scheme) of the request to the proxy; else the `authority` of
    the target, if it has one (RFC 9112, section 3.2.2), or the `Host` field. Of a repeated field, every value must
    match.

    Raises:
        CrossSiteError: a page of another site sent the request.
    """
    for site in headers.getall("Sec-Fetch-Site", ()):
        if site.strip().lower() not in _ALLOWED_FETCH_SITES:
            origin = _clip(headers.get("Origin", "missing"))
            raise CrossSiteError(
                f"Sec-Fetch-Site is {_clip(site)}, Origin {origin}; add the origin to server.allowed_origins if its "
                "page may call"
            )
    for origin in headers.getall("Origin", ()):
        scheme = origin.strip().lower().partition("://")[0]
        host = client.host or (headers.get("Host", "") if authority is None else authority)
        is_same = _is_same_origin(origin, host)
        if client.scheme not in {"", scheme} or not is_same:
            advice = _advise_on_scheme(client) if is_same else _advise_on_host(headers, client)
            raise CrossSiteError(f"Origin is {_clip(origin)}, the host of this server is {_clip(host)}; {advice}")


class _FailureRecord(msgspec.Struct):
    count: float = 0.0
    """Failures that are not forgiven yet."""
    updated_at: float = 0.0
    """Time of the count, in seconds of a monotonic clock."""
    credential_hashes: set[int] = msgspec.field(default_factory=set)
    """Hashes of recent wrong credentials."""


class LoginThrottle:
    """Limit on failed logins per address.

    A user who has logged in from an address before is not affected by the failures of others there. IPv6 networks
    (/64) count as one address.
    """

    def __init__(self, per_minute: int) -> None:
        """`per_minute` failures are forgiven each minute, and as many may happen at once; 0 for no limit."""
        self._per_minute = per_minute
        self._failures: OrderedDict[str, _FailureRecord] = OrderedDict()
        self._trusted: OrderedDict[tuple[str, str], None] = OrderedDict()

    def require_not_throttled(self, address: str, user: str | None, *, now: float) -> None:
        """Return if the address has not failed too often, or `user` has logged in there before.

        Raises:
            TooManyFailedLoginsError: the address has to wait, whether the credentials are right or wrong.
        """
        record = self._failures.get(_network_key(address)) if self._failures else None
        if record is None or (user is not None and (address, user) in self._trusted):
            return
        over = self._decay(record, now) + 1 - self._per_minute
        if over > 0:
            raise TooManyFailedLoginsError(over * 60 / self._per_minute)

    def record_success(self, address: str, user: str) -> None:
        """Record that a user has logged in from an address."""
        if self._per_minute and (address, user) not in self._trusted:
            self._trusted[address, user] = None
            if len(self._trusted) > MAX_TRACKED_ADDRESSES:
                self._trusted.popitem(last=False)

    def record_failure(self, address: str, credential_hash: int, *, now: float) -> None:
        """Record wrong credentials, which have the hash `credential_hash`."""
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
    """The guards of all requests."""

    hosts: AllowedHosts
    throttle: LoginThrottle
    origins: AllowedOrigins = AllowedOrigins((), setting="server.allowed_origins")


def _advise_on_scheme(client: Client) -> str:
    return f"X-Forwarded-Proto is {client.scheme}: have the proxy send the scheme that its clients use"


def _advise_on_host(headers: CIMultiDictProxy[str], client: Client) -> str:
    """Return what an administrator has to change if the page is that of this server."""
    field = _forwarded_field(headers)
    if client.host:
        return f"have the proxy send in {field} the Host field that it receives"
    if forwarded := headers.get(field):
        return f"{field} is {_clip(forwarded)}, but its sender is not trusted: add the proxy to server.trusted_proxies"
    return (
        "if a proxy forwards to it, have the proxy send the Host field that it receives; if the page may call, add its "
        "origin to server.allowed_origins"
    )


def _describe_server(address: str) -> str:
    return f", which was reached at {address}" if address else ""


def _forwarded_field(headers: Mapping[str, str]) -> str:
    return "X-Forwarded-Host" if "X-Forwarded-Host" in headers else "Forwarded"


def _clip(text: str) -> str:
    """Return a value of a request for a message."""
    return text.encode("utf-8", "replace").decode()[:MAX_SHOWN_CHARACTERS]


def _is_same_origin(origin: str, host: str) -> bool:
    """Return True if `origin` is the origin of the own page, for a request to `host`."""
    scheme, mark, authority = origin.strip().lower().partition("://")
    if not mark or scheme not in DEFAULT_PORTS:
        return False
    # A proxy in front of the server may use TLS: the scheme is not compared.
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
        # A client on a Unix socket has no address.
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or parsed.packed[:8].hex())
    return str(parsed)
