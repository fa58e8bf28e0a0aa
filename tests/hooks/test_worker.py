"""One worker on real records; the attempts are scripted, and time passes when a test says so."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from records.contract import NOW, ManualClock
from support.deliveries import finish_downloads, open_records
from support.exposition import ReadableSeries
from support.waiting import wait_until

from downloadd.config import HookConfig
from downloadd.delivery import Delivery
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.hooks.worker import LEASE_MARGIN_SECONDS, MAX_CONCURRENT_DELIVERIES, Worker
from downloadd.metrics import HookMetrics
from downloadd.records.sqlite import SqliteRecords

HOOK = HookConfig(name="chat", command=("x",))
Outcome = Delivered | DeliveryFailed
SUCCESS = Delivered(answer="204")


class Receiver:
    """Sender that answers each attempt with the next outcome, the last one repeated; an exception is raised."""

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self.outcomes = list(outcomes) or [SUCCESS]
        self.attempts: list[Delivery] = []
        self.running = 0
        self.can_answer = asyncio.Event()
        self.can_answer.set()

    async def send(self, hook: HookConfig, delivery: Delivery) -> Outcome:
        assert hook is HOOK
        outcome = self.outcomes[min(len(self.attempts), len(self.outcomes) - 1)]
        self.attempts.append(delivery)
        self.running += 1
        try:
            await self.can_answer.wait()
        finally:
            self.running -= 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Bench:
    """Worker with its records, clock and metrics."""

    def __init__(self, records: SqliteRecords, clock: ManualClock, receiver: Receiver) -> None:
        self.records = records
        self.clock = clock
        self.series = ReadableSeries()
        self._metrics = HookMetrics(self.series)
        self.worker = self.start_worker(receiver)

    def start_worker(self, receiver: Receiver) -> Worker:
        return Worker(
            HOOK,
            send=receiver.send,
            records=self.records.deliveries,
            metrics=self._metrics,
            clock=self.clock,
        )

    async def finish_downloads(self, count: int = 1) -> list[str]:
        ids = await finish_downloads(self.records, count)
        self.worker.wake()
        return ids

    def attempts(self, outcome: str) -> float | None:
        return self.series.value("downloadd_hook_attempts_total", hook="chat", outcome=outcome)

    async def is_empty(self) -> bool:
        return await self.records.deliveries.waiting() == {}


@pytest.fixture
def open_bench(tmp_path: Path) -> Callable[[Receiver], Any]:
    @asynccontextmanager
    async def opened(receiver: Receiver) -> AsyncIterator[Bench]:
        clock = ManualClock()
        async with open_records(tmp_path, clock) as records:
            bench = Bench(records, clock, receiver)
            try:
                yield bench
            finally:
                await bench.worker.stop()

    return opened


async def test_a_delivery_is_attempted_once_and_removed(open_bench: Callable[[Receiver], Any]) -> None:
    receiver = Receiver()
    async with open_bench(receiver) as bench:
        (id,) = await bench.finish_downloads()
        await wait_until(bench.is_empty)
        await wait_until(lambda: bench.attempts("delivered") == 1)
    assert [delivery.download_id for delivery in receiver.attempts] == [id]
    assert receiver.attempts[0].tries == 0


async def test_deliveries_of_an_earlier_process_are_attempted_without_a_wake(
    open_bench: Callable[[Receiver], Any], tmp_path: Path
) -> None:
    async with open_records(tmp_path, ManualClock()) as records:
        await finish_downloads(records, 3)
    receiver = Receiver()
    async with open_bench(receiver) as bench:
        await wait_until(bench.is_empty)
    assert len(receiver.attempts) == 3


async def test_a_failed_attempt_is_repeated_when_it_is_due_and_not_before(
    open_bench: Callable[[Receiver], Any],
) -> None:
    receiver = Receiver(DeliveryFailed(reason="x", retry_after=60), SUCCESS)
    async with open_bench(receiver) as bench:
        await bench.finish_downloads()
        await wait_until(lambda: bench.attempts("failed") == 1)
        due = await bench.records.deliveries.next_due("chat", now=NOW)
        assert due is not None
        assert due >= NOW + 60
        bench.clock.now += 60
        bench.worker.wake()
        await wait_until(bench.is_empty)
    assert [delivery.tries for delivery in receiver.attempts] == [0, 1]
    assert receiver.attempts[0].event_id == receiver.attempts[1].event_id


async def test_of_two_workers_one_attempts_a_delivery(open_bench: Callable[[Receiver], Any]) -> None:
    """They are those of two processes that share the records."""
    receiver = Receiver()
    receiver.can_answer.clear()
    async with open_bench(receiver) as bench:
        other = bench.start_worker(receiver)
        try:
            await bench.finish_downloads(MAX_CONCURRENT_DELIVERIES + 2)
            other.wake()
            await wait_until(lambda: receiver.running == MAX_CONCURRENT_DELIVERIES + 2)
            receiver.can_answer.set()
            await wait_until(bench.is_empty)
        finally:
            await other.stop()
    numbers = [delivery.number for delivery in receiver.attempts]
    assert len(set(numbers)) == len(numbers)
    lease = HOOK.timeout + LEASE_MARGIN_SECONDS
    assert {delivery.taken_until for delivery in receiver.attempts} == {NOW + lease}


async def test_a_long_attempt_keeps_its_lease_and_is_rescheduled_when_it_fails(
    open_bench: Callable[[Receiver], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "HOOK", replace(HOOK, timeout=0.05))
    receiver = Receiver(DeliveryFailed(reason="the disk is full"), SUCCESS)
    receiver.can_answer.clear()
    async with open_bench(receiver) as bench:
        extended = asyncio.Event()
        extend = bench.records.deliveries.extend

        async def extend_and_report(delivery: Delivery, *, lease: float) -> Delivery:
            delivery = await extend(delivery, lease=lease)
            extended.set()
            return delivery

        monkeypatch.setattr(bench.records.deliveries, "extend", extend_and_report)
        await bench.finish_downloads()
        await wait_until(lambda: receiver.running == 1)
        bench.clock.now += HOOK.timeout
        await extended.wait()
        bench.clock.now += HOOK.timeout
        receiver.can_answer.set()
        await wait_until(lambda: receiver.running == 0)
        bench.clock.now += 60
        bench.worker.wake()
        await wait_until(bench.is_empty)
    assert [delivery.tries for delivery in receiver.attempts] == [0, 1]


async def test_a_delivery_whose_worker_died_is_attempted_after_its_lease(open_bench: Callable[[Receiver], Any]) -> None:
    receiver, lost = Receiver(), Receiver()
    lost.can_answer.clear()
    async with open_bench(lost) as bench:
        await bench.finish_downloads()
        await wait_until(lambda: lost.running == 1)
        # A worker that is stopped writes nothing any more, as one that is killed.
        await bench.worker.stop()
        other = bench.start_worker(receiver)
        try:
            bench.clock.now += HOOK.timeout + LEASE_MARGIN_SECONDS
            other.wake()
            await wait_until(bench.is_empty)
        finally:
            await other.stop()
    assert [delivery.event_id for delivery in receiver.attempts] == [delivery.event_id for delivery in lost.attempts]


async def test_a_permanent_failure_discards_the_delivery(open_bench: Callable[[Receiver], Any]) -> None:
    receiver = Receiver(DeliveryFailed(reason="gone", permanent=True))
    async with open_bench(receiver) as bench:
        await bench.finish_downloads()
        await wait_until(bench.is_empty)
        await wait_until(lambda: bench.attempts("aborted") == 1)
    assert len(receiver.attempts) == 1


async def test_a_defect_in_an_attempt_is_a_failure_that_is_repeated(open_bench: Callable[[Receiver], Any]) -> None:
    receiver = Receiver(RuntimeError("defect"), SUCCESS)
    async with open_bench(receiver) as bench:
        await bench.finish_downloads()
        await wait_until(lambda: bench.attempts("failed") == 1)
        bench.clock.now += 60
        bench.worker.wake()
        await wait_until(bench.is_empty)
    assert len(receiver.attempts) == 2


async def test_a_slow_receiver_gets_a_limited_number_of_deliveries_at_once(
    open_bench: Callable[[Receiver], Any],
) -> None:
    receiver = Receiver()
    receiver.can_answer.clear()
    async with open_bench(receiver) as bench:
        await bench.finish_downloads(3 * MAX_CONCURRENT_DELIVERIES)
        await wait_until(lambda: receiver.running == MAX_CONCURRENT_DELIVERIES)
        bench.worker.wake()
        await bench.records.deliveries.waiting()
        assert len(receiver.attempts) == MAX_CONCURRENT_DELIVERIES
        receiver.can_answer.set()
        await wait_until(bench.is_empty)
    numbers = [delivery.number for delivery in receiver.attempts]
    assert len(set(numbers)) == len(numbers) == 3 * MAX_CONCURRENT_DELIVERIES


async def test_stopping_cancels_running_attempts_and_keeps_their_deliveries(
    open_bench: Callable[[Receiver], Any],
) -> None:
    receiver = Receiver()
    receiver.can_answer.clear()
    async with open_bench(receiver) as bench:
        await bench.finish_downloads()
        await wait_until(lambda: receiver.running == 1)
        await bench.worker.stop()
        assert receiver.running == 0
        assert await bench.records.deliveries.waiting() == {"chat": 1}


async def test_a_damaged_message_causes_no_commits(
    open_bench: Callable[[Receiver], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_records(tmp_path, ManualClock()) as records:
        await finish_downloads(records, 1)
        await records.write(lambda cursor: cursor.execute("UPDATE deliveries SET tries = 'x'").rowcount)
    async with open_bench(Receiver()) as bench:
        commits = 0

        def wake(rows: int, seconds: float) -> None:
            nonlocal commits
            commits += 1
            bench.worker.wake()

        monkeypatch.setattr(bench.records._writer, "_on_commit", wake)
        bench.worker.wake()
        # Several times as long as between two reads.
        await asyncio.sleep(0.5)
        assert commits == 0
