"""Contract of `QueueRecords`."""

from collections.abc import AsyncIterator

import pytest
from support.downloads import with_fields
from support.stored_downloads import added, ids, present, sample_download
from support.stores import OpenStore

from downloadd.download import Desired, Download
from downloadd.errors import ErrorCode, InvalidStateError
from downloadd.manager import lifecycle
from downloadd.queue_move import TO_BOTTOM, TO_TOP, QueueMove
from downloadd.records.protocol import WaitingDownload
from downloadd.records.store import Store
from downloadd.records.waiting_list import CHUNK_ROWS, ChangedDownload, ChunkRequest, QueueChunk
from downloadd.states import RUNNING, WAITING, State


def anywhere(directory: str) -> bool:
    return True


def everything(*, with_rows: bool = False) -> ChunkRequest:
    return ChunkRequest(after=0, until=99, with_rows=with_rows)


def touched(state: State, desired: Desired) -> Download:
    """Return a download with values that a pause or a resume changes, and others that it must keep."""
    return with_fields(
        sample_download(state=state, desired=desired, priority=2, part_name=".part", not_before=7.0),
        publishing=True,
        error=ErrorCode.NETWORK_ERROR,
        detail="reset",
        place=0.5,
        received=10,
        epoch=3,
        attempt=2,
    )


async def pages(records: Store, *windows: tuple[int, int]) -> list[list[int]]:
    return [[row.seq for row in await records.queue.page(*window)] for window in windows]


class QueueContract:
    """Promises of every implementation of `QueueRecords`."""

    @pytest.fixture
    async def records(self, open_store: OpenStore) -> AsyncIterator[Store]:
        """Return an empty store."""
        async with open_store() as opened:
            yield opened

    async def test_a_page_counts_from_the_start_or_backwards_from_the_end(self, records: Store) -> None:
        rows = await added(records, *(sample_download(priority=number // 3) for number in range(5)))
        order = [row.seq for row in sorted(rows, key=lambda row: (-row.control.priority, row.seq))]
        assert order == [4, 5, 1, 2, 3]
        assert await pages(records, (0, 10), (1, 2), (4, 2), (5, 1), (0, 0)) == [order, [5, 1], [3], [], []]
        assert await pages(records, (-1, 2), (-2, 2), (-5, 9), (-6, 9)) == [[3, 2], [2, 1], [4], []]
        assert await records.queue.page(0, 9) == [
            await present(records, row.id) for row in await records.queue.page(0, 9)
        ]

    async def test_a_move_is_durable_and_other_rows_stay_as_they_are(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            first, second, third = await added(records, *(sample_download() for _ in range(3)))
            moved = await records.queue.move(third.id, TO_TOP, lambda row: None)
            assert moved is not None
            assert (moved.before, moved.index) == (third, 0)
            assert moved.after == await present(records, third.id)
            assert [await present(records, row.id) for row in (first, second)] == [first, second]
        async with open_store() as records:
            assert ids(await records.queue.page(0, 9)) == ids([third, first, second])
            waiting = [one async for chunk in records.waiting() for one in chunk]
            assert min(waiting, key=lambda one: one.key) == WaitingDownload.of(moved.after, not_before=None)

    async def test_the_check_of_a_move_sees_the_row(self, records: Store) -> None:
        (row,) = await added(records, sample_download(state=State.DOWNLOADING))

        def refuse(found: Download) -> None:
            assert found == row
            raise InvalidStateError("it runs")

        with pytest.raises(InvalidStateError, match="it runs"):
            await records.queue.move(row.id, TO_BOTTOM, refuse)
        assert await records.queue.move("unknown", TO_BOTTOM, refuse) is None
        assert await present(records, row.id) == row

    @pytest.mark.parametrize("desired", Desired)
    @pytest.mark.parametrize("state", State)
    async def test_a_chunk_is_paused_as_one_download_is(self, records: Store, state: State, desired: Desired) -> None:
        (row,) = await added(records, touched(state, desired))
        chunk = await records.queue.pause_chunk(everything(), anywhere)
        changed = (state in WAITING and desired is not Desired.CANCEL) or (state in RUNNING and desired is Desired.RUN)
        assert [one.before for one in chunk.changed] == ([state] if changed else [])
        after = await present(records, row.id)
        assert after == (lifecycle.pause(row) if changed else row)
        # A run has to be told.
        assert [one.row for one in chunk.changed if one.row] == ([after] if changed and state in RUNNING else [])

    @pytest.mark.parametrize("state", State)
    async def test_a_chunk_is_resumed_as_one_download_is(self, records: Store, state: State) -> None:
        (row,) = await added(records, touched(state, Desired.PAUSE))
        chunk = await records.queue.resume_chunk(everything(with_rows=True), anywhere)
        after = await present(records, row.id)
        if state is not State.PAUSED:
            assert (list(chunk.changed), after) == ([], row)
            return
        assert after == lifecycle.resume(row)
        assert chunk.changed == [
            ChangedDownload(waiting=WaitingDownload.of(after, not_before=None), before=state, row=after)
        ]

    async def test_a_chunk_leaves_out_directories_and_later_downloads(self, records: Store) -> None:
        rows = await added(
            records,
            sample_download(),
            sample_download(directory="hers"),
            sample_download(state=State.RETRYING),
            sample_download(),
            sample_download(),
        )
        assert await records.queue.last_seq() == 5
        request = ChunkRequest(after=0, until=4, with_rows=False)
        chunk = await records.queue.pause_chunk(request, lambda directory: directory != "hers")
        assert ([one.waiting.seq for one in chunk.changed], chunk.last_seq) == ([1, 3, 4], None)
        states = [(await present(records, row.id)).state for row in rows]
        assert states == [State.PAUSED, State.QUEUED, State.PAUSED, State.PAUSED, State.QUEUED]

    async def test_chunks_follow_each_other(self, records: Store) -> None:
        await records.accept([sample_download() for _ in range(2 * CHUNK_ROWS + 1)])
        sizes: list[int] = []
        after: int | None = 0
        while after is not None:
            request = ChunkRequest(after=after, until=await records.queue.last_seq(), with_rows=False)
            chunk = await records.queue.pause_chunk(request, anywhere)
            sizes.append(len(chunk.changed))
            after = chunk.last_seq
        assert sizes == [CHUNK_ROWS, CHUNK_ROWS, 1]
        assert await records.counts() == {State.PAUSED: 2 * CHUNK_ROWS + 1}

    async def test_there_is_nothing_to_change_in_empty_records(self, records: Store) -> None:
        assert await records.queue.last_seq() == 0
        assert await records.queue.pause_chunk(everything(), anywhere) == QueueChunk(changed=(), last_seq=None)
        assert await records.queue.page(0, 9) == await records.queue.page(-1, 9) == []

    async def test_each_change_of_the_list_has_a_revision_and_is_in_the_next_page(self, records: Store) -> None:
        first, second = await added(records, sample_download(), sample_download())
        revision, page = await records.queue.revision(), await records.queue.page(0, 9)
        for change in (
            lambda: records.accept([sample_download()]),
            lambda: records.queue.move(second.id, QueueMove(offset=0), lambda row: None),
            lambda: records.amend(first.id, lambda row: row.with_request(directory="elsewhere")),
            lambda: records.queue.pause_chunk(everything(), anywhere),
            lambda: records.queue.resume_chunk(everything(), anywhere),
            lambda: records.claim([first.seq]),
        ):
            await change()
            before, revision = revision, await records.queue.revision()
            assert revision > before
            shown, page = page, await records.queue.page(0, 9)
            assert page != shown
