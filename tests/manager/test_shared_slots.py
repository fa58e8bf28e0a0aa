"""Slots that several nodes share, with records that fail and calls that are cancelled."""

import asyncio
from collections.abc import Coroutine, Sequence

import pytest
from support.fake_admission import FakeAdmission
from support.waiting import wait_until

from downloadd.clock import SystemClock
from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import SharedScheduler
from downloadd.manager.shared_slots import SharedHostSlots, SlotWriter
from downloadd.records.admission import SlotHolding
from downloadd.records.protocol import WaitingDownload

A, CDN = "https://a.example", "https://cdn.example.net"


class Setup:
    """Slots of a node that runs the download 1."""

    def __init__(self) -> None:
        self.admission = FakeAdmission()
        self.shared = SharedScheduler(Limits(max_concurrent=3, max_per_host=3), SystemClock())
        self.writer = SlotWriter(self.admission)
        self.slots = SharedHostSlots(self.shared, self.admission, self.writer)
        self.shared.scheduler.add(WaitingDownload(seq=1, origin=A, priority=0))
        assert self.shared.scheduler.select_ready(self.shared.now) == [1]
        self.admission.held[1, A] = 1
        self.writer.ledger.hold(1, A, 1)

    def running(self, origin: str) -> int:
        """Return the slots in use in this process."""
        entry = self.shared.scheduler.origins.get(origin)
        return 0 if entry is None else entry.running


@pytest.fixture
def setup() -> Setup:
    return Setup()


async def test_a_slot_is_taken_here_and_in_the_records_and_freed_in_both(setup: Setup) -> None:
    setup.admission.used = {A: 1}
    assert await setup.slots.acquire(1, A, 2) == 1
    assert (setup.admission.held, setup.running(A)) == ({(1, A): 2}, 2)
    setup.slots.release(1, A, 1)
    assert await setup.slots.enter(1, A, CDN)
    assert setup.admission.held == {(1, A): 1, (1, CDN): 1}
    setup.slots.leave(1)
    setup.slots.free(1)
    setup.slots.free(1)
    await wait_until(lambda: not setup.admission.held)
    assert (setup.running(A), setup.running(CDN)) == (0, 0)


async def test_without_records_no_further_connection_is_made_and_a_redirect_waits(setup: Setup) -> None:
    setup.admission.failures = 1
    assert await setup.slots.acquire(1, A, 1) == 0
    assert (setup.admission.held, setup.running(A)) == ({(1, A): 1}, 1)
    setup.admission.failures = 1
    assert await setup.slots.enter(1, A, CDN)
    assert setup.admission.held == {(1, A): 1, (1, CDN): 1}


async def test_a_cancelled_call_has_taken_no_slot(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, proceed = asyncio.Event(), asyncio.Event()
    acquire = setup.admission.acquire

    async def acquire_slowly(holding: SlotHolding, limit: int, changes: Sequence[SlotHolding]) -> int:
        entered.set()
        number = await acquire(holding, limit, changes)
        # The change takes place though its caller is cancelled.
        await proceed.wait()
        return number

    monkeypatch.setattr(setup.admission, "acquire", acquire_slowly)
    calls: list[Coroutine[object, object, object]] = [setup.slots.acquire(1, A, 1), setup.slots.enter(1, A, CDN)]
    for call in calls:
        entered.clear()
        task = asyncio.create_task(call)
        await entered.wait()
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()
        await wait_until(lambda: setup.admission.held == {(1, A): 1})
        assert (setup.running(A), setup.running(CDN)) == (1, 0)


async def test_slots_that_cannot_be_freed_are_freed_later(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downloadd.manager.shared_slots.FREE_RETRY_SECONDS", 0.01)
    setup.admission.failures = 2
    setup.slots.free(1)
    await wait_until(lambda: not setup.admission.held)
    await setup.writer.close()


async def test_what_is_freed_counts_with_the_next_slot(setup: Setup) -> None:
    setup.writer.ledger.hold(2, A, 2)
    setup.admission.held[2, A] = 2
    setup.writer.ledger.end(2)
    assert await setup.slots.acquire(1, A, 1) == 1
    assert setup.admission.held == {(1, A): 2}
    await setup.admission.free([SlotHolding(seq=1, origin=A, number=0)])
