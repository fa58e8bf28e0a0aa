"""Contract of `ResultRecords`."""

from collections.abc import AsyncIterator

import pytest
from support.stored_downloads import added, ids, present, sample_download
from support.stores import OpenStore

from downloadd.download import Mirror
from downloadd.manager import lifecycle
from downloadd.records.protocol import HistoryFilter
from downloadd.records.results import MAX_RESULTS
from downloadd.records.store import Store
from downloadd.states import State


async def shown(records: Store, offset: int = 0, limit: int = 99) -> list[int]:
    return [row.seq for row in await records.results.page(offset, limit)]


class ResultContract:
    """Promises of every implementation of `ResultRecords`."""

    @pytest.fixture
    async def records(self, open_store: OpenStore) -> AsyncIterator[Store]:
        """Return an empty store."""
        async with open_store() as opened:
            yield opened

    async def test_the_newest_ends_are_shown_oldest_first(self, records: Store) -> None:
        await added(records, sample_download(), *(sample_download(state=State.FAILED) for _ in range(4)))
        assert await shown(records) == [2, 3, 4, 5]
        assert [await shown(records, *window) for window in ((1, 2), (3, 9), (4, 9), (-1, 2), (0, 0))] == [
            [3, 4],
            [5],
            [],
            [],
            [],
        ]
        assert await records.results.count() == 4

    async def test_the_list_is_limited(self, records: Store) -> None:
        await records.accept([sample_download(state=State.FAILED) for _ in range(MAX_RESULTS + 2)])
        assert await records.results.count() == MAX_RESULTS
        assert await shown(records, 0, 1) == [3]
        assert await shown(records, MAX_RESULTS - 1, 9) == [MAX_RESULTS + 2]

    async def test_cleared_results_are_not_shown_and_stay_in_the_history(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            rows = await added(records, *(sample_download(state=State.FAILED) for _ in range(4)))
            await records.amend(rows[1].id, lifecycle.clear_result)
            assert await shown(records) == [1, 3, 4]
        async with open_store() as records:
            assert await shown(records) == [1, 3, 4]
            assert await records.results.count() == 3
            assert ids(await records.history(HistoryFilter())) == ids(rows[::-1])

    async def test_all_results_are_cleared_and_later_ends_are_shown(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            await records.results.clear_all()
            first, retried = await added(
                records, sample_download(state=State.FAILED), sample_download(state=State.FAILED)
            )
            assert await shown(records) == [first.seq, retried.seq]
            await records.results.clear_all()
        async with open_store() as records:
            assert await shown(records) == []
            await records.amend(retried.id, lambda row: lifecycle.retry(row, now=0))
            assert await shown(records) == []
            await records.amend(retried.id, lambda row: lifecycle.cancel(row, now=0))
            (later,) = await added(records, sample_download(state=State.FAILED))
            assert await shown(records) == [retried.seq, later.seq]

    async def test_a_cleared_download_that_ends_again_is_shown_again(self, records: Store) -> None:
        (row,) = await added(records, sample_download(state=State.FAILED))
        await records.amend(row.id, lifecycle.clear_result)
        assert (await present(records, row.id)).result.cleared
        await records.amend(row.id, lambda row: lifecycle.retry(row, now=0))
        (held,) = await records.claim([row.seq])
        await records.save(lifecycle.mark_cancelled(held, now=0))
        assert await shown(records) == [row.seq]

    async def test_each_change_of_the_list_has_a_revision_and_is_in_the_next_page(self, records: Store) -> None:
        rows = await added(records, *(sample_download(state=State.FAILED) for _ in range(4)))
        revision, page = await records.results.revision(), await records.results.page(0, 9)
        for change in (
            lambda: records.accept([sample_download(state=State.FAILED)]),
            lambda: records.amend(rows[0].id, lifecycle.clear_result),
            lambda: records.amend(rows[1].id, lambda row: lifecycle.retry(row, now=0)),
            lambda: records.amend(
                rows[2].id, lambda row: row.with_request(mirrors=(Mirror(url="https://m.example/"),))
            ),
            records.results.clear_all,
        ):
            await change()
            before, revision = revision, await records.results.revision()
            assert revision > before
            shown, page = page, await records.results.page(0, 9)
            assert page != shown
