"""The manager over real parts: what users want of downloads, at any moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from manager.house import CONFIG, House, open_house
from msgspec.structs import replace
from origin.answer import Answer, failure
from origin.content import expected_bytes
from origin.origin import Origin

from downloadd.errors import ErrorCode, InvalidStateError, NotFoundError, ShuttingDownError
from downloadd.manager.dispatcher import LocalDispatcher
from downloadd.manager.intake import Order
from downloadd.manager.manager import Amendment
from downloadd.policy.directories import DirectoryRules
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.states import State

SIZE = 200_000
WHOLE = expected_bytes(0, 0, SIZE)
NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        origin.script("/a", Answer(size=SIZE, etag='"a"'))
        origin.script("/slow", Answer(size=SIZE, etag='"a"', stall_after=50_000))
        yield origin


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


async def start(house: House, url: str, *, directory: str = "d") -> str:
    started = await house.manager.start([Order(url=url, directory=directory)], user="ann")
    return started.downloads[0].id


async def receives(house: House, id: str) -> None:
    async with asyncio.timeout(20):
        while (await house.manager.get(id)).download.progress.received == 0:
            await asyncio.sleep(0.005)


async def test_a_download_arrives_and_is_history(house: House, origin: Origin) -> None:
    ended = await house.manager.wait(await start(house, origin.url("/a")), 20)
    assert (ended.state, ended.progress.total) == (State.COMPLETED, SIZE)
    assert house.files() == {"d/a": WHOLE}
    assert [row.id for row in await house.manager.history(HistoryFilter())] == [ended.id]
    assert await house.manager.active(ActiveFilter()) == []


async def test_waiting_ends_when_the_time_is_up(house: House, origin: Origin) -> None:
    id = await start(house, origin.url("/slow"))
    assert (await house.manager.wait(id, 0.05)).state in {State.QUEUED, State.STARTING, State.DOWNLOADING}


async def test_unknown_downloads_are_not_found(house: House) -> None:
    manager = house.manager
    for ask in (manager.get, manager.cancel, manager.pause, manager.resume, manager.retry):
        with pytest.raises(NotFoundError):
            await ask(NOBODY)
    with pytest.raises(NotFoundError):
        await manager.amend(NOBODY, Amendment(priority=1))
    with pytest.raises(NotFoundError):
        await manager.wait(NOBODY, 1)


async def test_every_state_is_counted(house: House, origin: Origin) -> None:
    first, second = [await start(house, origin.url("/slow")) for _ in range(2)]
    await receives(house, first)
    await house.manager.pause(second)
    counts = await house.manager.counts()
    assert {state: count for state, count in counts.items() if count} == {State.DOWNLOADING: 1, State.PAUSED: 1}


async def test_a_snapshot_says_how_fast_and_why_not(house: House, origin: Origin) -> None:
    id = await start(house, origin.url("/slow"))
    await receives(house, id)
    (moving,) = await house.manager.active(ActiveFilter(states=frozenset({State.DOWNLOADING})))
    assert (moving.download.id, moving.download.progress.total, moving.reason) == (id, SIZE, None)
    paused = await house.manager.pause(id)
    assert (paused.download.state, paused.speed, paused.reason) == (State.PAUSED, None, "paused by a user")
    assert await house.manager.active(ActiveFilter(states=frozenset({State.DOWNLOADING}))) == []


async def test_stopping_hands_runs_back_and_the_next_life_goes_on(tmp_path: Path, origin: Origin) -> None:
    origin.script("/cut", [Answer(size=SIZE, etag='"a"', stall_after=50_000), Answer(size=SIZE, etag='"a"')])
    async with open_house(tmp_path) as house:
        id = await start(house, origin.url("/cut"))
        await receives(house, id)
        manager = house.manager
    with pytest.raises(ShuttingDownError):
        await manager.start([Order(url=origin.url("/a"), directory="d")], user="ann")
    async with open_house(tmp_path) as house:
        ended = await house.manager.wait(id, 20)
        assert ended.state is State.COMPLETED
        assert house.files() == {"d/cut": WHOLE}
    assert origin.requests("/cut")[1].field("Range") == "bytes=50000-"


async def test_new_limits_hold_for_what_starts_next(house: House, origin: Origin) -> None:
    house.manager.configure(
        policy=house.manager._policy, directories=DirectoryRules(), config=replace(CONFIG, max_size=1000)
    )
    ended = await house.manager.wait(await start(house, origin.url("/a")), 20)
    assert ended.result.error is ErrorCode.FILE_TOO_LARGE


async def cancelled_or_whole(house: House, id: str) -> None:
    try:
        assert (await house.manager.cancel(id)).state in {State.CANCELLED, State.COMPLETED}
    except InvalidStateError:
        assert (await house.manager.get(id)).download.state is State.COMPLETED
    assert [name for name in house.files() if id in name] == []


async def paused_resumed_and_whole(house: House, id: str) -> None:
    try:
        paused = await house.manager.pause(id)
    except InvalidStateError:
        pass
    else:
        assert paused.download.state is State.PAUSED
        await house.manager.resume(id)
    assert (await house.manager.wait(id, 20)).state is State.COMPLETED


@pytest.mark.parametrize("wish", [cancelled_or_whole, paused_resumed_and_whole], ids=["cancel", "pause"])
async def test_a_wish_may_come_at_any_moment(
    house: House, origin: Origin, wish: Callable[[House, str], Awaitable[None]]
) -> None:
    """Cut between every two turns of the loop that a download takes, from its acceptance on."""
    for turns in range(90):
        id = await start(house, origin.url("/a"), directory="any")
        for _ in range(turns):
            await asyncio.sleep(0)
            if turns > 40:
                await asyncio.sleep(0.0002)
        await wish(house, id)
    ended = await house.manager.history(HistoryFilter(limit=1000))
    assert len(ended) == len({row.id for row in ended}) == 90
    completed = sum(row.state is State.COMPLETED for row in ended)
    files = house.files()
    assert len(files) == completed
    assert set(files.values()) <= {WHOLE}
    assert await house.manager.active(ActiveFilter()) == []


async def test_sources_of_no_use_are_not_waited_for_in_turns_for_ever(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whichever is asked, the other one has no place at that moment.
    monkeypatch.setattr(LocalDispatcher, "borrow", lambda *_: 0)
    async with Origin(host="127.0.0.2") as other, open_house(tmp_path, replace(CONFIG, retries=1)) as house:
        for one in (origin, other):
            one.script("/gone", failure(404))
        order = Order(url=origin.url("/gone"), mirrors=(other.url("/gone"),), directory="d")
        started = await house.manager.start([order], user="ann")
        ended = await house.manager.wait(started.downloads[0].id, 20)
        assert (ended.state, ended.result.error, ended.progress.attempt) == (
            State.FAILED,
            ErrorCode.REMOTE_FILE_NOT_FOUND,
            3,
        )
        assert (len(origin.requests("/gone")), len(other.requests("/gone"))) == (2, 1)
