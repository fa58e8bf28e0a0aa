"""Addresses of origins: looked up once for many connections, and filtered by the policy for each of them.

The rules are applied to the very addresses that are connected to, also when they come from the cache or stand in the
URL, so a name that changes its address in between (DNS rebinding) gains nothing.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from downloadd.clock import Clock
from downloadd.errors import DomainBlockedError
from downloadd.origin.connection_errors import map_lookup_error
from downloadd.policy.addresses import REMEDY, AddressRules
from downloadd.policy.resolver import Address, Resolver
from downloadd.policy.url import is_address

DNS_TTL_SECONDS: Final = 30
"""Seconds that an answer of the resolver is used."""
MAX_CACHED_NAMES: Final = 4_096
"""Names whose addresses are kept."""

SocketAddress = tuple[int, int, int, str, tuple[Any, ...]]
"""Address in the form of `socket.getaddrinfo`."""


class AddressBook:
    """Addresses of host names, from a resolver."""

    def __init__(self, resolver: Resolver, rules: Callable[[], AddressRules], clock: Clock) -> None:
        """Look names up with `resolver`; `rules` returns the present rules."""
        self._resolver = resolver
        self._rules = rules
        self._clock = clock
        self._answers: dict[str, tuple[float, list[Address]]] = {}
        self._lookups: dict[str, asyncio.Task[list[Address]]] = {}

    async def allowed_addresses(
        self, host: str, port: int, *, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[SocketAddress]:
        """Return the addresses of a host, in the spelling of `parse_host`, that may be connected to.

        They are in the order of the resolver. `family` leaves out the others.

        Raises:
            DomainBlockedError: the host has addresses, but the rules allow none. No message has an address: it may be a
                secret of an internal network.
            NetworkError: the lookup failed.
        """
        if is_address(host):
            if not self.is_allowed(host):
                raise DomainBlockedError(f"the host is at an address that is not allowed; {REMEDY}")
            return [_socket_address(family_of(host), host, port)]
        found = [each for each in await self._addresses(host) if family in {socket.AF_UNSPEC, each[0]}]
        if not found:
            raise map_lookup_error()
        rules = self._rules()
        reasons = {address: rules.forbidden_reason(address) for _, address in found}
        allowed = [_socket_address(each, address, port) for each, address in found if reasons[address] is None]
        if not allowed:
            reason = next(iter(reasons.values()))
            # Another answer may be allowed the next time.
            self._answers.pop(host, None)
            raise DomainBlockedError(f"the host {host} resolves to an address that is not allowed ({reason}); {REMEDY}")
        return allowed

    def is_allowed(self, address: str | None) -> bool:
        """Return True if the rules allow a connection to an address now."""
        return address is not None and self._rules().forbidden_reason(address) is None

    async def close(self) -> None:
        """End lookups, and close the resolver."""
        for lookup in self._lookups.values():
            lookup.cancel()
        await asyncio.gather(*self._lookups.values(), return_exceptions=True)
        await self._resolver.close()

    async def _addresses(self, host: str) -> list[Address]:
        now = self._clock.monotonic()
        cached = self._answers.get(host)
        if cached is not None and now < cached[0]:
            return cached[1]
        lookup = self._lookups.get(host)
        if lookup is None:
            # One lookup for all that wait for it; it goes on if one of them is cancelled.
            lookup = self._lookups[host] = asyncio.get_running_loop().create_task(self._look_up(host))
            lookup.add_done_callback(partial(self._forget_lookup, host))
        return await asyncio.shield(lookup)

    def _forget_lookup(self, host: str, lookup: "asyncio.Task[list[Address]]") -> None:
        del self._lookups[host]
        if not lookup.cancelled():
            # All that waited may have been cancelled.
            lookup.exception()

    async def _look_up(self, host: str) -> list[Address]:
        try:
            addresses = await self._resolver.look_up(host)
        except OSError as error:
            raise map_lookup_error() from error
        if addresses:
            if len(self._answers) >= MAX_CACHED_NAMES:
                del self._answers[next(iter(self._answers))]
            self._answers[host] = (self._clock.monotonic() + DNS_TTL_SECONDS, addresses)
        return addresses


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of an address in text form."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _socket_address(family: socket.AddressFamily, address: str, port: int) -> SocketAddress:
    name = (address, port, 0, 0) if family == socket.AF_INET6 else (address, port)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", name
