"""TCP server whose handler a test gives, and which closes all connections at its end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Handler of one connection, which is closed when it returns."""


def answer_with(data: bytes) -> Handler:
    """Return a handler that waits for some bytes, and then sends these."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(data)
        await writer.drain()

    return handle


@asynccontextmanager
async def serve_raw(handle: Handler, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Serve with this handler on a port of `host`, which is the value of the context, until the test leaves it.

    Port 0 is any free one.
    """
    connections: list[asyncio.Task[None]] = []

    async def run_handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await handle(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(run_handler(reader, writer))
        # A task that is cancelled before its first step closes nothing.
        task.add_done_callback(lambda _: writer.transport.abort())
        connections.append(task)

    server = await asyncio.start_server(accept, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
