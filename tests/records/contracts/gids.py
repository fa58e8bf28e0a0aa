"""Contract of `GidRecords`."""

from collections.abc import AsyncIterator

import pytest
from support.downloads import with_fields
from support.stored_downloads import added, sample_download
from support.stores import OpenStore

from downloadd.download import Download
from downloadd.gid import make_gid
from downloadd.manager import lifecycle
from downloadd.records.protocol import HistoryFilter
from downloadd.records.store import Store
from downloadd.states import State

CHOSEN = "abc0123456789def"


def chosen(gid: str = CHOSEN, *, state: State = State.QUEUED) -> Download:
    return with_fields(sample_download(state=state), gid=gid)


async def found(records: Store, gid: str) -> list[int]:
    return [row.seq for row in await records.gids.find(gid)]


class GidContract:
    """Promises of every implementation of `GidRecords`."""

    @pytest.fixture
    async def records(self, open_store: OpenStore) -> AsyncIterator[Store]:
        """Return an empty store."""
        async with open_store() as opened:
            yield opened

    async def test_a_download_is_found_by_the_gid_of_its_number_or_of_its_request(self, records: Store) -> None:
        rows = await added(records, sample_download(), chosen(), sample_download(state=State.FAILED))
        assert [row.gid for row in rows] == [make_gid(1), CHOSEN, make_gid(3)]
        assert [await found(records, row.gid) for row in rows] == [[1], [2], [3]]
        # That of its number is not its own.
        assert [await found(records, gid) for gid in (make_gid(2), make_gid(4), "0" * 16, "f" * 16)] == [[], [], [], []]

    async def test_a_prefix_finds_up_to_two_downloads(self, records: Store) -> None:
        await added(records, *(sample_download() for _ in range(20)), chosen("5" * 16), chosen(CHOSEN))
        assert await found(records, CHOSEN[:3]) == [22]
        assert await found(records, CHOSEN[:15]) == [22]
        assert await found(records, make_gid(7)[:6]) == [7]
        assert await found(records, make_gid(2)[:1]) == [2, 18]
        assert make_gid(1)[0] == "5"
        assert len(await found(records, "5")) == 2
        assert await found(records, "55") == [21]
        assert await found(records, "000000") == []

    async def test_a_prefix_is_searched_among_the_shown_results_too(self, records: Store) -> None:
        await added(records, sample_download(state=State.FAILED), chosen(state=State.FAILED), sample_download())
        assert await found(records, make_gid(1)[:4]) == [1]
        assert await found(records, CHOSEN[:4]) == [2]
        await records.results.clear_all()
        assert [await found(records, gid) for gid in (make_gid(1)[:4], CHOSEN[:4], make_gid(1), CHOSEN)] == [
            [],
            [],
            [],
            [],
        ]
        assert await found(records, make_gid(3)[:4]) == [3]

    async def test_a_cleared_result_is_not_found_until_it_is_retried(self, records: Store) -> None:
        (row,) = await added(records, sample_download(state=State.FAILED))
        await records.amend(row.id, lifecycle.clear_result)
        assert await found(records, row.gid) == await found(records, row.gid[:4]) == []
        await records.amend(row.id, lambda row: lifecycle.retry(row, now=0))
        assert await found(records, row.gid) == await found(records, row.gid[:4]) == [1]

    @pytest.mark.parametrize("text", ["", "x", "F", "1" * 17, "%"])
    async def test_a_text_that_is_no_prefix_is_refused(self, records: Store, text: str) -> None:
        with pytest.raises(ValueError, match="prefix of a gid"):
            await records.gids.find(text)

    async def test_a_gid_is_taken_as_long_as_its_download_is_recorded(self, records: Store) -> None:
        assert not await records.gids.is_taken(CHOSEN)
        await added(records, chosen(state=State.FAILED))
        assert await records.gids.is_taken(CHOSEN)
        # Cleared ones are in the history still.
        await records.results.clear_all()
        assert await records.gids.is_taken(CHOSEN)
        await records.remove_ended(await records.ended_rows(HistoryFilter()))
        assert not await records.gids.is_taken(CHOSEN)

    async def test_the_gids_of_all_numbers_are_taken(self, records: Store) -> None:
        assert await records.gids.is_taken(make_gid(123_456_789))
