"""The dispatcher of a single process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from manager.dispatcher_contract import LIMITS, DispatcherContract
from msgspec.structs import replace
from support.clocks import NOW, LoopClock
from support.dispatchers import describe_wait, make_dispatcher
from support.sample_downloads import sample_download
from support.virtual_time import in_virtual_time

from downloadd.clock import SystemClock
from downloadd.download import Download
from downloadd.errors import StoreUnavailableError
from downloadd.manager.local_dispatcher import LocalDispatcher, LocalQueue
from downloadd.manager.retry import MAX_RETRY_AFTER_SECONDS
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import WaitReason

CLOCK = SystemClock()


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path / "state", CLOCK) as records:
        yield records


@pytest.fixture
def dispatcher(records: SqliteRecords) -> LocalDispatcher:
    return LocalDispatcher(LIMITS, CLOCK, records)


class TestLocalDispatcher(DispatcherContract):
    pass


async def test_a_time_beyond_the_longest_delay_was_recorded_before_the_clock_was_set_back() -> None:
    queue = make_dispatcher(LIMITS, CLOCK).queue
    described = await describe_wait(queue, "a", CLOCK.wall() + 100 * MAX_RETRY_AFTER_SECONDS)
    assert described == f"the next attempt starts in {MAX_RETRY_AFTER_SECONDS:.0f} s"


async def test_a_claim_waits_for_records_that_are_unavailable() -> None:
    class Records:
        refusals = 1

        async def claim(self, seqs: Sequence[int]) -> list[Download]:
            if self.refusals:
                self.refusals -= 1
                raise StoreUnavailableError("locked")
            return [sample_download(seq, seq=seq) for seq in seqs]

    queue = LocalDispatcher(LIMITS, CLOCK, Records()).queue
    started: asyncio.Future[Sequence[Download]] = asyncio.get_running_loop().create_future()
    queue.enqueue([WaitingDownload(seq=7, origin="a", priority=0)])
    dispatching = asyncio.create_task(queue.dispatch(started.set_result))
    assert [row.seq for row in await started] == [7]
    dispatching.cancel()
    await asyncio.wait((dispatching,))


# -- times that requests state -----------------------------------------------------------------------------------------


class JumpingClock(LoopClock):
    """Clock of the loop whose wall time a test sets."""

    jump = 0.0

    def wall(self) -> float:
        return super().wall() + self.jump


@asynccontextmanager
async def dispatching(clock: JumpingClock) -> AsyncIterator[tuple[LocalQueue, list[int]]]:
    queue, started = make_dispatcher(LIMITS, clock).queue, list[int]()
    task = asyncio.create_task(queue.dispatch(lambda rows: started.extend(row.seq for row in rows)))
    yield queue, started
    task.cancel()
    await asyncio.wait((task,))


@in_virtual_time
async def test_a_download_starts_at_its_time_and_says_so_before() -> None:
    async with dispatching(JumpingClock()) as (queue, started):
        queue.enqueue([WaitingDownload(seq=1, origin="a", priority=0, start_after=NOW + 86_400)])
        row = sample_download(seq=1, origin="a").with_control(not_before=NOW + 86_400)
        [notice] = await queue.explain_waits([row])
        assert (notice.code, notice.text) == (WaitReason.NOT_BEFORE, "it starts at 2023-11-15T22:13:20Z (not_before)")
        assert await queue.count_waiting() == 1
        assert (await queue.wait_reasons())[WaitReason.NOT_BEFORE] == 1
        await asyncio.sleep(86_399)
        assert started == []
        await asyncio.sleep(1.1)
        assert started == [1]
        assert await queue.count_waiting() == 0
        assert (await queue.explain_waits([row]))[0].code is not WaitReason.NOT_BEFORE


@in_virtual_time
async def test_a_clock_that_is_set_changes_when_a_download_starts() -> None:
    clock = JumpingClock()
    async with dispatching(clock) as (queue, started):
        queue.enqueue([WaitingDownload(seq=1, origin="a", priority=0, start_after=NOW + 3600)])
        clock.jump = -3600
        await asyncio.sleep(3700)
        assert started == []
        clock.jump = 0
        await asyncio.sleep(31)
        assert started == [1]


@in_virtual_time
async def test_a_waiting_download_gets_another_time_or_none() -> None:
    async with dispatching(JumpingClock()) as (queue, started):
        blocked = WaitingDownload(seq=1, origin="a", priority=0, start_after=NOW + 100)
        queue.enqueue([blocked, replace(blocked, seq=2), replace(blocked, seq=3)])
        queue.dequeue(3)
        queue.enqueue([replace(blocked, start_after=NOW - 1)])
        queue.reorder([QueueEntry(2, 5, None)])
        await asyncio.sleep(1)
        assert started == [1]
        await asyncio.sleep(100)
        assert started == [1, 2]
