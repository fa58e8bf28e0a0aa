"""Held answers: until the end, the time, or the stop."""

import asyncio

from support.fake_service import FakeClock, FakeDownloadService
from support.sample_downloads import sample_download

from downloadd.events import EventBus
from downloadd.fronts.rest.long_poll import LongPoll
from downloadd.states import State


def service() -> FakeDownloadService:
    return FakeDownloadService(EventBus(), FakeClock())


async def test_the_end_of_a_download_ends_the_wait() -> None:
    manager = service()
    download = manager.add(sample_download())
    waiting = asyncio.create_task(LongPoll(manager).wait(download, 60))
    await asyncio.sleep(0)
    await manager.set_state(download.id, State.COMPLETED)
    assert (await waiting).state is State.COMPLETED


async def test_the_time_ends_the_wait() -> None:
    manager = service()
    assert (await LongPoll(manager).wait(manager.add(sample_download()), 0.01)).state is State.QUEUED


async def test_a_stop_ends_every_wait_with_the_newest_row_and_allows_no_new_one() -> None:
    manager = service()
    long_poll = LongPoll(manager)
    download = manager.add(sample_download())
    waits = [asyncio.create_task(long_poll.wait(download, 3600)) for _ in range(3)]
    await asyncio.sleep(0)
    manager.downloads[download.id] = sample_download(0, state=State.DOWNLOADING)
    long_poll.release_all()
    async with asyncio.timeout(30):
        assert {one.state for one in await asyncio.gather(*waits)} == {State.DOWNLOADING}
        assert await long_poll.wait(download, 3600) is download
