"""The resolver: names to addresses, asked of the system in threads of its own.

Not of the event loop: uvloop asks in four threads that all share, so four name servers that hang would hold up every
other host.
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

AddrInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""What `getaddrinfo` tells of one address."""

MAX_DNS_THREADS: Final = 32
"""Lookups at once."""


class SystemResolver(AbstractResolver):
    """Asks `getaddrinfo`, and with it the hosts file, name servers, and whatever the system is set up to ask."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_DNS_THREADS, thread_name_prefix="dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host` in the system's order; those that need a zone (RFC 4007) are left out.

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
        """Takes no more lookups; does not wait for those that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _getaddrinfo(host: str, port: int, family: socket.AddressFamily) -> Sequence[AddrInfo]:
    return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
