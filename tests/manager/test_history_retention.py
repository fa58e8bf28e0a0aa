"""Retention of the history, with real records."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.clocks import NOW, ManualClock
from support.downloads import with_fields
from support.stored_downloads import added, ids, sample_download
from support.waiting import wait_until

from downloadd.clock import SystemClock
from downloadd.config import HistoryConfig
from downloadd.download import Download
from downloadd.errors import StoreUnavailableError
from downloadd.events import EventBus
from downloadd.manager.history_removal import CHUNK_ROWS, HistoryRemoval
from downloadd.manager.history_retention import HistoryRetention, select_expired
from downloadd.records.protocol import EndedRow, HistoryFilter
from downloadd.records.sqlite import SqliteRecords
from downloadd.records.writer import MAX_BATCH_ROWS
from downloadd.states import State
from downloadd.storage.local import LocalDestination

DAY = 86_400


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def commits() -> list[int]:
    """Return the rows of each transaction."""
    return []


@pytest.fixture
async def records(tmp_path: Path, commits: list[int]) -> AsyncIterator[SqliteRecords]:
    on_commit = lambda rows, seconds: commits.append(rows)  # noqa: E731
    async with SqliteRecords(tmp_path / "state", SystemClock(), on_commit=on_commit) as records:
        yield records


@pytest.fixture
async def retention(tmp_path: Path, records: SqliteRecords, clock: ManualClock) -> AsyncIterator[HistoryRetention]:
    async with LocalDestination(tmp_path / "root", min_free=0, fsync=False) as destination:
        removal = HistoryRemoval(records=records, destination=destination, bus=EventBus(), clock=SystemClock())
        yield HistoryRetention(records=records, removal=removal, clock=clock, config=HistoryConfig())


def ended(age: float = 0) -> Download:
    return with_fields(sample_download(state=State.COMPLETED), end_time=int(NOW - age))


def row(ended_seq: int, end_time: int) -> EndedRow:
    return EndedRow(
        seq=ended_seq, id=str(ended_seq), ended_seq=ended_seq, end_time=end_time, directory="", part_directory=""
    )


@pytest.mark.parametrize(
    ("expired_before", "expired_seq", "expired"),
    [
        (None, None, []),
        (20.0, None, [1]),
        (20.5, None, [1, 2]),
        (None, 2, [1, 2]),
        (15.0, 2, [1, 2]),
        (100.0, 1, [1, 2, 3]),
    ],
)
def test_an_entry_expires_by_age_or_by_count(
    expired_before: float | None, expired_seq: int | None, expired: list[int]
) -> None:
    rows = [row(1, 10), row(2, 20), row(3, 30)]
    selected = select_expired(rows, expired_before=expired_before, expired_seq=expired_seq)
    assert [one.ended_seq for one in selected] == expired


async def test_by_default_all_is_kept(records: SqliteRecords, retention: HistoryRetention) -> None:
    await added(records, ended(1000 * DAY))
    assert await retention.prune() == 0
    assert len(await records.history(HistoryFilter())) == 1


async def test_old_entries_are_removed_and_active_downloads_are_not(
    records: SqliteRecords, retention: HistoryRetention, clock: ManualClock
) -> None:
    retention.configure(HistoryConfig(keep=7 * DAY))
    active = with_fields(sample_download(), start_time=0)
    _, old, new, _ = await added(records, ended(8 * DAY), ended(7 * DAY), ended(DAY), active)
    assert await retention.prune() == 1
    assert ids(await records.history(HistoryFilter())) == [new.id, old.id]
    clock.now += 7 * DAY
    assert await retention.prune() == 2
    assert (await records.get(active.id)) is not None


async def test_an_entry_with_a_time_in_the_future_does_not_hold_the_others(
    records: SqliteRecords, retention: HistoryRetention
) -> None:
    retention.configure(HistoryConfig(keep=DAY))
    [future, *_] = await added(records, ended(-DAY), *(ended(2 * DAY) for _ in range(CHUNK_ROWS + 5)), ended())
    assert await retention.prune() == CHUNK_ROWS + 5
    assert ids(await records.history(HistoryFilter()))[-1] == future.id


async def test_the_newest_entries_are_kept(records: SqliteRecords, retention: HistoryRetention) -> None:
    retention.configure(HistoryConfig(keep_count=2))
    rows = await added(records, *(ended() for _ in range(CHUNK_ROWS + 10)))
    assert await retention.prune() == CHUNK_ROWS + 8
    assert ids(await records.history(HistoryFilter())) == ids(rows[:-3:-1])
    assert await retention.prune() == 0


async def test_requests_are_accepted_while_a_long_history_is_pruned(
    records: SqliteRecords, retention: HistoryRetention, commits: list[int]
) -> None:
    chunks = 12
    for _ in range(chunks):
        await records.accept([ended(DAY) for _ in range(CHUNK_ROWS)])
    retention.configure(HistoryConfig(keep=1))
    commits.clear()
    pruning = asyncio.create_task(retention.prune())
    accepted = 0
    while not pruning.done():
        await records.accept([sample_download()])
        accepted += 1
    assert await pruning == chunks * CHUNK_ROWS
    # Each accept waits for one chunk at most: the queue is first in, first out.
    assert accepted >= chunks
    assert max(commits) <= MAX_BATCH_ROWS
    assert CHUNK_ROWS < MAX_BATCH_ROWS


async def test_the_task_follows_the_configuration_and_survives_unavailable_records(
    records: SqliteRecords, retention: HistoryRetention, monkeypatch: pytest.MonkeyPatch
) -> None:
    await added(records, ended(), ended())
    real = records.ended_seq_of_newest

    async def unavailable(number: int) -> int | None:
        raise StoreUnavailableError("locked")

    monkeypatch.setattr(records, "ended_seq_of_newest", unavailable)
    async with retention:
        with capture_logs() as lines:
            retention.configure(HistoryConfig(keep_count=1))
            await wait_until(lambda: any(line["event"] == "history_not_pruned" for line in lines))
        monkeypatch.setattr(records, "ended_seq_of_newest", real)
        retention.configure(HistoryConfig(keep_count=1))

        async def is_pruned() -> bool:
            return len(await records.history(HistoryFilter())) == 1

        await wait_until(is_pruned)
