"""The dispatcher of a single process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace
from support.clocks import LoopClock
from support.virtual_time import in_virtual_time
from support.waiting import wait_until

from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.origin_health import FailureKind, OriginFailure
from downloadd.manager.retry import MAX_RETRY_AFTER_SECONDS
from downloadd.records.protocol import WaitingDownload
from downloadd.states import WaitReason

CLOCK = LoopClock()


def waiting(seq: int, *, delay: float | None = None) -> WaitingDownload:
    return WaitingDownload(seq=seq, origin="a", priority=0, not_before=None if delay is None else CLOCK.wall() + delay)


@pytest.fixture
def dispatcher() -> LocalDispatcher:
    return LocalDispatcher(Limits(max_concurrent=2, max_per_host=2), CLOCK)


@asynccontextmanager
async def dispatching(dispatcher: LocalDispatcher) -> AsyncIterator[list[int]]:
    """Start downloads that are ready, and yield those that have started."""
    started: list[int] = []

    async def start(seqs: Sequence[int]) -> None:
        started.extend(seqs)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(dispatcher.dispatch(start))
        yield started
        task.cancel()


@in_virtual_time
async def test_downloads_start_within_the_limits_and_when_a_slot_is_free(dispatcher: LocalDispatcher) -> None:
    async with dispatching(dispatcher) as started:
        dispatcher.enqueue([waiting(1), waiting(2), waiting(3)])
        await wait_until(lambda: started == [1, 2])
        assert dispatcher.waiting == 1
        assert dispatcher.wait_reasons()[WaitReason.HOST_LIMIT] == 1
        assert dispatcher.origin_usage().connections == 2
        dispatcher.finish(1)
        await wait_until(lambda: started == [1, 2, 3])


@in_virtual_time
async def test_a_delayed_download_starts_when_its_delay_ends(dispatcher: LocalDispatcher) -> None:
    async with dispatching(dispatcher) as started:
        dispatcher.enqueue([waiting(1, delay=0.05), waiting(2, delay=3600)])
        await wait_until(lambda: started == [1])
        assert "the next attempt starts in" in dispatcher.describe_wait("a", CLOCK.wall() + 3600)


@in_virtual_time
async def test_a_time_beyond_the_longest_delay_was_recorded_before_the_clock_was_set_back(
    dispatcher: LocalDispatcher,
) -> None:
    described = dispatcher.describe_wait("a", CLOCK.wall() + 100 * MAX_RETRY_AFTER_SECONDS)
    assert described == f"the next attempt starts in {MAX_RETRY_AFTER_SECONDS:.0f} s"


@in_virtual_time
async def test_a_download_that_is_dequeued_does_not_start(dispatcher: LocalDispatcher) -> None:
    async with dispatching(dispatcher) as started:
        dispatcher.enqueue([waiting(1)])
        dispatcher.dequeue(1)
        dispatcher.enqueue([waiting(2)])
        await wait_until(lambda: started == [2])


@in_virtual_time
async def test_a_suspension_and_a_block_hold_the_queue_until_they_end(dispatcher: LocalDispatcher) -> None:
    async with dispatching(dispatcher) as started:
        dispatcher.set_suspension("the disk is full")
        dispatcher.enqueue([waiting(1)])
        await asyncio.sleep(60)
        assert (started, dispatcher.describe_wait("a", None)) == ([], "the disk is full")
        dispatcher.report_failure("a", OriginFailure(kind=FailureKind.BUSY, seq=9, detail="429", retry_after=20))
        dispatcher.set_suspension(None)
        assert "a asked to wait" in dispatcher.describe_wait("a", None)
        await wait_until(lambda: started == [1])


@in_virtual_time
async def test_acquired_slots_and_new_limits_count(dispatcher: LocalDispatcher) -> None:
    async with dispatching(dispatcher) as started:
        assert dispatcher.acquire("a", 5) == 2
        dispatcher.enqueue([waiting(1), waiting(2), waiting(3)])
        await asyncio.sleep(60)
        assert started == []
        dispatcher.release("a", 2)
        await wait_until(lambda: started == [1, 2])
        dispatcher.change_limits(Limits(max_concurrent=3, max_per_host=3))
        await wait_until(lambda: started == [1, 2, 3])


@in_virtual_time
async def test_a_slot_behind_a_redirect_that_is_free_again_starts_the_next_download(
    dispatcher: LocalDispatcher,
) -> None:
    async with dispatching(dispatcher) as started:
        dispatcher.enqueue([waiting(1)])
        await wait_until(lambda: started == [1])
        dispatcher.acquire("cdn", 1)
        assert dispatcher.enter(1, "a", "cdn")
        dispatcher.enqueue([replace(waiting(2), target="cdn")])
        # It is tried again after some seconds anyway.
        await asyncio.sleep(0.02)
        assert started == [1]
        assert "a redirects to cdn" in dispatcher.describe_wait("a", None, seq=2)
        dispatcher.leave(1)
        await wait_until(lambda: started == [1, 2])
        assert (dispatcher.expected_target(2), dispatcher.expected_target(1)) == ("cdn", None)
