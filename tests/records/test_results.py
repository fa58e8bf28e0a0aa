"""The list of results."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clocks import ManualClock
from support.stored_downloads import added, ids, present, sample_download

from downloadd.manager import lifecycle
from downloadd.records import results
from downloadd.records.protocol import HistoryFilter
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path, ManualClock()) as opened:
        yield opened


async def shown(records: SqliteRecords, offset: int = 0, limit: int = 99) -> list[int]:
    return [row.seq for row in await records.results.page(offset, limit)]


async def test_the_newest_ends_are_shown_oldest_first(records: SqliteRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_RESULTS", 4)
    await added(records, sample_download(), *(sample_download(state=State.FAILED) for _ in range(6)))
    assert await shown(records) == [4, 5, 6, 7]
    assert [await shown(records, *window) for window in ((1, 2), (3, 9), (4, 9), (-1, 2), (0, 0))] == [
        [5, 6],
        [7],
        [],
        [],
        [],
    ]
    assert await records.results.count() == 4


async def test_cleared_results_are_not_shown_and_stay_in_the_history(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        rows = await added(records, *(sample_download(state=State.FAILED) for _ in range(4)))
        await records.amend(rows[1].id, lifecycle.clear_result)
        assert await shown(records) == [1, 3, 4]
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        assert await shown(records) == [1, 3, 4]
        assert await records.results.count() == 3
        assert ids(await records.history(HistoryFilter())) == ids(rows[::-1])


async def test_all_results_are_cleared_and_later_ends_are_shown(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        await records.results.clear_all()
        first, retried = await added(records, sample_download(state=State.FAILED), sample_download(state=State.FAILED))
        assert await shown(records) == [first.seq, retried.seq]
        await records.results.clear_all()
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        assert await shown(records) == []
        await records.amend(retried.id, lambda row: lifecycle.retry(row, now=0))
        assert await shown(records) == []
        await records.amend(retried.id, lambda row: lifecycle.cancel(row, now=0))
        (later,) = await added(records, sample_download(state=State.FAILED))
        assert await shown(records) == [retried.seq, later.seq]


async def test_a_cleared_download_that_ends_again_is_shown_again(records: SqliteRecords) -> None:
    (row,) = await added(records, sample_download(state=State.FAILED))
    await records.amend(row.id, lifecycle.clear_result)
    assert (await present(records, row.id)).result.cleared
    await records.amend(row.id, lambda row: lifecycle.retry(row, now=0))
    (held,) = await records.claim([row.seq])
    await records.save(lifecycle.mark_cancelled(held, now=0))
    assert await shown(records) == [row.seq]
