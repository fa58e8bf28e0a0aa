"""Manager with real parts: actions of users at any moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download_request import DownloadRequest
from downloadd.errors import ErrorCode, InvalidStateError, NotFoundError, ShuttingDownError
from downloadd.manager import space_queue, storage_gate
from downloadd.manager.local_dispatcher import LocalHostSlots
from downloadd.manager.protocol import DownloadChange
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.states import State, WaitReason
from downloadd.storage.disk_space import DiskSpace

SIZE = 200_000
WHOLE = expected_bytes(0, 0, SIZE)
NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        origin.script("/a", ScriptedResponse(size=SIZE, etag='"a"'))
        origin.script("/slow", ScriptedResponse(size=SIZE, etag='"a"', stall_after=50_000))
        yield origin


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path) as stack:
        yield stack


async def start(stack: ManagerStack, url: str, *, directory: str = "d") -> str:
    started = await stack.manager.start([DownloadRequest(url=url, directory=directory)], user="ann")
    return started.downloads[0].id


async def receives(stack: ManagerStack, id: str) -> None:
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while (await stack.manager.get(id)).download.progress.received == 0:
            await asyncio.sleep(0.005)


async def test_a_download_is_saved_and_in_the_history(stack: ManagerStack, origin: Origin) -> None:
    ended = await stack.manager.wait(await start(stack, origin.url("/a")), CONDITION_TIMEOUT)
    assert (ended.state, ended.progress.total) == (State.COMPLETED, SIZE)
    assert stack.files() == {"d/a": WHOLE}
    assert [row.id for row in await stack.manager.history(HistoryFilter())] == [ended.id]
    assert await stack.manager.active(ActiveFilter()) == []


async def test_waiting_ends_at_the_time_limit(stack: ManagerStack, origin: Origin) -> None:
    id = await start(stack, origin.url("/slow"))
    assert (await stack.manager.wait(id, 0.05)).state in {State.QUEUED, State.STARTING, State.DOWNLOADING}


async def test_unknown_downloads_are_not_found(stack: ManagerStack) -> None:
    manager = stack.manager
    for ask in (manager.get, manager.cancel, manager.pause, manager.resume, manager.retry):
        with pytest.raises(NotFoundError):
            await ask(NOBODY)
    with pytest.raises(NotFoundError):
        await manager.amend(NOBODY, DownloadChange(priority=1))
    with pytest.raises(NotFoundError):
        await manager.wait(NOBODY, 1)


async def test_every_state_is_counted(stack: ManagerStack, origin: Origin) -> None:
    first, second = [await start(stack, origin.url("/slow")) for _ in range(2)]
    await receives(stack, first)
    await stack.manager.pause(second)
    counts = await stack.manager.counts()
    assert {state: count for state, count in counts.items() if count} == {State.DOWNLOADING: 1, State.PAUSED: 1}


async def test_a_snapshot_has_the_speed_or_the_reason_of_a_wait(stack: ManagerStack, origin: Origin) -> None:
    id = await start(stack, origin.url("/slow"))
    await receives(stack, id)
    (moving,) = await stack.manager.active(ActiveFilter(states=frozenset({State.DOWNLOADING})))
    assert (moving.download.id, moving.download.progress.total, moving.reason) == (id, SIZE, None)
    paused = await stack.manager.pause(id)
    assert (paused.download.state, paused.speed, paused.reason) == (State.PAUSED, None, "paused by a user")
    assert await stack.manager.active(ActiveFilter(states=frozenset({State.DOWNLOADING}))) == []


async def test_the_speed_is_that_of_all_running_downloads(stack: ManagerStack, origin: Origin) -> None:
    assert stack.manager.speed() == 0
    origin.script("/steady", ScriptedResponse(size=50_000_000, rate=1_000_000))
    ids = [await start(stack, origin.url("/steady"), directory=directory) for directory in ("a", "b")]
    for id in ids:
        await receives(stack, id)

    async def is_sum() -> bool:
        speeds = [(await stack.manager.get(id)).speed or 0.0 for id in ids]
        return min(speeds) > 0 and abs(stack.manager.speed() - sum(speeds)) < sum(speeds) / 10

    await wait_until(is_sum)
    for id in ids:
        await stack.manager.pause(id)
    assert stack.manager.speed() == 0


@pytest.mark.parametrize("segments", [1, 3])
async def test_a_snapshot_has_the_number_of_connections(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch, segments: int
) -> None:
    monkeypatch.setattr("downloadd.transfer.segments.MIN_SEGMENT_BYTES", 10_000)
    origin.script("/held", ScriptedResponse(size=SIZE, etag='"v"', stall_after=2_000))
    request = DownloadRequest(url=origin.url("/held"), directory="d", segments=segments)
    id = (await stack.manager.start([request], user="ann")).downloads[0].id

    async def has_all() -> bool:
        return (await stack.manager.get(id)).connections == segments

    await wait_until(has_all)
    assert (await stack.manager.pause(id)).connections == 0


async def test_a_download_that_was_accepted_paused_starts_when_it_is_resumed(tmp_path: Path, origin: Origin) -> None:
    async with open_stack(tmp_path) as stack:
        request = DownloadRequest(url=origin.url("/a"), directory="d", paused=True)
        id = (await stack.manager.start([request], user="ann")).downloads[0].id
        assert (await stack.manager.wait(id, 0.2)).state is State.PAUSED
        assert stack.dispatcher.queue._scheduler.waiting == 0
    async with open_stack(tmp_path) as stack:
        after = await stack.manager.get(id)
        assert (after.download.state, after.reason) == (State.PAUSED, "paused by a user")
        assert origin.requests("/a") == []
        await stack.manager.resume(id)
        assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED
    assert len(origin.requests("/a")) == 1


async def test_a_paused_download_needs_a_place_in_the_queue(tmp_path: Path, origin: Origin) -> None:
    async with open_stack(tmp_path, replace(CONFIG, max_queued=1)) as stack:
        requests = [DownloadRequest(url=origin.url("/a"), directory="d", paused=True) for _ in range(2)]
        started = await stack.manager.start(requests, user="ann")
        assert [download.state for download in started.downloads] == [State.PAUSED, State.FAILED]


async def test_downloads_that_wait_for_space_are_reported_and_start_when_it_is_free(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space_queue, "SPACE_CHECK_SECONDS", 0.02)
    monkeypatch.setattr(storage_gate, "MIN_FREE_BYTES", 0)
    free = SIZE - 1
    space = stack.destination._space
    monkeypatch.setattr(space, "_measure", lambda: DiskSpace(free=free, capacity=1 << 40))
    ids = [await start(stack, origin.url("/a"), directory=name) for name in ("x", "y", "z")]

    async def all_wait() -> bool:
        reasons = [one.reason for one in await stack.manager.active(ActiveFilter())]
        return reasons == ["waits for space on the disk: needs 200 kB, 200 kB free"] * 3

    await wait_until(all_wait)

    async def are_counted() -> bool:
        reasons = await stack.manager.wait_reasons()
        return (reasons[WaitReason.STORAGE_UNAVAILABLE], reasons[WaitReason.DELAYED]) == (3, 0)

    await wait_until(are_counted)
    await stack.manager.cancel(ids[0])
    await stack.manager.pause(ids[1])
    await asyncio.sleep(0.05)
    assert (await stack.manager.wait_reasons())[WaitReason.STORAGE_UNAVAILABLE] == 1
    free = SIZE
    ended = await stack.manager.wait(ids[2], CONDITION_TIMEOUT)
    assert (ended.state, ended.progress.attempt) == (State.COMPLETED, 1)
    # A user's action starts it before the next check; it waits again if it does not fit.
    free = 0
    space.invalidate()
    await stack.manager.resume(ids[1])

    async def waits_for_storage() -> bool:
        return (await stack.manager.wait_reasons())[WaitReason.STORAGE_UNAVAILABLE] == 1

    await wait_until(waits_for_storage)
    free = SIZE
    assert (await stack.manager.wait(ids[1], CONDITION_TIMEOUT)).state is State.COMPLETED
    assert stack.files() == {"y/a": WHOLE, "z/a": WHOLE}


async def test_a_stop_returns_runs_to_the_queue_and_the_next_start_continues_them(
    tmp_path: Path, origin: Origin
) -> None:
    origin.script(
        "/cut", [ScriptedResponse(size=SIZE, etag='"a"', stall_after=50_000), ScriptedResponse(size=SIZE, etag='"a"')]
    )
    async with open_stack(tmp_path) as stack:
        id = await start(stack, origin.url("/cut"))
        await receives(stack, id)
        manager = stack.manager
    with pytest.raises(ShuttingDownError):
        await manager.start([DownloadRequest(url=origin.url("/a"), directory="d")], user="ann")
    async with open_stack(tmp_path) as stack:
        ended = await stack.manager.wait(id, CONDITION_TIMEOUT)
        assert ended.state is State.COMPLETED
        assert stack.files() == {"d/cut": WHOLE}
    assert origin.requests("/cut")[1].field("Range") == "bytes=50000-"


async def test_new_limits_hold_for_the_next_downloads(stack: ManagerStack, origin: Origin) -> None:
    stack.manager.configure(
        policy=Policy.from_config(CONFIG), directories=DirectoryRules(), config=replace(CONFIG, max_size=1000)
    )
    ended = await stack.manager.wait(await start(stack, origin.url("/a")), CONDITION_TIMEOUT)
    assert ended.result.error is ErrorCode.FILE_TOO_LARGE


async def cancelled_or_complete(stack: ManagerStack, id: str) -> None:
    try:
        assert (await stack.manager.cancel(id)).state in {State.CANCELLED, State.COMPLETED}
    except InvalidStateError:
        assert (await stack.manager.get(id)).download.state is State.COMPLETED
    assert [name for name in stack.files() if id in name] == []


async def paused_resumed_and_complete(stack: ManagerStack, id: str) -> None:
    try:
        paused = await stack.manager.pause(id)
    except InvalidStateError:
        pass
    else:
        assert paused.download.state is State.PAUSED
        await stack.manager.resume(id)
    assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED


@pytest.mark.system
@pytest.mark.parametrize("action", [cancelled_or_complete, paused_resumed_and_complete], ids=["cancel", "pause"])
async def test_a_user_action_takes_effect_at_any_moment(
    stack: ManagerStack, origin: Origin, action: Callable[[ManagerStack, str], Awaitable[None]]
) -> None:
    """Act between any two iterations of the loop, from the acceptance of a download on."""
    for turns in range(90):
        id = await start(stack, origin.url("/a"), directory="any")
        for _ in range(turns):
            await asyncio.sleep(0)
            if turns > 40:
                await asyncio.sleep(0.0002)
        await action(stack, id)
    ended = await stack.manager.history(HistoryFilter(limit=1000))
    assert len(ended) == len({row.id for row in ended}) == 90
    completed = sum(row.state is State.COMPLETED for row in ended)
    files = stack.files()
    assert len(files) == completed
    assert set(files.values()) <= {WHOLE}
    assert await stack.manager.active(ActiveFilter()) == []


async def test_unusable_sources_are_not_waited_for_alternately_without_end(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whichever source is tried, the other one has no slot at that moment.
    async def acquire_nothing(slots: LocalHostSlots, seq: int, origin: str, count: int) -> int:
        return 0

    monkeypatch.setattr(LocalHostSlots, "acquire", acquire_nothing)
    async with Origin(host="127.0.0.2") as other, open_stack(tmp_path, replace(CONFIG, max_retries=1)) as stack:
        for one in (origin, other):
            one.script("/gone", error_response(404))
        request = DownloadRequest(url=origin.url("/gone"), mirrors=(other.url("/gone"),), directory="d")
        started = await stack.manager.start([request], user="ann")
        ended = await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)
        assert (ended.state, ended.result.error, ended.progress.attempt) == (
            State.FAILED,
            ErrorCode.REMOTE_FILE_NOT_FOUND,
            3,
        )
        assert (len(origin.requests("/gone")), len(other.requests("/gone"))) == (2, 1)
