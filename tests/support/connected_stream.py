"""Stream with a real connection to a server in the test."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.origin.tls import Authority
from support.raw_server import serve_raw

from downloadd.origin.stream import Stream


@asynccontextmanager
async def connected_stream(
    *, tls: bool = False
) -> AsyncIterator[tuple[Stream, asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a stream and the other end of its connection."""
    ends: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    authority = Authority()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if tls:
            await writer.start_tls(authority.server_context())
        ends.put_nowait((reader, writer))
        await asyncio.Event().wait()

    async with serve_raw(accept) as port:
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        stream = Stream(sock, peer="127.0.0.1")
        if tls:
            await stream.start_tls(authority.client_context(), "127.0.0.1")
        reader, writer = await ends.get()
        try:
            yield stream, reader, writer
        finally:
            stream.close()
