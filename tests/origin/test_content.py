"""Content of responses, from an origin on real sockets."""

import asyncio
import os

import pytest
from support.cookie_jars import make_jar
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Cut, Framing, ScriptedResponse
from support.waiting import CONDITION_TIMEOUT

from downloadd.attempt_options import AttemptOptions
from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.origin.content import MIN_DETACH_BYTES, Content
from downloadd.origin.context import RequestContext
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.session import Session

pytestmark = pytest.mark.system

CUT_AFTER_BYTES = 100_000
SHORT_STALL = RequestContext(fields=None, cookies=make_jar(), options=AttemptOptions(stall_timeout=0.5))


async def read_into(pieces: list[bytes], content: Content, limit: int) -> None:
    """Read to the end."""
    while data := await content.read(limit):
        pieces.append(data)


@pytest.mark.parametrize("limit", [-1, 30_000])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(ScriptedResponse(size=300_000, cut_after=CUT_AFTER_BYTES), NetworkErrorKind.CUT, id="reset"),
        pytest.param(
            ScriptedResponse(size=300_000, cut_after=CUT_AFTER_BYTES, cut=Cut.FIN), NetworkErrorKind.CUT, id="closed"
        ),
        pytest.param(
            ScriptedResponse(size=300_000, cut_after=CUT_AFTER_BYTES, framing=Framing.CHUNKED),
            NetworkErrorKind.CUT,
            id="chunked",
        ),
        pytest.param(
            ScriptedResponse(size=300_000, cut_after=CUT_AFTER_BYTES, framing=Framing.CLOSE),
            NetworkErrorKind.CUT,
            id="reset before its end",
        ),
        pytest.param(
            ScriptedResponse(size=300_000, stall_after=CUT_AFTER_BYTES), NetworkErrorKind.STALLED, id="stalled"
        ),
    ],
)
async def test_a_slow_reader_gets_the_bytes_before_the_connection_broke(
    session: Session, origin: Origin, answer: ScriptedResponse, kind: NetworkErrorKind, limit: int
) -> None:
    origin.script("/f", answer)
    received: list[bytes] = []
    async with session.get(origin.url("/f"), RangeRequest(), SHORT_STALL) as response:
        # The end is in the socket before the first byte is read.
        await asyncio.sleep(0.1)
        for _ in range(2):
            with pytest.raises(NetworkError) as caught:
                await read_into(received, response.content, limit)
            assert caught.value.kind is kind
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
        assert await response.content.read() == b""
        response.content.check_end()
    assert received == expected_bytes(0, 0, size)


async def test_a_cancelled_read_loses_no_byte(session: Session, origin: Origin) -> None:
    size = 300_000
    origin.script("/f", ScriptedResponse(size=size, rate=600_000))
    received = bytearray()
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        while len(received) < size:
            reading = asyncio.create_task(response.content.read())
            await asyncio.wait((reading,), timeout=0.003)
            reading.cancel()
            await asyncio.wait((reading,))
            if not reading.cancelled():
                received += reading.result()
    assert received == expected_bytes(0, 0, size)


async def test_a_fast_origin_leaves_time_to_other_tasks(session: Session, origin: Origin) -> None:
    size = 20 << 20
    origin.script("/f", ScriptedResponse(size=size, framing=Framing.CHUNKED))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count_turns())
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        await read_into([], response.content, -1)
    counting.cancel()
    assert turns > 20


async def test_content_longer_than_expected_is_an_error(session: Session, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1000, framing=Framing.CHUNKED))
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        response.content.expected_length = 999
        with pytest.raises(NetworkError, match="more bytes than it had announced") as surplus:
            await read_into([], response.content, -1)
    assert surplus.value.invalidates_part


@pytest.mark.parametrize("pause", [0.0, 0.05], ids=["at once", "head first"])
async def test_bytes_behind_the_content_are_an_error_for_a_reader_that_stops_there(
    session: Session, origin: Origin, pause: float
) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcH"
    origin.script("/f", ScriptedResponse(raw=raw, raw_pause=pause))
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        assert await response.content.read(3) == b"abc"
        with pytest.raises(NetworkError, match="more bytes than it had announced"):
            response.content.check_end()


async def test_only_long_content_that_was_not_read_is_detached(session: Session, origin: Origin) -> None:
    for size, is_read, is_detached in (
        (MIN_DETACH_BYTES - 1, False, False),
        (MIN_DETACH_BYTES, True, False),
        (MIN_DETACH_BYTES, False, True),
    ):
        origin.script("/f", ScriptedResponse(size=size))
        async with session.get(origin.url("/f"), RangeRequest()) as response:
            if is_read:
                await response.content.read(10)
            detached = response.content.detach(may_splice=True)
            assert (detached is not None) is is_detached
            if detached is not None:
                assert len(detached.prefetched) + detached.remaining == size
                assert response.content.detach(may_splice=True) is None
                with detached:
                    pass


async def test_a_connection_is_reused_after_its_content_only(session: Session, origin: Origin) -> None:
    size = MIN_DETACH_BYTES
    origin.script("/f", ScriptedResponse(size=size))
    for count, is_whole in ((1, True), (1, False), (2, True)):
        async with session.get(origin.url("/f"), RangeRequest()) as response:
            pieces: list[bytes] = []
            if is_whole:
                await read_into(pieces, response.content, -1)
        assert origin.connections == count
        # A connection with unread bytes was closed.
        assert sum(map(len, pieces)) == (size if is_whole else 0)


async def test_no_descriptor_is_left(session: Session, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=MIN_DETACH_BYTES, cut_after=1000))
    before = len(os.listdir("/proc/self/fd"))
    for may_splice in (True, False):
        async with session.get(origin.url("/f"), RangeRequest()) as response:
            detached = response.content.detach(may_splice=may_splice)
            assert detached is not None
            with detached:
                pass
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while len(os.listdir("/proc/self/fd")) > before:
            await asyncio.sleep(0.01)
