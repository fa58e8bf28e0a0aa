"""Wire to a server: a TCP proxy whose connections a test cuts, and that loses answers on request."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self


class Wire:
    """Proxy on 127.0.0.1; opens and closes with `async with`.

    Attributes:
        port: the port that it listens on.
        is_down: True to close each new connection at once.
        lost: a request that contains these bytes loses its answer: it is sent, and the wire is cut when the server has
            answered. None for no such request.
        silent: a request that contains these bytes gets no answer, and its connection nothing more: it stays open. None
            for no such request.
        unsent: the wire is cut in place of sending a request that contains these bytes.
        cuts: number of requests after which the wire was cut for `lost` or `unsent`.
        silenced: number of requests that got no answer for `silent`.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        # Clients whose next answer is lost.
        self._losing: set[asyncio.StreamWriter] = set()
        self.is_down = False
        self._silent: set[asyncio.StreamWriter] = set()
        self.lost: bytes | None = None
        self.silent: bytes | None = None
        self.unsent: bytes | None = None
        self.cuts = 0
        self.silenced = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            writer.transport.abort()
            return
        try:
            remote_reader, remote_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, remote_writer}
        # A cut ends both directions.
        with suppress(OSError):
            await asyncio.gather(
                self._forward_requests(reader, remote_writer, writer), self._forward(remote_reader, writer)
            )
        for each in (writer, remote_writer):
            each.transport.abort()
            self._writers.discard(each)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if writer in self._silent:
                continue
            if writer in self._losing:
                self._losing.clear()
                self.cuts += 1
                self.cut()
                return
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _forward_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65_536):
            if self.unsent is not None and self.unsent in data:
                self.unsent = None
                self.cuts += 1
                self.cut()
                return
            if self.silent is not None and self.silent in data:
                self._silent.add(client)
                self.silenced += 1
            if self.lost is not None and self.lost in data:
                self.lost = None
                self._losing.add(client)
            writer.write(data)
            await writer.drain()
        writer.close()
