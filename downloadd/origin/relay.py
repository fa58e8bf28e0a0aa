"""Relay that makes the encrypted connection to a proxy look like a socket without encryption.

TLS to an origin needs a socket; through a proxy that is reached by TLS there is none. Two tasks copy the bytes between
the proxy's stream and one end of a socket pair; the other end takes the TLS of the origin.
"""

import asyncio
import socket
from contextlib import suppress

from downloadd.origin.stream import MAX_READ_BYTES, Stream


class Relays:
    """Relays under way. They end with either of their connections, or with `close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, stream: Stream) -> Stream:
        """Return a stream without TLS whose bytes are those of `stream`, which belongs to the relay from here on.

        Raises:
            OSError: no descriptors are left.
        """
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        task = asyncio.get_running_loop().create_task(_relay(stream, Stream(far, peer=None)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Stream(near, peer=stream.peer)

    async def close(self) -> None:
        """End all relays."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _relay(outer: Stream, inner: Stream) -> None:
    try:
        copies = [asyncio.get_running_loop().create_task(_copy(*pair)) for pair in ((outer, inner), (inner, outer))]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.wait(copies)
    finally:
        # Bytes that were sent before are still received. What is complete is decided by the TLS of the origin.
        inner.close()
        outer.close()


async def _copy(source: Stream, target: Stream) -> None:
    with suppress(OSError):
        while data := await source.receive(MAX_READ_BYTES, timeout=None):
            await target.send(data, timeout=None)
