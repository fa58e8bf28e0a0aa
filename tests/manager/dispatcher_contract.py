"""Contract of `Dispatcher`, as tests.

An implementation is tested by a subclass of `DispatcherContract`, named `Test…`, in a module that has the fixtures
`records` (empty and open) and `dispatcher`, which claims in these records and begins with `LIMITS`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from msgspec.structs import replace
from support.stored_downloads import added, present, sample_download
from support.waiting import wait_until

from downloadd.clock import SystemClock
from downloadd.download import Desired, Download
from downloadd.errors import NetworkErrorKind
from downloadd.manager.dispatcher import Dispatcher
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import FailureKind, OriginFailure
from downloadd.manager.user_slots import UserHold
from downloadd.records.protocol import Records, WaitingDownload
from downloadd.records.queue_places import QueueEntry
from downloadd.states import State, WaitReason

LIMITS = Limits(max_concurrent=3, max_per_host=2)
A, B, CDN = "https://a.example", "https://b.example", "https://cdn.example.net"


async def describe_waits(dispatcher: Dispatcher, rows: Sequence[Download]) -> list[str]:
    """Return the reasons why downloads wait, in words."""
    return [notice.text for notice in await dispatcher.queue.explain_waits(rows)]


class Started:
    """Downloads that a dispatcher has started, in order.

    Attributes:
        rows: the claimed rows.
    """

    def __init__(self, records: Records, dispatcher: Dispatcher) -> None:
        self.rows: list[Download] = []
        self._records = records
        self._dispatcher = dispatcher

    @property
    def seqs(self) -> list[int]:
        return [row.seq for row in self.rows]

    async def enqueue(
        self,
        count: int = 1,
        *,
        origin: str = A,
        target: str | None = None,
        not_before: float | None = None,
        user: str = "ann",
    ) -> list[Download]:
        """Accept downloads and add them to the queue; return their rows."""
        rows = await added(
            self._records, *(sample_download(origin=origin, not_before=not_before, user=user) for _ in range(count))
        )
        self.enqueue_rows(*rows, target=target, not_before=not_before)
        return rows

    def enqueue_rows(self, *rows: Download, target: str | None = None, not_before: float | None = None) -> None:
        waiting = [WaitingDownload.of(row, not_before=not_before, target=target) for row in rows]
        self._dispatcher.queue.enqueue(waiting)

    async def wait_for(self, *rows: Download) -> None:
        """Wait until exactly these have been started, in order."""
        expected = [row.seq for row in rows]
        await wait_until(lambda: len(self.rows) >= len(expected), every=0.002)
        assert self.seqs == expected


class DispatcherContract:
    """Tests that every dispatcher passes."""

    @pytest.fixture
    async def started(self, records: Records, dispatcher: Dispatcher) -> AsyncIterator[Started]:
        started = Started(records, dispatcher)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(dispatcher.queue.dispatch(started.rows.extend))
            yield started
            task.cancel()

    async def test_downloads_start_within_the_limits_and_when_a_slot_is_free(
        self, dispatcher: Dispatcher, started: Started
    ) -> None:
        first, second, third = await started.enqueue(3)
        await started.wait_for(first, second)
        assert await dispatcher.queue.count_waiting() == 1
        assert (await dispatcher.queue.wait_reasons())[WaitReason.HOST_LIMIT] == 1
        assert (await dispatcher.origins.usage()).connections == 2
        [fourth, fifth] = await started.enqueue(2, origin=B)
        await started.wait_for(first, second, fourth)
        dispatcher.queue.finish(first.seq)
        await started.wait_for(first, second, fourth, third)
        dispatcher.queue.finish(99)
        assert await describe_waits(dispatcher, [fifth]) == ["3 downloads are running (max_concurrent)"]

    async def test_downloads_of_a_user_beyond_the_limit_wait_and_hold_back_no_others(
        self, dispatcher: Dispatcher, started: Started
    ) -> None:
        dispatcher.queue.change_limits(replace(LIMITS, runs_by_user={"alice": 1}))
        first, second = await started.enqueue(2, user="alice")
        [elsewhere] = await started.enqueue(1, origin=B, user="alice")
        [other] = await started.enqueue(1)
        await started.wait_for(first, other)
        expected = "1 download of alice is running (max_concurrent in [[users]])"
        assert await describe_waits(dispatcher, [second, elsewhere]) == [expected] * 2
        assert (await dispatcher.queue.wait_reasons())[WaitReason.USER_LIMIT] == 2
        dispatcher.queue.finish(first.seq)
        await started.wait_for(first, other, second)
        # It is at another origin, which has a slot; the limit is lifted while its user has none.
        dispatcher.queue.change_limits(LIMITS)
        await started.wait_for(first, other, second, elsewhere)

    async def test_nothing_of_a_user_who_is_held_starts_until_the_end_of_it(
        self, dispatcher: Dispatcher, started: Started
    ) -> None:
        dispatcher.queue.hold_users({"alice": UserHold(text="used up", until=SystemClock().monotonic() + 60)})
        [held] = await started.enqueue(1, user="alice")
        [other] = await started.enqueue(1)
        await started.wait_for(other)
        [notice] = await dispatcher.queue.explain_waits([held])
        assert (notice.code, notice.text, notice.user) == (WaitReason.DAY_QUOTA, "used up", "alice")
        assert notice.seconds in range(55, 61)
        dispatcher.queue.hold_users({})
        await started.wait_for(other, held)

    async def test_what_is_started_has_been_claimed_durably(
        self, records: Records, dispatcher: Dispatcher, started: Started
    ) -> None:
        [row] = await started.enqueue()
        await started.wait_for(row)
        [claimed] = started.rows
        assert (claimed.state, claimed.epoch, claimed.progress.attempt) == (State.STARTING, 1, 1)
        assert await present(records, row.id) == claimed

    async def test_what_cannot_be_claimed_is_not_started_and_uses_no_slot(
        self, records: Records, dispatcher: Dispatcher, started: Started
    ) -> None:
        dispatcher.queue.set_suspension("held by the test")
        paused, cancelled, other, last = await started.enqueue(4)
        await records.amend(paused.id, lambda row: row.with_control(desired=Desired.PAUSE))
        await records.amend(cancelled.id, lambda row: row.with_control(desired=Desired.CANCEL))
        dispatcher.queue.set_suspension(None)
        await started.wait_for(other, last)
        assert (await dispatcher.origins.usage()).connections == 2

    async def test_a_delayed_download_starts_when_its_delay_ends(
        self, dispatcher: Dispatcher, started: Started
    ) -> None:
        now = SystemClock().wall()
        [later] = await started.enqueue(not_before=now + 3600)
        [soon] = await started.enqueue(not_before=now + 0.05)
        await started.wait_for(soon)
        assert SystemClock().wall() >= now + 0.05
        assert (await dispatcher.queue.wait_reasons())[WaitReason.DELAYED] == 1
        assert await dispatcher.queue.count_waiting() == 1
        [reason] = await describe_waits(dispatcher, [later.with_progress(not_before=now + 3600)])
        assert reason.startswith("the next attempt starts in ")

    async def test_a_download_that_is_dequeued_does_not_start(
        self, records: Records, dispatcher: Dispatcher, started: Started
    ) -> None:
        dispatcher.queue.set_suspension("held by the test")
        removed, kept = await started.enqueue(2)
        await records.amend(removed.id, lambda row: replace(row, state=State.PAUSED))
        dispatcher.queue.dequeue(removed.seq)
        assert await dispatcher.queue.count_waiting() == 1
        dispatcher.queue.dequeue(99)
        dispatcher.queue.set_suspension(None)
        await started.wait_for(kept)

    async def test_a_download_that_is_held_back_starts_when_it_is_added_again(
        self, dispatcher: Dispatcher, started: Started
    ) -> None:
        dispatcher.queue.set_suspension("held by the test")
        held, other = await started.enqueue(2)
        dispatcher.queue.hold(WaitingDownload.of(held, not_before=SystemClock().wall() + 3600))
        dispatcher.queue.set_suspension(None)
        await started.wait_for(other)
        started.enqueue_rows(held)
        await started.wait_for(other, held)

    async def test_downloads_start_in_their_order_after_a_move(
        self, records: Records, dispatcher: Dispatcher, started: Started
    ) -> None:
        dispatcher.queue.set_suspension("held by the test")
        first, second, third = await started.enqueue(3)
        place = first.seq - 0.5
        await records.amend(third.id, lambda row: row.with_control(place=place))
        dispatcher.queue.reorder([QueueEntry(third.seq, 0, place), QueueEntry(99, 5, 0.0)])
        dispatcher.queue.set_suspension(None)
        await started.wait_for(third, first)
        dispatcher.queue.finish(first.seq)
        await started.wait_for(third, first, second)

    async def test_a_download_that_is_added_while_it_runs_waits_for_the_end_of_its_run(
        self, records: Records, dispatcher: Dispatcher, started: Started
    ) -> None:
        [row] = await started.enqueue()
        await started.wait_for(row)
        await records.amend(row.id, lambda row: replace(row, state=State.QUEUED))
        started.enqueue_rows(await present(records, row.id))
        await started.wait_for(row)
        dispatcher.queue.finish(row.seq)
        await started.wait_for(row, row)
        assert [one.epoch for one in started.rows] == [1, 2]

    async def test_a_download_whose_run_has_ended_is_claimed_again_in_its_slot(
        self, records: Records, dispatcher: Dispatcher, started: Started
    ) -> None:
        first, second, third = await started.enqueue(3)
        await started.wait_for(first, second)
        assert dispatcher.queue.holds_slots(first.seq, A)
        assert not dispatcher.queue.holds_slots(first.seq, B)
        assert not dispatcher.queue.holds_slots(third.seq, A)
        await records.save(replace(started.rows[0], state=State.QUEUED))
        [again] = await dispatcher.queue.claim_again(first.seq)
        assert (again.id, again.state, again.epoch) == (first.id, State.STARTING, 2)
        await records.save(replace(again, state=State.QUEUED))
        await records.amend(first.id, lambda row: row.with_control(desired=Desired.PAUSE))
        # It cannot be claimed now, and its slot is free.
        assert list(await dispatcher.queue.claim_again(first.seq)) == []
        await started.wait_for(first, second, third)
        dispatcher.slots.free(second.seq)
        assert not dispatcher.queue.holds_slots(second.seq, A)

    async def test_a_suspension_holds_the_queue_until_it_ends_and_is_the_reason_of_each(
        self, dispatcher: Dispatcher, started: Started
    ) -> None:
        dispatcher.queue.set_suspension("the disk is full")
        rows = [*await started.enqueue(), *await started.enqueue(origin=B)]
        assert await describe_waits(dispatcher, rows) == ["the disk is full"] * 2
        assert await describe_waits(dispatcher, []) == []
        await started.wait_for()
        dispatcher.queue.set_suspension(None)
        await started.wait_for(*rows)

    async def test_acquired_slots_and_new_limits_count(self, dispatcher: Dispatcher, started: Started) -> None:
        [first] = await started.enqueue()
        await started.wait_for(first)
        assert await dispatcher.slots.acquire(first.seq, A, 5) == 1
        assert await dispatcher.slots.acquire(first.seq, A, 1) == 0
        [second, third] = await started.enqueue(2)
        await started.wait_for(first)
        dispatcher.slots.release(first.seq, A, 1)
        await started.wait_for(first, second)
        dispatcher.queue.change_limits(Limits(max_concurrent=3, max_per_host=3))
        assert dispatcher.queue.limits.max_per_host == 3
        await started.wait_for(first, second, third)

    async def test_a_run_that_needs_its_origin_no_longer_counts_towards_the_total_alone(
        self, dispatcher: Dispatcher, started: Started
    ) -> None:
        first, second, third, fourth = await started.enqueue(4)
        await started.wait_for(first, second)
        dispatcher.slots.free(first.seq)
        await started.wait_for(first, second, third)
        dispatcher.slots.free(second.seq)
        assert await describe_waits(dispatcher, [fourth]) == ["3 downloads are running (max_concurrent)"]
        dispatcher.queue.finish(first.seq)
        await started.wait_for(first, second, third, fourth)

    async def test_a_slot_behind_a_redirect_that_is_free_again_starts_the_next_download(
        self, dispatcher: Dispatcher, started: Started
    ) -> None:
        [first] = await started.enqueue()
        await started.wait_for(first)
        assert await dispatcher.slots.acquire(first.seq, CDN, 1) == 1
        assert await dispatcher.slots.enter(first.seq, A, CDN)
        assert await dispatcher.slots.acquire(first.seq, CDN, 1) == 0
        dispatcher.queue.set_suspension("held by the test")
        [second] = await started.enqueue(target=CDN)
        dispatcher.queue.set_suspension(None)
        await started.wait_for(first)
        expected = "a.example redirects to cdn.example.net: 2 downloads from cdn.example.net are running"

        async def is_described() -> bool:
            [reason] = await describe_waits(dispatcher, [second])
            return reason.startswith(expected)

        await wait_until(is_described)
        dispatcher.slots.leave(first.seq)
        await started.wait_for(first, second)
        assert dispatcher.origins.expected_target(second.seq) == CDN
        assert dispatcher.origins.expected_target(first.seq) is None

    async def test_without_a_free_slot_no_run_enters_an_origin(self, dispatcher: Dispatcher, started: Started) -> None:
        [first] = await started.enqueue()
        await started.wait_for(first)
        assert await dispatcher.slots.acquire(first.seq, CDN, 2) == 2
        assert not await dispatcher.slots.enter(first.seq, A, CDN)
        dispatcher.slots.release(first.seq, CDN, 2)
        assert await dispatcher.slots.enter(first.seq, A, CDN)

    async def test_an_origin_that_asks_to_wait_starts_nothing_until_then(
        self, dispatcher: Dispatcher, started: Started
    ) -> None:
        def ask_to_wait(origin: str, seconds: float) -> None:
            failure = OriginFailure(kind=FailureKind.BUSY, seq=99, detail="429", retry_after=seconds)
            dispatcher.origins.report_failure(origin, failure)

        ask_to_wait(A, 60)
        [blocked] = await started.enqueue()
        [other] = await started.enqueue(origin=B)
        await started.wait_for(other)
        assert (await dispatcher.origins.listing(9)).total == 2
        assert (await dispatcher.origins.usage()).blocked == 1
        [reason] = await describe_waits(dispatcher, [blocked])
        assert reason.startswith("a.example asked to wait")
        begin = SystemClock().monotonic()
        ask_to_wait(CDN, 0.05)
        [delayed] = await started.enqueue(origin=CDN)
        await started.wait_for(other, delayed)
        assert SystemClock().monotonic() - begin >= 0.04

    async def test_a_circuit_opens_with_a_failure_is_recorded_and_closes_with_an_answer(
        self, dispatcher: Dispatcher
    ) -> None:
        assert dispatcher.origins.known_failure(A) is None
        cause = NetworkErrorKind.NAME
        failure = OriginFailure(kind=FailureKind.UNREACHABLE, seq=1, detail="refused", cause=cause)
        dispatcher.origins.report_failure(A, failure)
        known = dispatcher.origins.known_failure(A)
        assert known is not None
        assert (known.origin, known.detail, known.cause) == (A, "refused", cause)
        record = dispatcher.origins.record(A)
        assert record is not None
        assert not dispatcher.origins.is_awaited(A)
        dispatcher.origins.hasten_probe(A)
        assert dispatcher.origins.report_answer(A, 1)
        assert dispatcher.origins.record(A) is None
        dispatcher.origins.restore(record)
        known = dispatcher.origins.known_failure(A)
        assert known is not None
        # The records have the detail alone.
        assert (known.detail, known.cause) == ("refused", NetworkErrorKind.CONNECT)
