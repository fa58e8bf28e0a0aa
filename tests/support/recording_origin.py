"""Origin on raw sockets that records requests."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.ports import free_port


class RecordingOrigin:
    """Origin on one port of 127.0.0.1 and `::1` that answers each request with an empty 200."""

    def __init__(self) -> None:
        self.port = 0
        self.heads: list[bytes] = []
        self.peers: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection in a task."""
        task = asyncio.get_running_loop().create_task(self.respond(reader, writer))
        self._tasks.add(task)
        # A task that is cancelled before its first step closes nothing.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def targets(self) -> list[bytes]:
        """Request targets, byte for byte."""
        return [head.partition(b"\r\n")[0].removeprefix(b"GET ").removesuffix(b" HTTP/1.1") for head in self.heads]

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("sockname")[0])
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def open_recording_origin(tls: ssl.SSLContext | None = None) -> AsyncIterator[RecordingOrigin]:
    origin = RecordingOrigin()
    origin.port = free_port()
    async with await asyncio.start_server(
        origin.accept, ["127.0.0.1", "::1"], origin.port, limit=1 << 20, ssl=tls
    ) as server:
        try:
            yield origin
        finally:
            server.close()
            await origin.close()
