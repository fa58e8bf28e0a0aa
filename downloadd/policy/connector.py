"""Connector that applies the address rules to the address that is connected to.

Each connection is checked twice. The answers of the resolver are filtered, so that a host with allowed and forbidden
addresses is reached at the allowed ones. The address that a socket is created for is checked again, which covers
addresses in place of a host name and cached answers. The checked address is the one that is connected to, so a name
that changes its address in between (DNS rebinding) gains nothing. A connection from the pool is checked again.
"""

import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from downloadd.errors import DomainBlockedError
from downloadd.policy.addresses import AddressRules

DNS_TTL_SECONDS: Final = 30
"""Seconds that an answer of the resolver is cached."""


class ForbiddenAddressError(OSError):
    """Forbidden address as an error that aiohttp treats like an unreachable one; `blocked` is the reason."""

    def __init__(self, blocked: DomainBlockedError) -> None:
        super().__init__(blocked.detail)
        self.blocked = blocked


class FilteringResolver(AbstractResolver):
    """Resolver that omits the addresses that the rules forbid."""

    def __init__(self, rules: Callable[[], AddressRules], resolver: AbstractResolver) -> None:
        """Filter the answers of `resolver` by the current rules, which `rules` returns."""
        self._rules = rules
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the allowed addresses of `host`, in the resolver's order.

        Raises:
            ForbiddenAddressError: it has addresses, but none is allowed.
            OSError: the lookup failed, or found no address.
        """
        rules = self._rules()
        allowed: list[ResolveResult] = []
        reason: str | None = None
        for result in await self._resolver.resolve(host, port, family):
            forbidden = rules.forbidden_reason(result["host"])
            if forbidden is None:
                allowed.append(result)
            else:
                reason = reason or forbidden
        if allowed:
            return allowed
        if reason is None:
            raise OSError(errno.EADDRNOTAVAIL, "the host has no address")
        # The message omits the address: it may be a secret of an internal network.
        raise ForbiddenAddressError(
            DomainBlockedError(f"the host {host} resolves to an address that is not allowed ({reason})")
        )

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()


class FilteringConnector(aiohttp.TCPConnector):
    """Connector that reuses a connection only if its address is still allowed."""

    def __init__(self, rules: Callable[[], AddressRules], **options: Any) -> None:
        """Check by the current rules, which `rules` returns; `options` are those of aiohttp."""
        super().__init__(**options)
        self._rules = rules

    async def _get(self, key: Any, traces: Any) -> Any:
        # aiohttp has no public way to inspect the connection that it is about to reuse.
        for protocol, _ in tuple(self._conns.get(key, ())):
            peer = protocol.transport.get_extra_info("peername") if protocol.transport is not None else None
            if protocol.should_close or peer is None or self._rules().forbidden_reason(str(peer[0])) is not None:
                protocol.close()
        return await super()._get(key, traces)


def build_connector(
    rules: Callable[[], AddressRules],
    *,
    resolver: AbstractResolver,
    keepalive_timeout: float = 15,
) -> aiohttp.TCPConnector:
    """Return a connector that never connects to a forbidden address, whether from a name, a literal or a cache.

    The number of connections is not limited here, but by the manager. Each request brings its TLS context, and a
    connection is reused for the same context only. Needs a running event loop.

    Args:
        rules: returns the current rules.
        resolver: answers for names; not closed with the connector.
        keepalive_timeout: seconds that an idle connection is kept.
    """

    def make_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        reason = rules().forbidden_reason(str(address[0]))
        if reason is not None:
            # One message for all addresses: aiohappyeyeballs replaces failures with different messages by a summary
            # without their causes.
            raise ForbiddenAddressError(DomainBlockedError("the host is at an address that is not allowed"))
        return socket.socket(family=family, type=kind, proto=protocol)

    return FilteringConnector(
        rules,
        resolver=FilteringResolver(rules, resolver),
        socket_factory=make_socket,
        use_dns_cache=True,
        ttl_dns_cache=DNS_TTL_SECONDS,
        limit=0,
        keepalive_timeout=keepalive_timeout,
    )


def find_blocked_error(error: BaseException) -> DomainBlockedError | None:
    """Return the policy error that caused the error of a request; None if it failed for another reason."""
    for cause in _causes(error):
        if isinstance(cause, ForbiddenAddressError):
            return cause.blocked
        if isinstance(cause, DomainBlockedError):
            return cause
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    remaining = [error]
    while remaining:
        cause = remaining.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            remaining.extend(cause.exceptions)
        remaining.extend(linked for linked in (cause.__cause__, cause.__context__) if linked is not None)
