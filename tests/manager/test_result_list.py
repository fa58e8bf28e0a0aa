"""The list of results."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clocks import ManualClock
from support.stored_downloads import added, present, sample_download

from downloadd.errors import InvalidStateError, NotFoundError
from downloadd.manager.protocol import ResultCount
from downloadd.manager.result_list import ResultList
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        yield records


@pytest.fixture
def results(records: SqliteRecords) -> ResultList:
    return ResultList(records, records.results)


async def test_a_cleared_result_is_not_shown_and_counts_among_all(results: ResultList, records: SqliteRecords) -> None:
    rows = await added(records, *(sample_download(state=State.FAILED) for _ in range(3)), sample_download())
    await results.clear(rows[1].id)
    # Repeating it changes nothing.
    await results.clear(rows[1].id)
    assert [row.id for row in await results.page(0, 9)] == [rows[0].id, rows[2].id]
    assert [row.id for row in await results.page(1, 9)] == [rows[2].id]
    assert await results.count() == ResultCount(shown=2, total=3)
    await results.clear_all()
    assert (await results.page(0, 9), await results.count()) == ([], ResultCount(shown=0, total=3))


async def test_an_active_or_unknown_download_has_no_result(results: ResultList, records: SqliteRecords) -> None:
    (row,) = await added(records, sample_download(state=State.PAUSED))
    with pytest.raises(InvalidStateError, match="only a finished one can be cleared"):
        await results.clear(row.id)
    with pytest.raises(NotFoundError):
        await results.clear("unknown")
    assert await present(records, row.id) == row
