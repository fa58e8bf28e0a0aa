"""Held responses end with the download, the time, or a release."""

import asyncio

import pytest
from support.clocks import ManualClock
from support.fake_files import FakeFiles
from support.fake_history import FakeHistory
from support.fake_manager import FakeManager
from support.fake_queue import FakeQueue, FakeResults
from support.node_reports import no_nodes
from support.sample_downloads import sample_download
from support.waiting import CONDITION_TIMEOUT

from downloadd.events import EventBus
from downloadd.fronts.rest.long_poll import LongPoll
from downloadd.policy.directories import DirectoryRules
from downloadd.rights import Rights
from downloadd.states import State
from downloadd.users import User
from downloadd.views import DownloadViews

USER = User(id="u", permissions=frozenset({"view-downloads"}))


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager(EventBus(), ManualClock())


@pytest.fixture
def long_poll(manager: FakeManager) -> LongPoll:
    async def no_directories(prefix: str, limit: int) -> list[str]:
        return []

    queue = FakeQueue(manager)
    return LongPoll(
        DownloadViews(
            manager=manager,
            queue=queue,
            results=FakeResults(manager),
            find_gid=queue.find_gid,
            history=FakeHistory(manager),
            find_directories=no_directories,
            find_nodes=no_nodes,
            files=FakeFiles(),
            rights=Rights(directories=DirectoryRules(), is_enabled=True),
        )
    )


async def test_the_end_of_a_download_ends_the_wait(manager: FakeManager, long_poll: LongPoll) -> None:
    download = manager.add(sample_download())
    waiting = asyncio.create_task(long_poll.wait(USER, download, 60))
    await asyncio.sleep(0)
    await manager.set_state(download.id, State.COMPLETED)
    assert (await waiting).state is State.COMPLETED


async def test_the_time_ends_the_wait(manager: FakeManager, long_poll: LongPoll) -> None:
    assert (await long_poll.wait(USER, manager.add(sample_download()), 0.01)).state is State.QUEUED


async def test_a_release_ends_every_wait_with_the_newest_row_and_allows_no_new_one(
    manager: FakeManager, long_poll: LongPoll
) -> None:
    download = manager.add(sample_download())
    waits = [asyncio.create_task(long_poll.wait(USER, download, 3600)) for _ in range(3)]
    await asyncio.sleep(0)
    manager.downloads[download.id] = sample_download(0, state=State.DOWNLOADING)
    long_poll.release_all()
    async with asyncio.timeout(CONDITION_TIMEOUT):
        assert {one.state for one in await asyncio.gather(*waits)} == {State.DOWNLOADING}
        assert await long_poll.wait(USER, download, 3600) is download
