"""Delays that the daemon causes itself, in virtual time."""

import asyncio

import pytest
from support.clocks import LoopClock
from support.virtual_time import in_virtual_time

from downloadd.transfer.own_delays import OwnDelays


@in_virtual_time
async def test_a_delay_counts_while_it_lasts_and_afterwards() -> None:
    delays = OwnDelays(LoopClock())
    with delays.counted():
        await asyncio.sleep(3)
        assert delays.seconds == pytest.approx(3, abs=0.01)
    await asyncio.sleep(5)
    assert delays.seconds == pytest.approx(3, abs=0.01)


@in_virtual_time
async def test_delays_at_the_same_time_count_once() -> None:
    delays = OwnDelays(LoopClock())

    async def wait(before: float, seconds: float) -> None:
        await asyncio.sleep(before)
        with delays.counted():
            await asyncio.sleep(seconds)

    await asyncio.gather(wait(0, 4), wait(2, 4))
    assert delays.seconds == pytest.approx(6, abs=0.01)


@in_virtual_time
async def test_work_that_may_take_some_seconds_counts_only_for_longer() -> None:
    delays = OwnDelays(LoopClock())
    for seconds in (0.5, 4):
        with delays.counted_after(1):
            await asyncio.sleep(seconds)
    assert delays.seconds == pytest.approx(3, abs=0.01)


@in_virtual_time
async def test_a_clock_that_is_not_needed_stands_still() -> None:
    delays = OwnDelays(LoopClock(), is_needed=False)
    with delays.counted(), delays.counted_after(1):
        await asyncio.sleep(5)
    assert delays.seconds == 0
