"""Records that are locked or moved away for a while: downloads wait, none fails, and none runs twice."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Cut, ScriptedResponse
from support.stopwatch import Stopwatch
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download_request import DownloadRequest
from downloadd.errors import StoreUnavailableError
from downloadd.manager import runner
from downloadd.manager.protocol import DownloadChange
from downloadd.manager.run import Run
from downloadd.records.database import DATABASE_FILE_NAME
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.states import State
from downloadd.transfer import checkpoints

pytestmark = pytest.mark.system

SIZE = 200_000
PATIENCE = 0.05


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(folder / "state" / DATABASE_FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


@contextlib.contextmanager
def moved(folder: Path) -> Iterator[None]:
    away = (folder / "state").rename(folder / "away")
    try:
        yield
    finally:
        away.rename(folder / "state")


AWAY = pytest.mark.parametrize("away", [locked, moved])


async def start(stack: ManagerStack, url: str, *, timeout: int | None = None) -> str:
    started = await stack.manager.start([DownloadRequest(url=url, directory="d", timeout=timeout)], user="ann")
    return started.downloads[0].id


def find_run(stack: ManagerStack, id: str) -> Run:
    active = stack.runs.get(id)
    assert active is not None
    return active.run


def waits(stack: ManagerStack, id: str) -> bool:
    return find_run(stack, id).is_waiting


@AWAY
async def test_running_downloads_wait_and_complete_in_one_attempt(
    tmp_path: Path, origin: Origin, away: Callable[[Path], contextlib.AbstractContextManager[None]]
) -> None:
    release = asyncio.Event()
    paths = [f"/{number}" for number in range(8)]
    for path in paths:
        origin.script(path, ScriptedResponse(size=SIZE, body_event=release))
    async with open_stack(tmp_path, replace(CONFIG, max_per_host=8), lock_patience=PATIENCE) as stack:
        ids = [await start(stack, origin.url(path)) for path in paths]
        for path in paths:
            await origin.wait_requested(path)
        with away(tmp_path):
            release.set()
            await wait_until(lambda: all(waits(stack, id) for id in ids))
            assert {one.download.id for one in await stack.manager.active(ActiveFilter())} == set(ids)
            assert await stack.manager.history(HistoryFilter()) == []
        rows = [await stack.manager.wait(id, CONDITION_TIMEOUT) for id in ids]
        assert {(row.state, row.progress.attempt, row.progress.failures, row.result.detail) for row in rows} == {
            (State.COMPLETED, 1, 0, None)
        }
        assert sorted(row.id for row in await stack.manager.history(HistoryFilter())) == sorted(ids)
    assert [len(origin.requests(path)) for path in paths] == [1] * 8


@AWAY
async def test_new_requests_are_refused_without_effect_and_accepted_afterwards(
    tmp_path: Path, origin: Origin, away: Callable[[Path], contextlib.AbstractContextManager[None]]
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, stall_after=1000))
    async with open_stack(tmp_path, replace(CONFIG, max_concurrent=1), lock_patience=PATIENCE) as stack:
        ended = await start(stack, "ftp://a/")
        ids = [await start(stack, origin.url("/f")) for _ in range(2)]
        await wait_until(lambda: stack.runs.get(ids[0]) is not None)
        before = [one.download.control.desired for one in await stack.manager.active(ActiveFilter())]
        with away(tmp_path):
            for refused in (
                *(stack.manager.cancel(id) for id in ids),
                *(stack.manager.pause(id) for id in ids),
                stack.manager.resume(ids[1]),
                stack.manager.retry(ended),
                stack.manager.amend(ids[1], DownloadChange(priority=5)),
                start(stack, origin.url("/f")),
            ):
                with pytest.raises(StoreUnavailableError):
                    await refused
        after = await stack.manager.active(ActiveFilter())
        assert [one.download.id for one in after] == ids
        assert [one.download.control.desired for one in after] == before
        assert stack.admission._reserved_slots == 0
        for id in ids:
            assert (await stack.manager.cancel(id)).state is State.CANCELLED


async def test_a_transfer_continues_while_its_checkpoints_wait(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "CHECKPOINT_TIMEOUT", 0.01)
    size = 20 << 20
    origin.script("/f", ScriptedResponse(size=size, etag='"v"', rate=20_000_000))
    # Longer than the test: no checkpoint in progress completes.
    async with open_stack(tmp_path, lock_patience=3600) as stack:
        id = await start(stack, origin.url("/f"))
        await wait_until(lambda: stack.runs.get(id) is not None)
        run = find_run(stack, id)
        await wait_until(lambda: run._attempt._checkpoints.is_recorded)
        with locked(tmp_path):
            await wait_until(lambda: run.snapshot().download.progress.received == size)
        row = await stack.manager.wait(id, CONDITION_TIMEOUT)
        assert (row.state, row.progress.attempt) == (State.COMPLETED, 1)
        assert stack.files() == {"d/f": expected_bytes(0, 0, size)}


async def test_the_time_without_records_does_not_count_for_the_timeout(tmp_path: Path, origin: Origin) -> None:
    release = asyncio.Event()
    origin.script("/f", ScriptedResponse(size=4 << 20, body_event=release, etag='"v"'))
    loop = asyncio.get_running_loop()
    async with open_stack(tmp_path, lock_patience=PATIENCE) as stack:
        begun = loop.time()
        id = await start(stack, origin.url("/f"), timeout=2)
        await origin.wait_requested("/f")
        with locked(tmp_path):
            release.set()
            await wait_until(lambda: waits(stack, id))
            await wait_until(lambda: loop.time() > begun + 2.5)
        row = await stack.manager.wait(id, CONDITION_TIMEOUT)
        assert (row.state, row.progress.attempt, row.progress.time_spent) == (State.COMPLETED, 1, 0)


async def test_an_origin_that_closed_the_connection_meanwhile_costs_no_retry(tmp_path: Path, origin: Origin) -> None:
    release = asyncio.Event()
    size = 4 << 20
    origin.script(
        "/f",
        [
            ScriptedResponse(size=size, body_event=release, cut_after=2 << 20, cut=Cut.RESET),
            ScriptedResponse(size=size),
        ],
    )
    async with open_stack(tmp_path, replace(CONFIG, max_retries=0), lock_patience=PATIENCE) as stack:
        id = await start(stack, origin.url("/f"))
        await origin.wait_requested("/f")
        with locked(tmp_path):
            release.set()
            await wait_until(lambda: waits(stack, id))
        row = await stack.manager.wait(id, CONDITION_TIMEOUT)
        assert (row.state, row.progress.attempt, row.progress.failures) == (State.COMPLETED, 2, 0)


@AWAY
async def test_stopping_does_not_wait_for_the_records_and_the_next_start_completes_the_download(
    tmp_path: Path,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
    away: Callable[[Path], contextlib.AbstractContextManager[None]],
) -> None:
    monkeypatch.setattr(runner, "DRAIN_SECONDS", 0.2)
    release = asyncio.Event()
    origin.script("/small", ScriptedResponse(size=SIZE, body_event=release))
    origin.script("/big", ScriptedResponse(size=4 << 20, body_event=release))
    with contextlib.ExitStack() as trouble:
        async with asyncio.timeout(CONDITION_TIMEOUT), open_stack(tmp_path, lock_patience=PATIENCE) as stack:
            # The first waits to be published, the second for its first bytes to be written.
            ids = [await start(stack, origin.url(path)) for path in ("/small", "/big")]
            for path in ("/small", "/big"):
                await origin.wait_requested(path)
            trouble.enter_context(away(tmp_path))
            release.set()
            await wait_until(lambda: all(waits(stack, id) for id in ids))
            watch = Stopwatch()
        assert watch.seconds < 3
    async with open_stack(tmp_path) as stack:
        for id in ids:
            assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED
        assert set(stack.files()) == {"d/small", "d/big"}
