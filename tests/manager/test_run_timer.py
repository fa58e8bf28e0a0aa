"""Time that runs use of the timeout of a download."""

import asyncio

import pytest
from records.contract import ManualClock
from support.virtual_time import LoopClock, in_virtual_time

from downloadd.manager.run_timer import RunTimer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_the_time_of_earlier_runs_counts(clock: ManualClock) -> None:
    timer = RunTimer(clock, timeout=100, spent_before=30)
    clock.now += 20
    assert (timer.spent, timer.time_left) == (50, 50)


def test_without_a_timeout_no_time_is_left_to_count(clock: ManualClock) -> None:
    assert RunTimer(clock, timeout=0, spent_before=30).time_left is None


async def test_pauses_do_not_count_and_may_overlap(clock: ManualClock) -> None:
    timer = RunTimer(clock, timeout=100, spent_before=0)
    first, second = timer.paused(), timer.paused()
    first.__enter__()
    clock.now += 1
    second.__enter__()
    clock.now += 1
    first.__exit__(None, None, None)
    paused = [timer.is_paused]
    clock.now += 1
    second.__exit__(None, None, None)
    assert [*paused, timer.is_paused] == [True, False]
    clock.now += 5
    assert timer.spent == 5


@in_virtual_time
async def test_a_block_is_limited_to_the_time_that_is_left() -> None:
    timer = RunTimer(LoopClock(), timeout=10, spent_before=9)
    with pytest.raises(TimeoutError):
        async with timer.limited():
            await asyncio.sleep(3600)
    assert timer.spent == pytest.approx(10)


@in_virtual_time
async def test_a_block_with_no_time_left_ends_at_its_first_wait() -> None:
    timer = RunTimer(LoopClock(), timeout=10, spent_before=20)
    with pytest.raises(TimeoutError):
        async with timer.limited():
            await asyncio.sleep(3600)
    assert timer.spent == pytest.approx(20)


@in_virtual_time
async def test_without_a_timeout_a_block_is_not_limited() -> None:
    async with RunTimer(LoopClock(), timeout=0, spent_before=0).limited():
        await asyncio.sleep(1_000_000)


@in_virtual_time
async def test_a_pause_extends_the_limit_of_the_block() -> None:
    timer = RunTimer(LoopClock(), timeout=10, spent_before=9)
    async with timer.limited():
        with timer.paused():
            await asyncio.sleep(50)
        await asyncio.sleep(0.9)
    assert timer.spent == pytest.approx(9.9)


@in_virtual_time
async def test_the_limit_continues_after_a_pause() -> None:
    timer = RunTimer(LoopClock(), timeout=10, spent_before=9)

    async def pause_and_go_on() -> None:
        async with timer.limited():
            with timer.paused():
                await asyncio.sleep(50)
            await asyncio.sleep(3600)

    with pytest.raises(TimeoutError):
        await pause_and_go_on()
    assert timer.spent == pytest.approx(10)
