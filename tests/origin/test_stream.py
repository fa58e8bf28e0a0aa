"""Byte streams over real sockets."""

import asyncio
import socket
import ssl
import struct

import pytest
from support.connected_stream import connected_stream

from downloadd.origin.stream import MAX_READ_BYTES

BOTH = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@BOTH
async def test_bytes_are_sent_and_received(tls: bool) -> None:
    async with connected_stream(tls=tls) as (stream, reader, writer):
        assert stream.is_tls is tls
        await stream.send(b"request", timeout=3)
        assert await reader.readexactly(7) == b"request"
        writer.write(b"response")
        assert await stream.receive(100, timeout=3) == b"response"


@BOTH
async def test_no_more_bytes_are_received_than_wanted(tls: bool) -> None:
    async with connected_stream(tls=tls) as (stream, _, writer):
        writer.write(bytes(3 * MAX_READ_BYTES))
        assert len(await stream.receive(5, timeout=3)) == 5
        received = 5
        while received < 3 * MAX_READ_BYTES:
            data = await stream.receive(1 << 30, timeout=3)
            assert len(data) <= MAX_READ_BYTES
            received += len(data)


@BOTH
async def test_sending_waits_for_a_slow_peer(tls: bool) -> None:
    size = 8 << 20
    async with connected_stream(tls=tls) as (stream, reader, _):
        sending = asyncio.create_task(stream.send(bytes(size), timeout=10))
        await asyncio.sleep(0.05)
        assert not sending.done()
        received = 0
        while received < size:
            received += len(await reader.read(1 << 20))
        await sending


@BOTH
async def test_a_peer_that_takes_or_sends_nothing_is_a_timeout(tls: bool) -> None:
    async with connected_stream(tls=tls) as (stream, _, _writer):
        with pytest.raises(TimeoutError):
            await stream.receive(1, timeout=0.05)
        if not tls:
            # The server's own TLS would wait for the rest when it closes.
            with pytest.raises(TimeoutError):
                await stream.send(bytes(32 << 20), timeout=0.1)


@BOTH
async def test_an_orderly_end_is_no_error(tls: bool) -> None:
    async with connected_stream(tls=tls) as (stream, _, writer):
        writer.write(b"abc")
        writer.close()
        assert await stream.receive(100, timeout=3) == b"abc"
        assert await stream.receive(100, timeout=3) == b""


async def test_tls_that_is_cut_is_an_error() -> None:
    async with connected_stream(tls=True) as (stream, _, writer):
        writer.write(b"abc")
        assert await stream.receive(100, timeout=3) == b"abc"
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        with pytest.raises(ssl.SSLEOFError):
            await stream.receive(100, timeout=3)


@BOTH
async def test_a_reset_is_an_error_after_the_bytes(tls: bool) -> None:
    async with connected_stream(tls=tls) as (stream, _, writer):
        writer.write(b"abc")
        await writer.drain()
        assert await stream.receive(100, timeout=3) == b"abc"
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        with pytest.raises(OSError, match=r"reset by peer|EOF occurred"):
            await stream.receive(100, timeout=3)
        assert not stream.is_idle()


@BOTH
async def test_an_idle_stream_is_open_and_silent(tls: bool) -> None:
    async with connected_stream(tls=tls) as (stream, _, writer):
        # With TLS 1.3, session tickets are bytes without content.
        assert stream.is_idle()
        writer.write(b"x")
        assert await stream.wait_readable(timeout=3)
        assert not stream.is_idle()


@BOTH
async def test_a_closed_stream_is_not_idle(tls: bool) -> None:
    async with connected_stream(tls=tls) as (stream, _, writer):
        assert stream.is_idle()
        writer.close()
        assert await stream.wait_readable(timeout=3)
        assert not stream.is_idle()


async def test_waiting_ends_after_the_time() -> None:
    async with connected_stream() as (stream, _, _writer):
        assert not await stream.wait_readable(timeout=0.01)


async def test_peeking_removes_nothing() -> None:
    async with connected_stream() as (stream, _, writer):
        assert stream.peek() is None
        writer.write(b"abc")
        assert await stream.wait_readable(timeout=3)
        assert stream.peek() == b"abc"
        assert await stream.receive(100, timeout=3) == b"abc"


async def test_a_wait_that_is_cancelled_leaves_no_reader_behind() -> None:
    async with connected_stream() as (stream, _, writer):
        waiting = asyncio.create_task(stream.receive(1, timeout=None))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        writer.write(b"a")
        assert await stream.receive(1, timeout=3) == b"a"


async def test_decrypted_bytes_that_wait_are_noticed() -> None:
    async with connected_stream(tls=True) as (stream, _, writer):
        assert not stream.has_buffered_bytes()
        writer.write(b"abc")
        assert await stream.receive(1, timeout=3) == b"a"
        assert stream.has_buffered_bytes()
        assert await stream.receive(10, timeout=3) == b"bc"
        assert not stream.has_buffered_bytes()


@BOTH
async def test_closing_is_an_orderly_end_for_the_peer(tls: bool) -> None:
    async with connected_stream(tls=tls) as (stream, reader, _):
        stream.close()
        assert await reader.read() == b""
        assert reader.exception() is None
