"""Content of responses, from an origin on real sockets."""

import asyncio

import pytest
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Cut, Framing, ScriptedResponse

from downloadd.errors import NetworkError
from downloadd.transfer.content import Content
from downloadd.transfer.detach import MIN_DETACH_BYTES
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.session import Session

pytestmark = pytest.mark.system

CUT_AFTER_BYTES = 100_000


async def wait_until_broken(content: Content) -> None:
    """Wait until aiohttp has noticed the broken connection."""
    async with asyncio.timeout(20):
        while content._response.content.exception() is None:
            await asyncio.sleep(0.005)


async def read_into(pieces: list[bytes], content: Content, limit: int) -> None:
    """Read to the end."""
    while data := await content.read(limit):
        pieces.append(bytes(data))


@pytest.mark.parametrize("limit", [-1, 30_000])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ScriptedResponse(size=300_000, cut_after=CUT_AFTER_BYTES), id="reset"),
        pytest.param(ScriptedResponse(size=300_000, cut_after=CUT_AFTER_BYTES, cut=Cut.FIN), id="closed"),
        pytest.param(ScriptedResponse(size=300_000, cut_after=CUT_AFTER_BYTES, framing=Framing.CHUNKED), id="chunked"),
        pytest.param(ScriptedResponse(size=300_000, stall_after=CUT_AFTER_BYTES), id="stalled"),
    ],
)
async def test_a_slow_reader_gets_the_bytes_before_the_connection_broke(
    session: Session, origin: Origin, answer: ScriptedResponse, limit: int
) -> None:
    origin.script("/f", answer)
    received: list[bytes] = []
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        await wait_until_broken(response.content)
        with pytest.raises(NetworkError):
            await read_into(received, response.content, limit)
    assert b"".join(received) == expected_bytes(0, 0, CUT_AFTER_BYTES)
    assert limit < 0 or max(map(len, received)) <= limit


@pytest.mark.parametrize("framing", Framing)
@pytest.mark.parametrize("size", [0, 1000, MIN_DETACH_BYTES])
async def test_content_is_read_to_its_end_in_every_framing(
    session: Session, origin: Origin, framing: Framing, size: int
) -> None:
    origin.script("/f", ScriptedResponse(size=size, framing=framing))
    received = bytearray()
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        while data := await response.content.read(100_000):
            assert len(data) <= 100_000
            received += data
            response.content.release(len(data))
        response.content.check_end()
    assert received == expected_bytes(0, 0, size)


async def test_content_longer_than_expected_is_an_error(session: Session, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1000, framing=Framing.CHUNKED))
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        response.content.expected_length = 999
        with pytest.raises(NetworkError, match="more bytes than it had announced") as surplus:
            await read_into([], response.content, -1)
    assert surplus.value.invalidates_part


async def test_only_long_content_that_was_not_read_becomes_a_socket(session: Session, origin: Origin) -> None:
    for size, is_read, is_socket in (
        (MIN_DETACH_BYTES - 1, False, False),
        (MIN_DETACH_BYTES, True, False),
        (MIN_DETACH_BYTES, False, True),
    ):
        origin.script("/f", ScriptedResponse(size=size))
        async with session.get(origin.url("/f"), RangeRequest()) as response:
            if is_read:
                await response.content.read(10)
            detached = response.content.detach_socket()
            assert (detached is not None) is is_socket
            if detached is not None:
                pieces, rest = detached
                assert sum(map(len, pieces)) + rest.remaining == size
                assert response.content.detach_socket() is None
                with rest:
                    pass
