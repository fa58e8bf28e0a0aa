"""The waiting list, with real parts."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.errors import InvalidStateError, NotFoundError, StoreUnavailableError
from downloadd.events import DownloadChanged
from downloadd.manager.protocol import DownloadChange
from downloadd.queue_move import DOWN, TO_BOTTOM, TO_TOP, UP, QueueMove
from downloadd.records import waiting_list
from downloadd.records.protocol import ActiveFilter
from downloadd.records.queue_places import QueueEntry
from downloadd.states import RUNNING, State

TWO_AT_ONCE = replace(CONFIG, max_concurrent=2, max_per_host=2)
NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        origin.script("/a", ScriptedResponse(size=100))
        origin.script("/slow", ScriptedResponse(size=200_000, etag='"a"', stall_after=50_000))
        yield origin


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path, TWO_AT_ONCE) as stack:
        yield stack


def anywhere(directory: str) -> bool:
    return True


async def start(stack: ManagerStack, url: str, count: int, *, directory: str = "d") -> list[Download]:
    requests = [DownloadRequest(url=url, directory=directory)] * count
    return list((await stack.manager.start(requests, user="ann")).downloads)


async def listed(stack: ManagerStack) -> list[int]:
    return [one.download.seq for one in await stack.queue.page(0, 99)]


async def states(stack: ManagerStack, rows: list[Download]) -> list[State]:
    return [(await stack.manager.get(row.id)).download.state for row in rows]


async def test_downloads_start_in_the_order_to_which_they_were_moved(stack: ManagerStack, origin: Origin) -> None:
    stack.dispatcher.queue.set_suspension("held by the test")
    rows = await start(stack, origin.url("/a"), 5)
    moves = ((4, TO_TOP), (0, DOWN), (3, UP))
    assert [await stack.queue.move(rows[number].id, move) for number, move in moves] == [0, 2, 3]
    order = await listed(stack)
    started: list[int] = []
    with stack.bus.subscribe() as events:
        stack.dispatcher.queue.set_suspension(None)
        while len(started) < 5:
            for published in await events.receive():
                if isinstance(published.event, DownloadChanged):
                    row = published.event.snapshot.download
                    if row.state is State.STARTING and row.seq not in started:
                        started.append(row.seq)
    assert started == order


async def test_a_move_returns_the_index_and_takes_the_priority(stack: ManagerStack, origin: Origin) -> None:
    stack.dispatcher.queue.set_suspension("held by the test")
    rows = await start(stack, origin.url("/a"), 4)
    await stack.manager.amend(rows[3].id, DownloadChange(priority=5))
    await stack.manager.pause(rows[0].id)
    assert await listed(stack) == [4, 1, 2, 3]
    with stack.bus.subscribe() as events:
        assert await stack.queue.move(rows[2].id, TO_TOP) == 0
        [published] = await events.receive()
        assert isinstance(published.event, DownloadChanged)
        assert published.event.snapshot.download.control.priority == 5
        assert await stack.queue.move(rows[2].id, UP) == 0
        assert await stack.queue.move(rows[0].id, DOWN) == 3
        assert await stack.queue.move(rows[0].id, QueueMove(offset=99)) == 3
        # Only one of these moves has changed anything.
        assert len(await events.receive()) == 1
    assert await listed(stack) == [3, 4, 2, 1]
    assert [one.download.seq for one in await stack.queue.page(-1, 2)] == [1, 2]
    # A reason would cost more than the rest of a row.
    assert [one.reason for one in await stack.queue.page(3, 1)] == [None]


async def test_a_running_or_ended_download_cannot_be_moved(stack: ManagerStack, origin: Origin) -> None:
    [row] = await start(stack, origin.url("/slow"), 1)
    await wait_until(lambda: len(stack.runs) == 1)
    with pytest.raises(InvalidStateError, match="only a queued or paused one can be moved"):
        await stack.queue.move(row.id, TO_BOTTOM)
    await stack.manager.cancel(row.id)
    with pytest.raises(InvalidStateError, match="the download is cancelled"):
        await stack.queue.move(row.id, TO_BOTTOM)
    with pytest.raises(NotFoundError):
        await stack.queue.move(NOBODY, TO_TOP)


async def test_neighbours_whose_places_are_spaced_again_start_in_order_and_are_published(
    stack: ManagerStack, origin: Origin
) -> None:
    stack.dispatcher.queue.set_suspension("held by the test")
    rows = await start(stack, origin.url("/a"), 60)
    order = [row.seq for row in rows]
    with stack.bus.subscribe() as events:
        for row in rows[:1:-1]:
            assert await stack.queue.move(row.id, QueueMove(offset=1)) == 1
            order.remove(row.seq)
            order.insert(1, row.seq)
        assert len(await events.receive()) > len(rows) - 2
    assert await listed(stack) == order
    scheduler = stack.dispatcher.queue._scheduler
    picked: list[int] = []
    scheduler.suspension = None
    while ready := scheduler.select_ready(0):
        for seq in ready:
            picked.append(seq)
            scheduler.finish(seq)
    assert picked == order


async def test_all_active_downloads_are_paused_and_resumed(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_list, "CHUNK_ROWS", 3)
    running = await start(stack, origin.url("/slow"), 2)
    await wait_until(lambda: len(stack.runs) == 2)
    waiting = await start(stack, origin.url("/slow"), 7)
    other = await start(stack, origin.url("/slow"), 1, directory="hers")
    with stack.bus.subscribe() as events:
        assert await stack.queue.pause_all(lambda directory: directory != "hers") == 9
        assert await states(stack, [*running, *waiting]) == [State.PAUSED] * 9
        # A slot is free for the one that stays.
        assert (await states(stack, other))[0] in {State.QUEUED, *RUNNING}
        paused = {
            published.event.snapshot.download.seq
            for published in await events.receive()
            if isinstance(published.event, DownloadChanged) and published.event.snapshot.download.state is State.PAUSED
        }
        assert paused == {row.seq for row in [*running, *waiting]}
    await wait_until(lambda: stack.dispatcher.queue._scheduler.waiting == 0)
    assert await stack.queue.pause_all(lambda directory: directory != "hers") == 0
    # Its place is that of before.
    await stack.queue.move(waiting[6].id, TO_TOP)
    order = await listed(stack)
    monkeypatch.undo()
    assert await stack.queue.resume_all(anywhere) == 9
    assert await stack.queue.resume_all(anywhere) == 0
    # One slot is free: the first one of the list runs, and the others wait in its order.
    await wait_until(lambda: len(stack.runs) == 2)
    assert await listed(stack) == order[1:]


async def test_a_resumed_download_starts_without_other_changes(stack: ManagerStack, origin: Origin) -> None:
    origin.script("/a", ScriptedResponse(size=100, delay=0))
    rows = await start(stack, origin.url("/a"), 1)
    await stack.queue.pause_all(anywhere)
    await stack.queue.resume_all(anywhere)
    assert (await stack.manager.wait(rows[0].id, CONDITION_TIMEOUT)).state is State.COMPLETED


async def test_a_download_that_is_accepted_while_all_are_paused_runs(stack: ManagerStack, origin: Origin) -> None:
    held = await start(stack, origin.url("/slow"), 3)
    later: list[Download] = []

    def accept_one(directory: str) -> bool:
        if not later:
            later.append(held[0])
            accepting.append(asyncio.ensure_future(start(stack, origin.url("/a"), 1)))
        return True

    accepting: list[asyncio.Future[list[Download]]] = []
    await stack.queue.pause_all(accept_one)
    [row] = await accepting[0]
    assert (await stack.manager.wait(row.id, CONDITION_TIMEOUT)).state is State.COMPLETED


async def test_what_failed_to_be_paused_is_paused_by_a_repetition(tmp_path: Path, origin: Origin) -> None:
    async with open_stack(tmp_path, TWO_AT_ONCE, lock_patience=0.05) as stack:
        rows = await start(stack, origin.url("/slow"), 4)
        await wait_until(lambda: len(stack.runs) == 2)
        with closing(sqlite3.connect(tmp_path / "state" / "records.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError):
                await stack.queue.pause_all(anywhere)
            other.execute("ROLLBACK")
        assert await stack.queue.pause_all(anywhere) == 4
        assert await states(stack, rows) == [State.PAUSED] * 4


async def test_downloads_that_are_being_paused_count_as_paused(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    [row] = await start(stack, origin.url("/slow"), 1)
    await wait_until(lambda: len(stack.runs) == 1)
    # A run that does not stop yet.
    monkeypatch.setattr(type(next(iter(stack.runs)).run), "stop", lambda run, reason: None)
    pausing = asyncio.ensure_future(stack.queue.pause_all(anywhere))

    async def is_listed() -> bool:
        return await listed(stack) == [row.seq]

    await wait_until(is_listed)
    await wait_until(lambda: next(iter(stack.runs)).run.download.control.desired == "pause")
    assert +(await stack.manager.counts()) == {State.PAUSED: 1}
    assert await stack.queue.move(row.id, TO_TOP) == 0
    assert (await stack.manager.active(ActiveFilter()))[0].download.state in RUNNING
    pausing.cancel()
    monkeypatch.undo()


async def test_moved_downloads_keep_their_order_over_a_restart(tmp_path: Path, origin: Origin) -> None:
    async with open_stack(tmp_path) as stack:
        stack.dispatcher.queue.set_suspension("held by the test")
        rows = await start(stack, origin.url("/slow"), 4)
        await stack.queue.move(rows[3].id, TO_TOP)
        await stack.queue.move(rows[0].id, TO_BOTTOM)
        assert await listed(stack) == [4, 2, 3, 1]
    async with open_stack(tmp_path, replace(CONFIG, max_concurrent=1)) as stack:
        await wait_until(lambda: len(stack.runs) == 1)
        assert next(iter(stack.runs)).run.download.seq == 4
        assert await listed(stack) == [2, 3, 1]
        stack.dispatcher.queue.reorder([QueueEntry(99, 0)])
