"""The connector: applies the address rules to the address that is really connected to.

Twice, for every connection: the answers of the resolver are sifted, so that a host with allowed and forbidden addresses
is reached at the allowed ones; and the address that a socket is made for is judged once more, which catches addresses
in the place of a host name and answers that were kept from before. What was judged is what is connected to, so a name
that changes its address in between (rebinding) wins nothing. A connection that is used again is judged again.
"""

import errno
import socket
from collections.abc import Callable, Iterator
from ssl import SSLContext
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from downloadd.errors import DomainBlockedError
from downloadd.policy.addresses import AddressRules

DNS_TTL_SECONDS: Final = 30
"""Seconds that an answer of the resolver is kept."""


class ForbiddenAddressError(OSError):
    """How a forbidden address surfaces inside aiohttp: like one that cannot be reached; `blocked` says the truth."""

    def __init__(self, blocked: DomainBlockedError) -> None:
        super().__init__(blocked.detail)
        self.blocked = blocked


class FilteringResolver(AbstractResolver):
    """A resolver that leaves out the addresses that the rules forbid."""

    def __init__(self, rules: Callable[[], AddressRules], resolver: AbstractResolver) -> None:
        """`rules` gives those of the moment; `resolver` answers."""
        self._rules = rules
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The allowed addresses of `host`, in the resolver's order.

        Raises:
            ForbiddenAddressError: it has addresses, and none is allowed.
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
        # The address itself stays unsaid: it may be the business of an inner network.
        raise ForbiddenAddressError(
            DomainBlockedError(f"the host {host} resolves to an address that is not allowed ({reason})")
        )

    async def close(self) -> None:
        """Closes the resolver that answers."""
        await self._resolver.close()


class FilteringConnector(aiohttp.TCPConnector):
    """A connector that takes no connection from its pool which it would not make now."""

    def __init__(self, rules: Callable[[], AddressRules], **options: Any) -> None:
        """`rules` gives those of the moment; `options` are the library's."""
        super().__init__(**options)
        self._rules = rules

    async def _get(self, key: Any, traces: Any) -> Any:
        # The library has no public way to look at what it is about to use again.
        for protocol, _ in tuple(self._conns.get(key, ())):
            peer = protocol.transport.get_extra_info("peername") if protocol.transport is not None else None
            if protocol.should_close or peer is None or self._rules().forbidden_reason(str(peer[0])) is not None:
                protocol.close()
        return await super()._get(key, traces)


def build_connector(
    rules: Callable[[], AddressRules],
    *,
    resolver: AbstractResolver,
    ssl_context: SSLContext | None = None,
    keepalive_timeout: float = 15,
) -> aiohttp.TCPConnector:
    """A connector that connects to no address that the rules forbid, in whatever way it comes to it.

    How many connections there are is the manager's business, not limited here. Needs a running event loop.

    Args:
        rules: the judgement of the moment.
        resolver: what answers for names. Not closed.
        ssl_context: for https; by default the system's certificates are trusted.
        keepalive_timeout: seconds that an idle connection is kept.
    """

    def make_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        reason = rules().forbidden_reason(str(address[0]))
        if reason is not None:
            # One sentence for all: of several failures with different ones, aiohappyeyeballs raises a summary that
            # has lost its causes.
            raise ForbiddenAddressError(DomainBlockedError("the host is at an address that is not allowed"))
        return socket.socket(family=family, type=kind, proto=protocol)

    return FilteringConnector(
        rules,
        resolver=FilteringResolver(rules, resolver),
        socket_factory=make_socket,
        use_dns_cache=True,
        ttl_dns_cache=DNS_TTL_SECONDS,
        limit=0,
        ssl=True if ssl_context is None else ssl_context,
        keepalive_timeout=keepalive_timeout,
    )


def find_blocked_error(error: BaseException) -> DomainBlockedError | None:
    """The judgement behind an error that a request raised; None when it failed for another reason."""
    for cause in _causes(error):
        if isinstance(cause, ForbiddenAddressError):
            return cause.blocked
        if isinstance(cause, DomainBlockedError):
            return cause
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            waiting.extend(cause.exceptions)
        waiting.extend(linked for linked in (cause.__cause__, cause.__context__) if linked is not None)
