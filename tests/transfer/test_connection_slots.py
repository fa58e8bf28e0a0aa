"""Slots of the origins that redirects lead requests to."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_slots import FakeSlots

from downloadd.transfer.connection_slots import NoTargetSlotError, RedirectSlots, RequestPath, distributed_slots
from downloadd.transfer.sources import Source

CDN = "https://cdn.example.net"
MIRROR = "https://mirror.example.org"
SOURCE = "https://a.example"


async def test_requests_that_follow_each_other_share_the_slot_of_the_run() -> None:
    slots = FakeSlots()
    redirects = RedirectSlots(1, slots)
    for _ in range(2):
        async with redirects.enter(SOURCE, CDN):
            assert +slots.acquired == Counter({CDN: 1})
        assert +slots.acquired == Counter({CDN: 1})
    async with redirects.enter(SOURCE, MIRROR):
        assert +slots.acquired == Counter({MIRROR: 1})
    assert redirects.targets == {SOURCE: MIRROR}


async def test_connections_at_the_same_time_have_a_slot_each() -> None:
    slots = FakeSlots(limits={CDN: 2})
    redirects = RedirectSlots(1, slots)
    async with redirects.enter(SOURCE, CDN):
        async with redirects.enter(SOURCE, CDN):
            assert slots.acquired[CDN] == 2
            with pytest.raises(NoTargetSlotError) as refused:
                async with redirects.enter(SOURCE, CDN):
                    pass
            assert refused.value.origin == CDN
        assert slots.acquired[CDN] == 1
    assert slots.acquired[CDN] == 1


async def test_without_a_slot_for_the_run_nothing_is_entered() -> None:
    redirects = RedirectSlots(1, FakeSlots(0))
    with pytest.raises(NoTargetSlotError):
        async with redirects.enter(SOURCE, CDN):
            pass
    # The download waits for that origin.
    assert redirects.targets == {SOURCE: CDN}


async def test_a_redirect_within_an_origin_needs_no_slot() -> None:
    slots = FakeSlots(0)
    redirects = RedirectSlots(1, slots)
    async with redirects.enter(SOURCE, SOURCE), redirects.enter(SOURCE, SOURCE):
        pass
    assert (redirects.targets, +slots.acquired) == ({}, Counter())


async def test_the_slot_of_the_run_is_released_unless_a_connection_uses_it() -> None:
    slots = FakeSlots()
    redirects = RedirectSlots(1, slots)
    async with redirects.enter(SOURCE, CDN):
        redirects.leave_unused()
        assert slots.acquired[CDN] == 1
    redirects.leave_unused()
    assert slots.acquired[CDN] == 0


async def test_a_request_knows_where_it_is_and_which_origins_have_redirected_it() -> None:
    redirects = RedirectSlots(1, FakeSlots(limits={CDN: 0}))
    path = RequestPath(SOURCE, redirects)
    async with path.enter(SOURCE):
        assert (path.origin, redirects.redirected_by) == (SOURCE, set())
    async with path.enter(MIRROR):
        assert (path.origin, redirects.redirected_by) == (MIRROR, {SOURCE})
    with pytest.raises(NoTargetSlotError):
        async with path.enter(CDN):
            pass
    assert (path.origin, redirects.redirected_by) == (CDN, {SOURCE, MIRROR})


@given(
    origins=st.lists(st.sampled_from("abc"), min_size=1, max_size=6),
    count=st.integers(1, 16),
    free=st.fixed_dictionaries(dict.fromkeys("abc", st.integers(0, 8))),
)
async def test_slots_are_distributed_evenly_as_far_as_hosts_have_them(
    origins: list[str], count: int, free: dict[str, int]
) -> None:
    sources = [Source(number, f"http://{origin}/{number}", origin) for number, origin in enumerate(origins)]
    slots = FakeSlots(limits=free)
    async with distributed_slots(sources, count, seq=1, slots=slots) as total:
        given = [source.slots for source in sources]
        assert sum(given) == total == 1 + slots.acquired.total() <= max(count, 1)
        assert given[0] >= 1
        left = {origin for origin in origins if slots.acquired[origin] < free[origin]}
        if total < count:
            # Every source without a further slot has used all slots of its origin.
            assert not left
        else:
            able = [source.slots for source in sources[1:] if source.origin in left]
            assert not able or max(given) - min(able) <= 1
    assert not slots.acquired.total()


async def test_a_distribution_that_is_cancelled_gives_back_what_it_has_acquired() -> None:
    class SlowSlots(FakeSlots):
        async def acquire(self, seq: int, origin: str, count: int) -> int:
            if self.acquired.total() == 2:
                await asyncio.Event().wait()
            return await super().acquire(seq, origin, count)

    slots = SlowSlots()

    async def distribute() -> None:
        async with distributed_slots([Source(0, SOURCE, SOURCE)], 9, seq=1, slots=slots):
            pass

    distributing = asyncio.create_task(distribute())
    while slots.acquired.total() < 2:
        await asyncio.sleep(0)
    distributing.cancel()
    await asyncio.wait((distributing,))
    assert distributing.cancelled()
    assert not slots.acquired.total()


async def test_connections_that_wait_for_a_slot_do_not_share_that_of_the_run() -> None:
    entering = asyncio.Event()

    class SlowSlots(FakeSlots):
        async def enter(self, seq: int, source: str, origin: str) -> bool:
            await entering.wait()
            return await super().enter(seq, source, origin)

    slots = SlowSlots(limits={CDN: 2})
    redirects = RedirectSlots(1, slots)

    async def connect() -> None:
        async with redirects.enter(SOURCE, CDN):
            entering.set()
            await asyncio.sleep(0)
            assert slots.acquired[CDN] == 2

    async with asyncio.TaskGroup() as group:
        group.create_task(connect())
        await asyncio.sleep(0)
        async with redirects.enter(SOURCE, CDN):
            assert slots.acquired[CDN] == 1
            entering.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
