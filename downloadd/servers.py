"""Servers of the daemon: one for all paths, and one for the RPC interface of aria2 on a port of its own."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from downloadd.fronts.rest.connection_limit import ConnectionLimit
from downloadd.fronts.rest.server import Api, ApiRunner

SHUTDOWN_TIMEOUT_SECONDS: Final = 1.5
"""Seconds that responses under way get when the daemon stops."""


class Servers:
    """Servers of the interfaces, which share the limit on connections. Opens with `async with`; then `listen`."""

    def __init__(self, api: Api, rpc: Api | None, *, max_clients: int | None) -> None:
        """Make closed servers.

        Args:
            api: all paths.
            rpc: the RPC interface of aria2 alone; None if it is switched off.
            max_clients: connections of clients at the same time; None for no limit.
        """
        limit = ConnectionLimit(max_clients)
        self._main = ApiRunner(api, limit=limit, shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS)
        self._rpc = None if rpc is None else ApiRunner(rpc, limit=limit, shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS)

    async def __aenter__(self) -> Self:
        for runner in self._runners:
            await runner.setup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Accept no further requests, and wait for responses under way."""
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))

    async def listen(
        self,
        sockets: Sequence[socket.socket],
        *,
        rpc_sockets: Sequence[socket.socket] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Accept requests on bound sockets; with `tls` on all but Unix sockets.

        `rpc_sockets` serve the RPC interface of aria2 alone.
        """
        await self._main.listen(sockets, tls)
        if self._rpc is not None:
            await self._rpc.listen(rpc_sockets, tls)

    @property
    def _runners(self) -> tuple[ApiRunner, ...]:
        return (self._main,) if self._rpc is None else (self._main, self._rpc)
