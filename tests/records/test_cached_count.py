"""Counts that are used again for a while."""

import asyncio

import pytest
from support.clocks import ManualClock
from support.waiting import wait_until

from downloadd.records.cached_count import MIN_CACHED_ROWS, SECONDS_PER_ROW, CachedCount


class Rows:
    """A number of rows, which counts how often they are counted."""

    def __init__(self) -> None:
        self.number = 0
        self.reads = 0
        self.revision = 0

    async def count(self) -> int:
        self.reads += 1
        await asyncio.sleep(0)
        return self.number


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def count(rows: Rows, clock: ManualClock) -> CachedCount[int]:
    return CachedCount(clock, rows.count, int, lambda: rows.revision)


async def test_few_rows_are_counted_after_each_change(rows: Rows, count: CachedCount[int]) -> None:
    assert [await count.get() for _ in range(2)] == [0, 0]
    assert rows.reads == 1
    rows.number, rows.revision = MIN_CACHED_ROWS - 1, 1
    assert await count.get() == rows.number
    assert rows.reads == 2


async def test_rows_that_changed_while_they_were_counted_are_counted_again(rows: Rows, count: CachedCount[int]) -> None:
    counting = asyncio.create_task(count.get())
    await wait_until(lambda: rows.reads == 1)
    rows.revision = 1
    await counting
    await count.get()
    assert rows.reads == 2


async def test_many_rows_are_counted_again_after_a_while(
    rows: Rows, count: CachedCount[int], clock: ManualClock
) -> None:
    rows.number = 1_000_000
    assert await count.get() == 1_000_000
    rows.number += 1
    rows.revision += 1
    clock.now += 1_000_000 * SECONDS_PER_ROW / 2
    assert await count.get() == 1_000_000
    clock.now += 1_000_000 * SECONDS_PER_ROW / 2
    assert await count.get() == 1_000_001
    assert rows.reads == 2


async def test_callers_at_the_same_time_share_one_count(rows: Rows, count: CachedCount[int]) -> None:
    rows.number = 1_000_000
    assert await asyncio.gather(*(count.get() for _ in range(20))) == [1_000_000] * 20
    assert rows.reads == 1


async def test_a_cancelled_caller_leaves_the_count_to_the_others(rows: Rows, count: CachedCount[int]) -> None:
    rows.number = 1_000_000
    first, second = (asyncio.ensure_future(count.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1_000_000
    assert first.cancelled()
