import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.virtual_time import LoopClock, in_virtual_time

from downloadd.manager.rate_limit import (
    MAX_READ_BYTES,
    MIN_READ_BYTES,
    Account,
    DownloadLimiter,
    TokenBucket,
    UntimedLimiter,
)
from downloadd.manager.run_timer import RunTimer

MANY = 1 << 30


def seconds() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def readers(*limiters: DownloadLimiter, wanted: Sequence[int] = ()) -> AsyncIterator[list[int]]:
    """Read as much as each limiter allows, `wanted` bytes at once; yield the counts."""
    counts = [0] * len(limiters)

    async def read(number: int) -> None:
        while True:
            counts[number] += await limiters[number].acquire(wanted[number] if wanted else MANY)

    tasks = [asyncio.ensure_future(read(number)) for number in range(len(limiters))]
    yield counts
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@in_virtual_time
async def test_a_limit_holds_over_time() -> None:
    limiter, began = DownloadLimiter(TokenBucket(1_000_000), TokenBucket(0)), seconds()
    async with readers(limiter) as counts:
        await asyncio.sleep(1)
        assert counts[0] == pytest.approx(1_000_000 * (seconds() - began), rel=0.1)


@in_virtual_time
async def test_an_idle_phase_is_not_followed_by_a_burst() -> None:
    limit, account = TokenBucket(100_000), Account()
    await limit.acquire(1, account)
    await asyncio.sleep(0.5)
    began = seconds()
    await limit.acquire(20_000, account)
    await limit.acquire(20_000, account)
    await limit.acquire(1, account)
    assert seconds() - began > 0.25


@in_virtual_time
async def test_no_limit_never_waits() -> None:
    limiter = DownloadLimiter(TokenBucket(0), TokenBucket(0))
    assert await asyncio.wait_for(limiter.acquire(MANY), 1) == MANY


@in_virtual_time
async def test_a_changed_rate_holds_for_readers_that_wait_already() -> None:
    limit, account = TokenBucket(1), Account()
    await limit.acquire(1 << 20, account)
    waiting = asyncio.ensure_future(limit.acquire(1, account))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    limit.rate = 1000
    await asyncio.wait_for(waiting, 1)
    await limit.acquire(1 << 20, account)
    waiting = asyncio.ensure_future(limit.acquire(1, account))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    limit.rate = 0
    await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize(("own", "shared"), [(200_000, 2_000_000), (2_000_000, 200_000)])
@in_virtual_time
async def test_the_stricter_limit_holds(own: int, shared: int) -> None:
    limiter, began = DownloadLimiter(TokenBucket(own), TokenBucket(shared)), seconds()
    async with readers(limiter) as counts:
        await asyncio.sleep(1)
        assert counts[0] == pytest.approx(200_000 * (seconds() - began), rel=0.15)


@in_virtual_time
async def test_readers_get_equal_shares_with_reads_of_any_size() -> None:
    shared = TokenBucket(3_000_000)
    limiters = [DownloadLimiter(TokenBucket(0), shared) for _ in range(3)]
    # The third one has four connections.
    async with readers(*limiters, *limiters[2:] * 3, wanted=[MANY, 2_000, *[MANY] * 4]) as counts:
        await asyncio.sleep(0.3)
        before = counts.copy()
        await asyncio.sleep(1)
        first, second, *third = (after - early for after, early in zip(counts, before, strict=True))
        assert first == pytest.approx(second, rel=0.2)
        assert first == pytest.approx(sum(third), rel=0.2)


@in_virtual_time
async def test_the_unused_share_of_a_reader_goes_to_the_others() -> None:
    shared = TokenBucket(1_000_000)
    modest, greedy = DownloadLimiter(TokenBucket(100_000), shared), DownloadLimiter(TokenBucket(0), shared)
    async with readers(modest, greedy) as counts:
        await asyncio.sleep(0.3)
        before, began = counts.copy(), seconds()
        await asyncio.sleep(1)
        rates = [(after - early) / (seconds() - began) for after, early in zip(counts, before, strict=True)]
        assert rates == pytest.approx([100_000, 900_000], rel=0.15)


@in_virtual_time
async def test_a_reader_that_starts_late_gets_no_more_than_its_share() -> None:
    shared = TokenBucket(1_000_000)
    old, new = DownloadLimiter(TokenBucket(0), shared), DownloadLimiter(TokenBucket(0), shared)
    async with readers(old):
        await asyncio.sleep(0.5)
        async with readers(new, old) as counts:
            await asyncio.sleep(0.5)
            assert counts[0] < 350_000


@in_virtual_time
async def test_bytes_that_were_not_read_are_not_charged() -> None:
    limiter = DownloadLimiter(TokenBucket(1000), TokenBucket(1000))
    began = seconds()
    for _ in range(100):
        limiter.release(await limiter.acquire(MANY))
    assert seconds() - began < 0.5


@in_virtual_time
async def test_a_reader_that_stops_waiting_keeps_its_position_and_is_not_charged() -> None:
    limit, patient, impatient = TokenBucket(10_000), Account(), Account()
    await limit.acquire(3_000, patient)
    had = impatient.finish_tag
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await limit.acquire(1_000_000, impatient)
    assert impatient.finish_tag - had <= 3_000
    began = seconds()
    await limit.acquire(1, patient)
    assert seconds() - began < 0.6


@given(own=st.integers(0, 10**12), shared=st.integers(0, 10**12))
def test_portions_are_small_enough_to_be_smooth(own: int, shared: int) -> None:
    async def portion() -> int:
        return await DownloadLimiter(TokenBucket(own), TokenBucket(shared)).acquire(MANY)

    granted = asyncio.run(portion())
    if own == shared == 0:
        assert granted == MANY
    else:
        assert MIN_READ_BYTES <= granted <= MAX_READ_BYTES


@in_virtual_time
async def test_a_limit_can_be_set_and_removed_while_running() -> None:
    limiter = DownloadLimiter(TokenBucket(0), TokenBucket(0))
    limiter.set_rate(100)
    assert await limiter.acquire(MANY) == MIN_READ_BYTES
    waiting = asyncio.ensure_future(limiter.acquire(MANY))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    limiter.set_rate(0)
    assert await asyncio.wait_for(waiting, 1) == MIN_READ_BYTES
    assert await limiter.acquire(MANY) == MANY


@in_virtual_time
async def test_all_readers_continue_when_a_limit_is_removed() -> None:
    limit, account = TokenBucket(1000), Account()
    await limit.acquire(1000, account)
    waiting = [asyncio.ensure_future(limit.acquire(5000, account)) for _ in range(3)]
    await asyncio.sleep(0.05)
    limit.rate = 0
    await asyncio.wait_for(asyncio.gather(*waiting), 1)


@in_virtual_time
async def test_the_wait_for_a_limit_does_not_count_for_the_timeout() -> None:
    timer = RunTimer(LoopClock(), timeout=1, spent_before=0)
    limiter = UntimedLimiter(DownloadLimiter(TokenBucket(MIN_READ_BYTES), TokenBucket(0)), timer.paused)
    async with timer.limited():
        for _ in range(10):
            limiter.release(await limiter.acquire(MIN_READ_BYTES) - MIN_READ_BYTES)
        await asyncio.sleep(0.9)
    assert seconds() > 5
    assert timer.spent == pytest.approx(0.9, abs=0.01)
