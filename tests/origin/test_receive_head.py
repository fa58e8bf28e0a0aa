"""Final heads over real sockets."""

import asyncio

import pytest
from support.connected_stream import connected_stream

from downloadd.origin.message_head import MalformedResponseError
from downloadd.origin.receive_head import receive_head
from downloadd.origin.response_parser import ResponseParser


async def test_the_final_head_is_returned_and_the_bytes_behind_it_are_kept() -> None:
    parser = ResponseParser()
    async with connected_stream() as (stream, _, writer):
        receiving = asyncio.create_task(receive_head(stream, parser, timeout=3))
        for piece in (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2", b"00 OK\r\n\r\nabc"):
            assert not receiving.done()
            writer.write(piece)
            await asyncio.sleep(0.01)
        head = await receiving
    assert head is not None
    assert (head.status, parser.rest) == (200, b"abc")


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_connection_that_ends_before_the_final_head_has_none(sent: bytes) -> None:
    async with connected_stream() as (stream, _, writer):
        writer.write(sent)
        writer.close()
        assert await receive_head(stream, ResponseParser(), timeout=3) is None


async def test_another_protocol_is_an_error_before_a_line_ends() -> None:
    async with connected_stream() as (stream, _, writer):
        writer.write(b"SSH-2.0")
        with pytest.raises(MalformedResponseError, match="another protocol"):
            await receive_head(stream, ResponseParser(), timeout=3)


async def test_silence_is_a_timeout() -> None:
    async with connected_stream() as (stream, _, _writer):
        with pytest.raises(TimeoutError):
            await receive_head(stream, ResponseParser(), timeout=0.01)
