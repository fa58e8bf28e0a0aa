"""Messages that wait until the client of a WebSocket reads them."""

import asyncio
from collections import deque
from typing import Protocol

from aiohttp import WSMsgType

from downloadd.fronts.aria2.sockets.socket_limits import SocketLimits


class MessageSink(Protocol):
    """The part of a WebSocket that sends; both methods wait while the connection is full."""

    async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
        """Send a message."""
        ...

    async def ping(self) -> None:
        """Send a ping."""
        ...


class SendQueue:
    """Queue of encoded answers and notifications, whose limits its callers observe."""

    def __init__(self, limits: SocketLimits) -> None:
        self._limits = limits
        self._messages: deque[tuple[bytes, bool]] = deque()
        self._size = 0
        self._notifications = 0
        self._is_finished = False
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._sent = asyncio.Event()
        self._sent.set()

    @property
    def has_room(self) -> bool:
        """Return True if fewer bytes than the limit wait to be sent."""
        return self._room.is_set()

    @property
    def is_full_of_notifications(self) -> bool:
        """Return True if no further notification can be taken: the client does not read."""
        return self._notifications >= self._limits.max_unread_notifications

    def put(self, message: bytes, *, is_notification: bool = False) -> None:
        """Append a message, unless the queue is finished."""
        if self._is_finished:
            return
        self._messages.append((message, is_notification))
        self._size += len(message)
        self._notifications += is_notification
        self._ready.set()
        self._sent.clear()
        if self._size > self._limits.max_unread_bytes:
            self._room.clear()

    def discard(self) -> None:
        """Drop all messages, present and future: the client is gone."""
        self._is_finished = True
        self._messages.clear()
        for each in (self._ready, self._room, self._sent):
            each.set()

    async def wait_for_room(self) -> None:
        """Wait until fewer bytes than the limit wait to be sent."""
        await self._room.wait()

    async def wait_until_sent(self) -> None:
        """Wait until no message waits to be sent."""
        await self._sent.wait()

    async def send_all(self, sink: MessageSink) -> None:
        """Send messages as they come, until the queue is discarded.

        Raises:
            ConnectionError: the client has disconnected.
            TimeoutError: the client does not read.
        """
        while not self._is_finished:
            if self._messages:
                await self._send(sink, *self._messages[0])
            else:
                await self._wait_for_message(sink)

    async def _send(self, sink: MessageSink, message: bytes, is_notification: bool) -> None:
        async with asyncio.timeout(self._limits.max_write_seconds + len(message) / self._limits.min_write_rate):
            await sink.send_frame(message, WSMsgType.TEXT)
        if self._is_finished:
            return
        self._messages.popleft()
        self._size -= len(message)
        self._notifications -= is_notification
        if self._size <= self._limits.max_unread_bytes:
            self._room.set()
        if not self._messages:
            self._sent.set()

    async def _wait_for_message(self, sink: MessageSink) -> None:
        self._ready.clear()
        try:
            async with asyncio.timeout(self._limits.ping_seconds):
                await self._ready.wait()
        except TimeoutError:
            async with asyncio.timeout(self._limits.max_write_seconds):
                await sink.ping()
