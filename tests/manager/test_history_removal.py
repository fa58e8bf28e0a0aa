"""Removal of finished downloads, with real records and a real directory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clocks import ManualClock
from support.downloads import with_fields
from support.stored_downloads import added, ids, present, sample_download

from downloadd.download import Download, SupersededPart
from downloadd.errors import FileChangedError, InvalidStateError
from downloadd.events import EventBus, HistoryRemoved, Subscription
from downloadd.manager.history_removal import CHUNK_ROWS, HistoryRemoval, RemovalCount
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path / "state", ManualClock()) as records:
        yield records


@pytest.fixture
async def destination(tmp_path: Path) -> AsyncIterator[LocalDestination]:
    async with LocalDestination(tmp_path / "root", min_free=0, fsync=False) as destination:
        yield destination


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


@pytest.fixture
def removal(records: SqliteRecords, destination: LocalDestination, bus: EventBus) -> HistoryRemoval:
    return HistoryRemoval(records=records, destination=destination, bus=bus, clock=ManualClock())


async def removed_ids(subscription: Subscription) -> list[list[str]]:
    return [one.event.ids for one in await subscription.receive() if isinstance(one.event, HistoryRemoved)]


async def completed(records: SqliteRecords, destination: LocalDestination) -> Download:
    """Publish a file, and return the row of its download."""
    row = sample_download(state=State.COMPLETED)
    part = await destination.open_part(
        directory=row.request.directory,
        filename=parse_filename(row.filename),
        download_id=row.id,
        epoch=1,
        existing=None,
    )
    await part.write([b"abc"], 0)
    assert await part.publish(parse_filename(row.filename), replace=False, last_modified=None)
    [row] = await added(records, with_fields(row, file_identity=part.file_identity))
    return row


def names(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("with_file", [False, True])
async def test_an_entry_is_removed_with_its_file_only_on_request(
    records: SqliteRecords, destination: LocalDestination, removal: HistoryRemoval, tmp_path: Path, with_file: bool
) -> None:
    row = await completed(records, destination)
    assert await removal.remove(row, with_file=with_file) is with_file
    assert await records.get(row.id) is None
    assert names(tmp_path / "root") == ([] if with_file else [row.filename])


async def test_a_missing_file_is_no_obstacle(
    records: SqliteRecords, destination: LocalDestination, removal: HistoryRemoval, tmp_path: Path
) -> None:
    row = await completed(records, destination)
    (tmp_path / "root" / row.file_path).unlink()
    assert not await removal.remove(row, with_file=True)
    assert await records.get(row.id) is None


async def test_an_entry_stays_with_a_file_that_was_changed(
    records: SqliteRecords, destination: LocalDestination, removal: HistoryRemoval, tmp_path: Path
) -> None:
    row = await completed(records, destination)
    (tmp_path / "root" / row.file_path).write_bytes(b"another")
    with pytest.raises(FileChangedError):
        await removal.remove(row, with_file=True)
    assert await present(records, row.id) == row
    assert names(tmp_path / "root") == [row.filename]


async def test_the_file_of_another_download_stays(
    records: SqliteRecords, destination: LocalDestination, removal: HistoryRemoval, tmp_path: Path
) -> None:
    completed_row = await completed(records, destination)
    [skipped] = await added(records, sample_download(state=State.SKIPPED))
    assert not await removal.remove(skipped, with_file=True)
    assert names(tmp_path / "root") == [completed_row.filename]


async def test_an_active_download_is_not_removed(records: SqliteRecords, removal: HistoryRemoval) -> None:
    active, failed = await added(records, sample_download(), sample_download(state=State.FAILED))
    with pytest.raises(InvalidStateError, match="queued"):
        await removal.remove(active, with_file=False)
    await records.amend(failed.id, lambda row: with_fields(row, state=State.QUEUED))
    with pytest.raises(InvalidStateError, match="meanwhile"):
        await removal.remove(failed, with_file=False)
    assert ids(await records.active(ActiveFilter())) == [active.id, failed.id]


async def test_a_kept_part_is_removed_with_its_entry(
    records: SqliteRecords, destination: LocalDestination, removal: HistoryRemoval, tmp_path: Path
) -> None:
    row = sample_download(state=State.FAILED)
    part = await destination.open_part(
        directory=row.request.directory, filename=parse_filename("f"), download_id=row.id, epoch=1, existing=None
    )
    await part.write([b"abc"], 0)
    await part.close()
    await added(records, with_fields(row, part_name=part.name))
    assert names(tmp_path / "root") == [part.name]
    await removal.remove_matching(HistoryFilter(), lambda directory: True)
    assert names(tmp_path / "root") == []


@pytest.mark.parametrize("by_filter", [True, False], ids=["by filter", "by id"])
async def test_a_superseded_part_is_removed_with_its_entry(
    records: SqliteRecords, destination: LocalDestination, removal: HistoryRemoval, tmp_path: Path, by_filter: bool
) -> None:
    row = sample_download(state=State.FAILED)
    parts = []
    for restart in (0, 1):
        part = await destination.open_part(
            directory=row.request.directory,
            filename=parse_filename("f"),
            download_id=row.id,
            epoch=1,
            existing=None,
            restart=restart,
        )
        await part.write([b"abc"], 0)
        await part.close()
        parts.append(part.name)
    old, new = parts
    superseded = SupersededPart(part_name=old, received=3)
    [stored] = await added(records, with_fields(row, part_name=new, superseded=superseded))
    assert sorted(names(tmp_path / "root")) == sorted(parts)
    if by_filter:
        await removal.remove_matching(HistoryFilter(), lambda directory: True)
    else:
        await removal.remove(stored, with_file=False)
    assert names(tmp_path / "root") == []


async def test_all_matching_entries_are_removed_in_chunks(
    records: SqliteRecords, removal: HistoryRemoval, bus: EventBus
) -> None:
    count = 2 * CHUNK_ROWS + 1
    failed = await added(records, *(sample_download(state=State.FAILED) for _ in range(count)))
    [kept, others] = await added(
        records, sample_download(state=State.COMPLETED), sample_download(state=State.FAILED, directory="others")
    )
    with bus.subscribe() as subscription:
        result = await removal.remove_matching(HistoryFilter(state=State.FAILED), lambda name: name != "others")
        chunks = await removed_ids(subscription)
    assert result == RemovalCount(removed=count, refused=1)
    assert ids(await records.history(HistoryFilter())) == [others.id, kept.id]
    assert max(map(len, chunks)) == CHUNK_ROWS
    assert [id for chunk in chunks for id in chunk] == ids(failed)[::-1]
    assert await removal.last_removal() == others.result.ended_seq
