"""Revisions of the lists that clients poll."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.clocks import NOW, ManualClock
from support.stored_downloads import added, claimed, sample_download

from downloadd.download import Download
from downloadd.errors import RemoteError
from downloadd.manager import lifecycle
from downloadd.queue_move import QueueMove, QueueOrigin
from downloadd.records.protocol import HistoryFilter
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.waiting_list import ChunkRequest
from downloadd.states import State


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path, ManualClock()) as opened:
        yield opened


class Rows:
    """A waiting, a paused and a failed download."""

    def __init__(self, records: SqliteRecords, waiting: Download, paused: Download, failed: Download) -> None:
        self.records = records
        self.waiting = waiting
        self.paused = paused
        self.failed = failed


async def make_rows(records: SqliteRecords) -> Rows:
    samples = (sample_download(), sample_download(state=State.PAUSED), sample_download(state=State.FAILED))
    return Rows(records, *await added(records, *samples))


async def accept_waiting(rows: Rows) -> object:
    return await rows.records.accept([sample_download()])


async def accept_refused(rows: Rows) -> object:
    return await rows.records.accept([sample_download(state=State.FAILED)])


async def claim(rows: Rows) -> object:
    return await rows.records.claim([rows.waiting.seq])


async def pause(rows: Rows) -> object:
    return await rows.records.amend(rows.waiting.id, lifecycle.pause)


async def resume(rows: Rows) -> object:
    return await rows.records.amend(rows.paused.id, lifecycle.resume)


async def change_option(rows: Rows) -> object:
    return await rows.records.amend(rows.waiting.id, lambda row: row.with_request(directory="elsewhere"))


async def cancel(rows: Rows) -> object:
    return await rows.records.amend(rows.waiting.id, lambda row: lifecycle.cancel(row, now=NOW))


async def move(rows: Rows) -> object:
    to_the_end = QueueMove(origin=QueueOrigin.END, offset=0)
    return await rows.records.queue.move(rows.waiting.id, to_the_end, lambda row: None)


async def pause_all(rows: Rows) -> object:
    return await rows.records.queue.pause_chunk(CHUNK, lambda directory: True)


async def resume_all(rows: Rows) -> object:
    return await rows.records.queue.resume_chunk(CHUNK, lambda directory: True)


async def retry(rows: Rows) -> object:
    return await rows.records.amend(rows.failed.id, lambda row: lifecycle.retry(row, now=NOW))


async def clear(rows: Rows) -> object:
    return await rows.records.amend(rows.failed.id, lifecycle.clear_result)


async def clear_all(rows: Rows) -> None:
    await rows.records.results.clear_all()


async def remove(rows: Rows) -> object:
    return await rows.records.remove_ended(await rows.records.ended_rows(HistoryFilter()))


CHUNK = ChunkRequest(after=0, until=99, with_rows=False)
CHANGES: list[tuple[Callable[[Rows], Awaitable[object]], set[str]]] = [
    (accept_waiting, {"waiting", "states"}),
    (accept_refused, {"results", "states"}),
    (claim, {"waiting", "states"}),
    (pause, {"waiting", "states"}),
    (resume, {"waiting", "states"}),
    (change_option, {"waiting"}),
    (cancel, {"waiting", "results", "states"}),
    (move, {"waiting"}),
    (pause_all, {"waiting", "states"}),
    (resume_all, {"waiting", "states"}),
    (retry, {"waiting", "results", "states"}),
    (clear, {"results"}),
    (clear_all, {"results"}),
    (remove, {"results", "states"}),
]


@pytest.mark.parametrize(("change", "lists"), CHANGES, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_change_gives_its_lists_a_new_revision(
    records: SqliteRecords, change: Callable[[Rows], Awaitable[object]], lists: set[str]
) -> None:
    rows = await make_rows(records)
    revisions = records.revisions
    before = {name: getattr(revisions, name) for name in ("waiting", "results", "states")}
    await change(rows)
    assert {name for name, revision in before.items() if getattr(revisions, name) > revision} == lists
    assert await records.queue.revision() == revisions.waiting
    assert await records.results.revision() == revisions.results


async def test_a_run_changes_the_lists_when_it_ends_or_is_to_be_paused(records: SqliteRecords) -> None:
    revisions = records.revisions

    def read() -> tuple[int, int, int]:
        return revisions.waiting, revisions.results, revisions.states

    row = await claimed(records, sample_download())
    before = read()
    row = await records.save(row.with_progress(received=1000)) or row
    # Running downloads are in no list, and checkpoints are frequent.
    assert read() == before
    _, row = await records.amend(row.id, lifecycle.pause) or (row, row)
    assert revisions.waiting == before[0] + 1
    await records.save(row.with_progress(received=2000))
    assert revisions.waiting == before[0] + 2
    failed = lifecycle.mark_failed(replace(row, state=State.DOWNLOADING), RemoteError(404), now=NOW)
    await records.save(failed)
    assert (revisions.waiting, revisions.results, revisions.states) == (before[0] + 3, before[1] + 1, before[2] + 1)


async def test_a_change_that_is_refused_has_no_revision(records: SqliteRecords) -> None:
    rows = await make_rows(records)
    before = records.revisions.waiting
    with pytest.raises(ZeroDivisionError):
        await records.amend(rows.waiting.id, lambda row: row.with_control(priority=1 // 0))
    assert records.revisions.waiting == before
