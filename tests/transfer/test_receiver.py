"""Receiving of content into a part file, over real sockets and disks."""

import asyncio
import gc
from collections.abc import Callable

import pytest
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT

from downloadd.clock import SystemClock
from downloadd.errors import FileTooLargeError, NetworkError
from downloadd.storage.destination import Part
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.transfer.own_delays import OwnDelays
from downloadd.transfer.receiver import Receiver, finish_then_cancel
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.segments import Segment
from downloadd.transfer.session import Session

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
SIZE = 5 << 20
BOTH_WAYS = pytest.mark.parametrize("may_splice", [False, True], ids=["buffered", "spliced"])


class CountingLimiter:
    """Limiter that grants at most so many bytes at once, and counts those that were used."""

    def __init__(self, max_bytes: int = 1 << 20) -> None:
        self.max_bytes = max_bytes
        self.used = 0

    async def acquire(self, max_bytes: int) -> int:
        granted = min(max_bytes, self.max_bytes)
        self.used += granted
        return granted

    def release(self, nbytes: int) -> None:
        self.used -= nbytes


class Reception:
    """One receiver with its part file and counters."""

    def __init__(self, part: Part, *, on_received: Callable[[int], None] | None = None) -> None:
        self.part = part
        self.limiter = CountingLimiter()
        self.received = 0
        self.announced = 0
        self._on_received = on_received
        self.receiver = Receiver(
            part,
            clock=SystemClock(),
            limiter=self.limiter,
            flush_interval=lambda: 0.05,
            before_write=self._before_write,
            on_received=self._count,
            delays=OwnDelays(SystemClock()),
        )

    async def _before_write(self, size: int, is_last: bool) -> None:
        self.announced += size
        assert self.part.size + size <= self.announced

    def _count(self, nbytes: int) -> None:
        self.received += nbytes
        if self._on_received is not None:
            self._on_received(self.received)


async def open_part(destination: LocalDestination) -> Part:
    return await destination.open_part(
        directory="", filename=parse_filename("f"), download_id=ID, epoch=1, existing=None
    )


@BOTH_WAYS
async def test_all_bytes_are_written_counted_and_charged_to_the_limit(
    destination: LocalDestination, session: Session, origin: Origin, may_splice: bool
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE))
    part, segment = await open_part(destination), Segment(0)
    reception = Reception(part)
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        await reception.receiver.receive(response.content, segment, may_splice=may_splice)
    assert await part.read(0, SIZE + 1) == expected_bytes(0, 0, SIZE)
    assert (reception.received, reception.limiter.used) == (SIZE, SIZE)
    assert (segment.position, segment.read_position) == (SIZE, SIZE)
    await part.close()


@BOTH_WAYS
async def test_a_segment_ends_before_its_content(
    destination: LocalDestination, session: Session, origin: Origin, may_splice: bool
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE))
    part, segment = await open_part(destination), Segment(0, 100_000)
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        await Reception(part).receiver.receive(response.content, segment, may_splice=may_splice)
    assert (part.size, segment.is_complete) == (100_000, True)
    assert await part.read(0, SIZE) == expected_bytes(0, 0, 100_000)
    await part.close()


@BOTH_WAYS
async def test_bytes_before_a_broken_connection_are_in_the_part_file(
    destination: LocalDestination, session: Session, origin: Origin, may_splice: bool
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, cut_after=SIZE - 1000))
    part, segment = await open_part(destination), Segment(0)
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        with pytest.raises(NetworkError):
            await Reception(part).receiver.receive(response.content, segment, may_splice=may_splice)
    assert await part.read(0, SIZE) == expected_bytes(0, 0, SIZE - 1000)
    assert segment.position == SIZE - 1000
    await part.close()


@BOTH_WAYS
async def test_an_exceeded_limit_ends_the_reception_and_keeps_the_bytes(
    destination: LocalDestination, session: Session, origin: Origin, may_splice: bool
) -> None:
    def check(received: int) -> None:
        if received > 100_000:
            raise FileTooLargeError(100_000)

    origin.script("/f", ScriptedResponse(size=SIZE))
    part, segment = await open_part(destination), Segment(0)
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        with pytest.raises(FileTooLargeError):
            await Reception(part, on_received=check).receiver.receive(response.content, segment, may_splice=may_splice)
    assert await part.read(0, SIZE) == expected_bytes(0, 0, part.size)
    await part.close()


async def test_few_bytes_are_written_after_the_flush_interval(
    destination: LocalDestination, session: Session, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=1000, stall_after=100))
    part = await open_part(destination)
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        receiving = asyncio.create_task(
            Reception(part).receiver.receive(response.content, Segment(0), may_splice=False)
        )
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while part.size < 100:
                await asyncio.sleep(0.01)
        assert not receiving.done()
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
    await part.close()


async def test_cancelled_work_is_finished_before_the_cancellation_is_raised() -> None:
    may_end = asyncio.Event()

    async def work() -> int:
        await may_end.wait()
        return 7

    task = asyncio.create_task(work())
    waiting = asyncio.create_task(finish_then_cancel(task))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert task.result() == 7


async def test_an_error_of_cancelled_work_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    may_end = asyncio.Event()

    async def fail() -> None:
        await may_end.wait()
        raise NetworkError("reset")

    waiting = asyncio.create_task(finish_then_cancel(asyncio.create_task(fail())))
    await asyncio.sleep(0)
    waiting.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gc.collect()
    assert caplog.records == []
