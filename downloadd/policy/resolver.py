"""Resolver of host names by the system, in threads of its own.

The event loop's own resolver is not used: uvloop shares four threads for all lookups, so that four name servers that
hang would delay every other host.
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

AddrInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""Result of `getaddrinfo` for one address."""

MAX_DNS_THREADS: Final = 32
"""Threads, and so lookups at once."""


class SystemResolver(AbstractResolver):
    """Resolver that calls `getaddrinfo`, which uses the hosts file, name servers and other sources of the system."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_DNS_THREADS, thread_name_prefix="dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host` in the system's order, without those that need a zone (RFC 4007).

        Raises:
            OSError: the lookup failed.
        """
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _getaddrinfo, host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found_family, _, protocol, _, address in found
            if len(address) == 2 or not address[3]
        ]

    async def close(self) -> None:
        """Refuse further lookups, without waiting for those that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _getaddrinfo(host: str, port: int, family: socket.AddressFamily) -> Sequence[AddrInfo]:
    return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
