"""Following of downloads, against the API in this process."""

import asyncio

from support.sample_downloads import sample_download
from support.served_api import TOKEN, ServedApi

from downloadd.cli.follow import follow
from downloadd.client import ActiveEntry, Client, Event, HistoryEntry
from downloadd.states import State


async def test_it_returns_when_all_have_ended(api: ServedApi) -> None:
    first, second, other = (api.manager.add(sample_download(number)).id for number in range(3))
    events: list[Event] = []
    async with Client(f"http://{api.server.host}:{api.server.port}", token=TOKEN) as client:
        following = asyncio.create_task(follow(client, [first, second], events.append))
        while not any(isinstance(event.data, ActiveEntry) for event in events):
            await asyncio.sleep(0)
        for id in (other, first, second):
            await api.manager.set_state(id, State.COMPLETED)
        ended = await following
    assert {id: entry.status for id, entry in ended.items()} == dict.fromkeys((first, second), State.COMPLETED)
    assert other not in {event.data.id for event in events if isinstance(event.data, ActiveEntry | HistoryEntry)}


async def test_a_download_that_ended_before_is_found(api: ServedApi) -> None:
    id = api.manager.add(sample_download(1, state=State.FAILED)).id
    async with Client(f"http://{api.server.host}:{api.server.port}", token=TOKEN) as client:
        assert [*await follow(client, [id], lambda event: None)] == [id]
        assert await follow(client, [], lambda event: None) == {}
