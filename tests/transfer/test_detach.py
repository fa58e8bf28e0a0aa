"""Ring buffer of a detached connection, and which responses are detached."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Cut, ScriptedResponse

from downloadd.errors import NetworkError
from downloadd.transfer.detach import MIN_DETACH_BYTES, RING_BUFFER_BYTES, RingBuffer, surplus_error
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.session import Session

pytestmark = pytest.mark.system


@given(
    size=st.integers(1, 16),
    steps=st.lists(st.tuples(st.sampled_from(["write", "read", "release"]), st.integers(0, 20)), max_size=60),
)
def test_bytes_leave_the_ring_in_the_order_in_which_they_were_written(size: int, steps: list[tuple[str, int]]) -> None:
    ring = RingBuffer(size)
    written, read, released = 0, 0, 0
    views: list[tuple[int, memoryview]] = []
    for step, nbytes in steps:
        match step:
            case "write":
                view = ring.writable_view()
                count = min(nbytes, len(view))
                view[:count] = bytes((written + index) % 256 for index in range(count))
                ring.mark_written(count)
                written += count
            case "read":
                view = ring.read_view(nbytes)
                assert len(view) <= nbytes
                views.append((read, view))
                read += len(view)
            case _:
                count = min(nbytes, read - released)
                ring.release(count)
                released += count
        assert ring.unread_bytes == written - read
        assert ring.free_bytes == size - (written - released)
        assert bool(ring.writable_view()) == (ring.free_bytes > 0)
        views = [(start, view) for start, view in views if start >= released]
        for start, view in views:
            assert bytes(view) == bytes((start + index) % 256 for index in range(len(view)))


def test_an_empty_ring_starts_again_at_its_first_page() -> None:
    ring = RingBuffer(10)
    for _ in range(5):
        ring.writable_view()[:3] = b"abc"
        ring.mark_written(3)
        assert bytes(ring.read_view(-1)) == b"abc"
        ring.release(3)
        assert len(ring.writable_view()) == 10


async def test_reading_pauses_until_bytes_are_released(session: Session, origin: Origin) -> None:
    size = 3 * RING_BUFFER_BYTES
    origin.script("/f", ScriptedResponse(size=size))
    received = bytearray()
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        unreleased = 0
        while len(received) < size:
            data = await response.content.read()
            received += data
            unreleased += len(data)
            if unreleased >= RING_BUFFER_BYTES // 2:
                response.content.release(unreleased)
                unreleased = 0
        assert await response.content.read() == b""
    assert received == expected_bytes(0, 0, size)


@pytest.mark.parametrize("cut", Cut)
async def test_a_detached_connection_that_breaks_is_an_error_after_its_bytes(
    session: Session, origin: Origin, cut: Cut
) -> None:
    origin.script("/f", ScriptedResponse(size=MIN_DETACH_BYTES, cut_after=MIN_DETACH_BYTES - 100, cut=cut))
    received = 0
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        with pytest.raises(NetworkError, match="the connection ended before the last byte"):  # noqa: PT012 - a loop
            while True:
                data = await response.content.read()
                received += len(data)
                response.content.release(len(data))
    assert received == MIN_DETACH_BYTES - 100


async def test_a_detached_connection_that_stalls_is_an_error(session: Session, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=MIN_DETACH_BYTES, stall_after=100))
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        detached = response.content.detach_socket()
        assert detached is not None
        with detached[1] as rest, pytest.raises(NetworkError, match="within the stall timeout"):  # noqa: PT012 - a loop
            while True:
                await rest.wait_readable(1 << 20, 0.2)


def test_surplus_bytes_invalidate_the_part_file() -> None:
    assert surplus_error().invalidates_part
