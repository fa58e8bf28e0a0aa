"""The dispatcher of a single process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from manager.dispatcher_contract import LIMITS, DispatcherContract
from support.dispatchers import describe_wait, make_dispatcher
from support.sample_downloads import sample_download

from downloadd.clock import SystemClock
from downloadd.download import Download
from downloadd.errors import StoreUnavailableError
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.retry import MAX_RETRY_AFTER_SECONDS
from downloadd.records.protocol import WaitingDownload
from downloadd.records.sqlite import SqliteRecords

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
