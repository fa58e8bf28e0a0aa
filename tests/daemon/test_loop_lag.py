import asyncio
import time

from support.waiting import CONDITION_TIMEOUT

from downloadd.clock import SystemClock
from downloadd.daemon.loop_lag import INTERVAL_SECONDS, measure_loop_lag


async def test_a_blocked_loop_is_reported() -> None:
    reported: asyncio.Queue[float] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        measuring = group.create_task(measure_loop_lag(reported.put_nowait, SystemClock()))
        await asyncio.sleep(0)
        time.sleep(INTERVAL_SECONDS + 0.3)
        assert await reported.get() >= 0.29
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while await reported.get() >= 0.29:
                # The machine may be busy with something else.
                pass
        measuring.cancel()
