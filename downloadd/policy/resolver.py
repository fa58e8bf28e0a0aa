"""Resolver of host names by the system, in threads of its own.

The event loop's own resolver is not used: uvloop shares four threads for all lookups, so that four name servers that
hang would delay every other host.
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from aiohttp.abc import AbstractResolver, ResolveResult

Address = tuple[socket.AddressFamily, str]
"""Family and address."""
AddrInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""Result of `getaddrinfo` for one address."""

MAX_DNS_THREADS: Final = 32
"""Threads, and so lookups at once."""


class Resolver(Protocol):
    """Source of the addresses of host names."""

    async def look_up(self, host: str) -> list[Address]:
        """Return the addresses of a host, in the order in which they are to be tried.

        Raises:
            OSError: the lookup failed.
        """

    async def close(self) -> None:
        """Refuse further lookups."""


class SystemResolver(AbstractResolver):
    """Resolver that calls `getaddrinfo`, which uses the hosts file, name servers and other sources of the system.

    It serves as the resolver of aiohttp too, which the webhooks use.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_DNS_THREADS, thread_name_prefix="dns")

    async def look_up(self, host: str, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[Address]:
        """Return the addresses of `host` in the system's order, without those that need a zone (RFC 4007).

        Raises:
            OSError: the lookup failed.
        """
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _getaddrinfo, host, family)
        return [
            (found_family, str(address[0]))
            for found_family, _, _, _, address in found
            if len(address) == 2 or not address[3]
        ]

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host` in the form of aiohttp.

        Raises:
            OSError: the lookup failed.
        """
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=found_family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found_family, address in await self.look_up(host, family)
        ]

    async def close(self) -> None:
        """Refuse further lookups, without waiting for those that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _getaddrinfo(host: str, family: socket.AddressFamily) -> Sequence[AddrInfo]:
    return socket.getaddrinfo(host, 0, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
