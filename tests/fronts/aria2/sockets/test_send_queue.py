"""The queue of messages to a WebSocket: order, limits, pings, and clients that do not read."""

import asyncio

import pytest
from aiohttp import WSMsgType
from support.virtual_time import in_virtual_time

from downloadd.fronts.aria2.sockets.send_queue import SendQueue
from downloadd.fronts.aria2.sockets.socket_limits import SocketLimits


class FakeSink:
    """Sink whose client reads while `reads` is set."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.pings = 0
        self.reads = asyncio.Event()
        self.reads.set()

    async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
        assert opcode is WSMsgType.TEXT
        await self.reads.wait()
        self.sent.append(message)

    async def ping(self) -> None:
        await self.reads.wait()
        self.pings += 1


@in_virtual_time
async def test_messages_are_sent_in_order() -> None:
    queue, sink = SendQueue(SocketLimits()), FakeSink()
    queue.put(b"1")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(queue.send_all(sink))
        await asyncio.sleep(1)
        for message in (b"2", b"3"):
            queue.put(message, is_notification=message == b"3")
        await queue.wait_until_sent()
        assert sink.sent == [b"1", b"2", b"3"]
        queue.discard()


@in_virtual_time
async def test_there_is_no_room_while_more_bytes_wait_than_the_limit() -> None:
    queue, sink = SendQueue(SocketLimits(max_unread_bytes=5)), FakeSink()
    sink.reads.clear()
    queue.put(b"12345")
    await queue.wait_for_room()
    queue.put(b"6")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(queue.send_all(sink))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await queue.wait_for_room()
        sink.reads.set()
        await queue.wait_for_room()
        queue.discard()


@in_virtual_time
async def test_notifications_have_a_limit_of_their_own_so_that_one_long_answer_leaves_room_for_them() -> None:
    queue, sink = SendQueue(SocketLimits(max_unread_bytes=5, max_unread_notifications=2)), FakeSink()
    queue.put(b"x" * 100)
    full = []
    for message in (b"1", b"2"):
        full.append(queue.is_full_of_notifications)
        queue.put(message, is_notification=True)
    assert [*full, queue.is_full_of_notifications] == [False, False, True]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(queue.send_all(sink))
        await queue.wait_until_sent()
        queue.put(b"3", is_notification=True)
        queue.put(b"4")
        await queue.wait_until_sent()
        queue.discard()
    assert sink.sent[1:] == [b"1", b"2", b"3", b"4"]


@in_virtual_time
async def test_a_client_that_does_not_read_is_given_up_and_a_long_message_has_longer() -> None:
    queue, sink = SendQueue(SocketLimits(max_write_seconds=10, min_write_rate=100)), FakeSink()
    sink.reads.clear()
    queue.put(b"x" * 500)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await queue.send_all(sink)
    assert round(asyncio.get_running_loop().time() - began) == 15


@in_virtual_time
async def test_a_ping_is_sent_when_there_was_no_message_for_a_while() -> None:
    queue, sink = SendQueue(SocketLimits(ping_seconds=30, max_write_seconds=10)), FakeSink()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(queue.send_all(sink))
        await asyncio.sleep(100)
        assert sink.pings == 3
        queue.discard()
    sink.reads.clear()
    with pytest.raises(TimeoutError):
        await SendQueue(SocketLimits(ping_seconds=30, max_write_seconds=10)).send_all(sink)


@in_virtual_time
async def test_after_the_client_has_gone_nothing_waits_for_it() -> None:
    queue, sink = SendQueue(SocketLimits(max_unread_bytes=1)), FakeSink()
    sink.reads.clear()
    queue.put(b"12345")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(queue.send_all(sink))
        await asyncio.sleep(1)
        queue.discard()
        queue.put(b"6")
        await queue.wait_for_room()
        await queue.wait_until_sent()
        sink.reads.set()
    assert sink.sent == [b"12345"]
