"""Records that are locked or moved away for a while: downloads wait, none fails, and none runs twice."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from manager.house import CONFIG, House, open_house
from msgspec.structs import replace
from origin.answer import Answer, Cut
from origin.content import expected_bytes
from origin.origin import Origin

from downloadd.errors import StoreUnavailableError
from downloadd.manager import manager
from downloadd.manager.intake import Order
from downloadd.manager.manager import Amendment
from downloadd.records.database import DATABASE_NAME
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.states import State
from downloadd.transfer import attempt

SIZE = 200_000
PATIENCE = 0.05


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        yield origin


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(folder / "state" / DATABASE_NAME, isolation_level=None)) as other:
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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def start(house: House, url: str, *, timeout: int | None = None) -> str:
    started = await house.manager.start([Order(url=url, directory="d", timeout=timeout)], user="ann")
    return started.downloads[0].id


def waits(house: House, id: str) -> bool:
    return house.manager._runs[id].waits_for_records


@AWAY
async def test_downloads_that_run_wait_and_complete_in_one_attempt(
    tmp_path: Path, origin: Origin, away: Callable[[Path], contextlib.AbstractContextManager[None]]
) -> None:
    gate = asyncio.Event()
    paths = [f"/{number}" for number in range(8)]
    for path in paths:
        origin.script(path, Answer(size=SIZE, gate=gate))
    async with open_house(tmp_path, replace(CONFIG, max_per_host=8), lock_patience=PATIENCE) as house:
        ids = [await start(house, origin.url(path)) for path in paths]
        for path in paths:
            await origin.requested(path)
        with away(tmp_path):
            gate.set()
            await until(lambda: all(waits(house, id) for id in ids))
            assert {one.download.id for one in await house.manager.active(ActiveFilter())} == set(ids)
            assert await house.manager.history(HistoryFilter()) == []
        rows = [await house.manager.wait(id, 20) for id in ids]
        assert {(row.state, row.progress.attempt, row.progress.failures, row.result.detail) for row in rows} == {
            (State.COMPLETED, 1, 0, None)
        }
        assert sorted(row.id for row in await house.manager.history(HistoryFilter())) == sorted(ids)
    assert [len(origin.requests(path)) for path in paths] == [1] * 8


@AWAY
async def test_new_work_is_refused_changes_nothing_and_is_taken_afterwards(
    tmp_path: Path, origin: Origin, away: Callable[[Path], contextlib.AbstractContextManager[None]]
) -> None:
    origin.script("/f", Answer(size=SIZE, stall_after=1000))
    async with open_house(tmp_path, replace(CONFIG, max_concurrent=1), lock_patience=PATIENCE) as house:
        ended = await start(house, "ftp://a/")
        ids = [await start(house, origin.url("/f")) for _ in range(2)]
        await until(lambda: ids[0] in house.manager._runs)
        before = [one.download.control.desired for one in await house.manager.active(ActiveFilter())]
        with away(tmp_path):
            for refused in (
                *(house.manager.cancel(id) for id in ids),
                *(house.manager.pause(id) for id in ids),
                house.manager.resume(ids[1]),
                house.manager.retry(ended),
                house.manager.amend(ids[1], Amendment(priority=5)),
                start(house, origin.url("/f")),
            ):
                with pytest.raises(StoreUnavailableError):
                    await refused
        after = await house.manager.active(ActiveFilter())
        assert [one.download.id for one in after] == ids
        assert [one.download.control.desired for one in after] == before
        assert house.manager._accepting == 0
        for id in ids:
            assert (await house.manager.cancel(id)).state is State.CANCELLED


async def test_a_transfer_goes_on_while_its_notes_wait(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "NOTE_SECONDS", 0.0)
    monkeypatch.setattr(attempt, "NOTE_PATIENCE", 0.01)
    size = 20 << 20
    origin.script("/f", Answer(size=size, etag='"v"', rate=20_000_000))
    # Longer than the test: no note that is under way comes to an end.
    async with open_house(tmp_path, lock_patience=3600) as house:
        id = await start(house, origin.url("/f"))
        await until(lambda: id in house.manager._runs)
        run = house.manager._runs[id]
        await until(lambda: run._attempt._recorded)
        with locked(tmp_path):
            await until(lambda: run.snapshot().download.progress.received == size)
        row = await house.manager.wait(id, 20)
        assert (row.state, row.progress.attempt) == (State.COMPLETED, 1)
        assert house.files() == {"d/f": expected_bytes(0, 0, size)}


async def test_the_time_that_the_records_are_away_is_not_the_downloads(tmp_path: Path, origin: Origin) -> None:
    gate = asyncio.Event()
    origin.script("/f", Answer(size=4 << 20, gate=gate, etag='"v"'))
    loop = asyncio.get_running_loop()
    async with open_house(tmp_path, lock_patience=PATIENCE) as house:
        begun = loop.time()
        id = await start(house, origin.url("/f"), timeout=1)
        await origin.requested("/f")
        with locked(tmp_path):
            gate.set()
            await until(lambda: waits(house, id))
            await until(lambda: loop.time() > begun + 1.5)
        row = await house.manager.wait(id, 20)
        assert (row.state, row.progress.attempt, row.progress.time_spent) == (State.COMPLETED, 1, 0)


async def test_an_origin_that_did_not_wait_for_the_records_costs_no_retry(tmp_path: Path, origin: Origin) -> None:
    gate = asyncio.Event()
    size = 4 << 20
    origin.script("/f", [Answer(size=size, gate=gate, cut_after=2 << 20, cut=Cut.RESET), Answer(size=size)])
    async with open_house(tmp_path, replace(CONFIG, retries=0), lock_patience=PATIENCE) as house:
        id = await start(house, origin.url("/f"))
        await origin.requested("/f")
        with locked(tmp_path):
            gate.set()
            await until(lambda: waits(house, id))
        row = await house.manager.wait(id, 20)
        assert (row.state, row.progress.attempt, row.progress.failures) == (State.COMPLETED, 2, 0)


@AWAY
async def test_stopping_does_not_wait_for_the_records_and_the_next_start_completes_the_download(
    tmp_path: Path,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
    away: Callable[[Path], contextlib.AbstractContextManager[None]],
) -> None:
    monkeypatch.setattr(manager, "DRAIN_SECONDS", 0.2)
    gate = asyncio.Event()
    origin.script("/small", Answer(size=SIZE, gate=gate))
    origin.script("/big", Answer(size=4 << 20, gate=gate))
    with contextlib.ExitStack() as stack:
        async with asyncio.timeout(20), open_house(tmp_path, lock_patience=PATIENCE) as house:
            # The first waits to be published, the second for its first bytes to be written.
            ids = [await start(house, origin.url(path)) for path in ("/small", "/big")]
            for path in ("/small", "/big"):
                await origin.requested(path)
            stack.enter_context(away(tmp_path))
            gate.set()
            await until(lambda: all(waits(house, id) for id in ids))
            stopped = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - stopped < 3
    async with open_house(tmp_path) as house:
        for id in ids:
            assert (await house.manager.wait(id, 20)).state is State.COMPLETED
        assert set(house.files()) == {"d/small", "d/big"}
