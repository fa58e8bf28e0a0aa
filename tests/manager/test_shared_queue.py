"""Queue that several nodes share, with records that fail."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.dispatchers import ClaimAll
from support.fake_admission import FakeAdmission
from support.waiting import wait_until

from downloadd.clock import SystemClock
from downloadd.download import Download
from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import LocalQueue, SharedScheduler
from downloadd.manager.shared_queue import SharedQueue
from downloadd.manager.shared_slots import SlotWriter
from downloadd.manager.waiting_count import WaitingCount
from downloadd.records.admission import DelayedCount
from downloadd.records.protocol import WaitingDownload
from downloadd.states import State, WaitReason

A = "https://a.example"


class Setup:
    """Queue of a node, and what it has started."""

    def __init__(self) -> None:
        self.admission = FakeAdmission()
        self.lease = asyncio.Event()
        self.lease.set()
        clock = SystemClock()
        shared = SharedScheduler(Limits(max_concurrent=2, max_per_host=2), clock)
        self.queue = SharedQueue(
            shared,
            LocalQueue(shared, ClaimAll()),
            admission=self.admission,
            writer=SlotWriter(self.admission),
            waiting=WaitingCount(self._read_counts, clock),
            wait_for_lease=self._wait_for_lease,
        )
        self.started: list[Download] = []

    @property
    def seqs(self) -> list[int]:
        return [row.seq for row in self.started]

    def add(self, *seqs: int) -> None:
        """Let downloads wait in the records, and hint at them."""
        waiting = [WaitingDownload(seq=seq, origin=A, priority=0) for seq in seqs]
        self.admission.waiting += waiting
        self.queue.enqueue(waiting)

    async def _wait_for_lease(self) -> None:
        await self.lease.wait()

    async def _read_counts(self) -> dict[State, int]:
        return {State.QUEUED: 9}


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    setup = Setup()
    dispatching = asyncio.create_task(setup.queue.dispatch(setup.started.extend))
    yield setup
    dispatching.cancel()
    await asyncio.wait((dispatching,))


async def test_reads_and_claims_are_repeated_while_the_records_are_unavailable(setup: Setup) -> None:
    await wait_until(lambda: setup.admission.requests)
    setup.admission.failures = 1
    setup.queue.wake()
    await wait_until(lambda: not setup.admission.failures)
    setup.add(1)
    setup.admission.failures = 1
    await wait_until(lambda: setup.seqs == [1])
    setup.queue.finish(1)
    await wait_until(lambda: not setup.admission.held)


async def test_nothing_is_claimed_without_the_lease(setup: Setup) -> None:
    setup.lease.clear()
    setup.add(1)
    await wait_until(lambda: setup.queue.holds_slots(1, A))
    assert not setup.started
    setup.lease.set()
    await wait_until(lambda: setup.seqs == [1])


async def test_without_room_no_routes_are_read(setup: Setup) -> None:
    setup.add(1, 2, 3)
    await wait_until(lambda: setup.seqs == [1, 2])
    read = len(setup.admission.requests)
    setup.queue.wake()
    await wait_until(lambda: len(setup.admission.requests) > read)
    assert [request.max_routes for request in setup.admission.requests[read:]] == [0]
    setup.queue.finish(2)
    await wait_until(lambda: setup.seqs == [1, 2, 3])


async def test_a_claim_that_others_came_before_is_tried_again_when_they_are_done(setup: Setup) -> None:
    setup.admission.used = {A: 2}
    setup.queue.change_limits(Limits(max_concurrent=2, max_per_host=2))
    setup.add(1)
    [reason] = [await setup.queue.wait_reasons()]
    assert not setup.started
    assert sum(reason.values()) == 9
    setup.admission.used = {}
    setup.queue.wake()
    await wait_until(lambda: setup.seqs == [1])


async def test_what_is_behind_the_window_waits_for_the_reason_of_most_in_it(setup: Setup) -> None:
    setup.admission.delayed = DelayedCount(retries=2, scheduled=1)
    setup.queue.set_suspension("held by the test")
    setup.add(1)
    await wait_until(lambda: setup.queue._window._known)
    reasons = await setup.queue.wait_reasons()
    assert reasons[WaitReason.DELAYED] == 2
    assert reasons[WaitReason.NOT_BEFORE] == 1
    assert reasons[WaitReason.STORAGE_UNAVAILABLE] == 6
