"""Slots of the origins that redirects lead requests to."""

from collections import Counter

import pytest
from support.fake_slots import FakeSlots

from downloadd.transfer.connection_slots import NoTargetSlotError, RedirectSlots, RequestPath

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
