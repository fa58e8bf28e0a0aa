"""Held answers: until the end, the time, or the stop."""

import asyncio

from api.fake_engine import FakeClock, FakeEngine
from api.rows import row

from downloadd.api.patience import Patience
from downloadd.events import EventBus
from downloadd.states import State


def engine() -> FakeEngine:
    return FakeEngine(EventBus(), FakeClock())


async def test_the_end_of_a_download_ends_the_wait() -> None:
    manager = engine()
    download = manager.put(row())
    waiting = asyncio.create_task(Patience(manager).wait(download, 60))
    await asyncio.sleep(0)
    await manager.move(download.id, State.COMPLETED)
    assert (await waiting).state is State.COMPLETED


async def test_the_time_ends_the_wait() -> None:
    manager = engine()
    assert (await Patience(manager).wait(manager.put(row()), 0.01)).state is State.QUEUED


async def test_a_stop_ends_every_wait_with_the_newest_row_and_allows_no_new_one() -> None:
    manager = engine()
    patience = Patience(manager)
    download = manager.put(row())
    waits = [asyncio.create_task(patience.wait(download, 3600)) for _ in range(3)]
    await asyncio.sleep(0)
    manager.downloads[download.id] = row(0, state=State.DOWNLOADING)
    patience.end()
    async with asyncio.timeout(5):
        assert {one.state for one in await asyncio.gather(*waits)} == {State.DOWNLOADING}
        assert await patience.wait(download, 3600) is download
