"""Jumps of the wall clock by a day: delays keep their length."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from support.clocks import JumpingClock
from support.dispatchers import describe_wait, make_dispatcher
from support.waiting import CONDITION_TIMEOUT

from downloadd.download import Download
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import FailureKind, OriginFailure
from downloadd.manager.retry import MAX_RETRY_AFTER_SECONDS
from downloadd.records.protocol import WaitingDownload

DAY = 86_400.0


@pytest.mark.parametrize("blocked", [False, True], ids=["a retry", "a host that asked to wait"])
@pytest.mark.parametrize("jump", [-DAY, DAY, -60.0, 60.0])
async def test_a_delay_keeps_its_length_when_the_clock_jumps(jump: float, blocked: bool) -> None:
    clock = JumpingClock()
    dispatcher = make_dispatcher(Limits(max_concurrent=1, max_per_host=1), clock)
    started: asyncio.Future[Sequence[Download]] = asyncio.get_running_loop().create_future()

    begin = time.monotonic()
    until = clock.wall() + 0.2
    if blocked:
        dispatcher.origins.report_failure(
            "h", OriginFailure(kind=FailureKind.BUSY, seq=2, detail="429", retry_after=until - clock.wall())
        )
    dispatcher.queue.enqueue([WaitingDownload(seq=1, origin="h", priority=0, not_before=None if blocked else until)])
    clock.jump = jump
    dispatching = asyncio.create_task(dispatcher.queue.dispatch(started.set_result))
    assert [row.seq for row in await asyncio.wait_for(started, CONDITION_TIMEOUT)] == [1]
    assert time.monotonic() - begin >= 0.19
    dispatching.cancel()


async def test_a_time_recorded_before_the_clock_was_set_back_delays_a_day_at_most() -> None:
    clock = JumpingClock()
    dispatcher = make_dispatcher(Limits(max_concurrent=1, max_per_host=1), clock)
    year = 365 * DAY
    assert f"{MAX_RETRY_AFTER_SECONDS:.0f} s" in await describe_wait(dispatcher.queue, "h", clock.wall() + year)
