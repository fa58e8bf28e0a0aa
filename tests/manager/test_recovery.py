"""Recovery after a kill at each point of a run."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from records.contract import ManualClock, added, claimed, present, sample_download
from structlog.testing import capture_logs
from support.downloads import with_fields
from support.fake_imports import ANY_STATE, make_operation
from support.recovered_ends import reconciled

from downloadd.download import Desired, Download, new_id
from downloadd.errors import StorageError
from downloadd.import_operation import ImportState
from downloadd.import_part import part_id_of
from downloadd.manager.recovery import is_stray, sweep
from downloadd.records.protocol import PartOwner
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State
from downloadd.storage.destination import Part, PartEntry
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename

BYTES = b"0123456789"
KEPT_ID = "00000000-0000-7000-8000-000000000001"
KEPT_PART = f".x.{KEPT_ID}.2.part"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def records(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path / "state", clock) as records:
        yield records


@pytest.fixture
async def destination(tmp_path: Path) -> AsyncIterator[LocalDestination]:
    async with LocalDestination(tmp_path / "files", min_free=0, fsync=False) as destination:
        yield destination


async def running(records: SqliteRecords, destination: LocalDestination, data: bytes = BYTES) -> tuple[Download, Part]:
    """Return a download whose run has written and recorded `data`."""
    row = await claimed(records, sample_download())
    part = await destination.open_part(
        directory=row.request.directory,
        filename=parse_filename(row.filename),
        download_id=row.id,
        epoch=row.epoch,
        existing=None,
    )
    await part.write([data], part.size)
    row = with_fields(row, state=State.DOWNLOADING, part_name=part.name, total=len(BYTES), validator='"v"')
    saved = await records.save(row)
    assert saved is not None
    return saved, part


def files(tmp_path: Path) -> dict[str, bytes]:
    root = tmp_path / "files" / "Downloads"
    return {path.name: path.read_bytes() for path in root.iterdir()} if root.exists() else {}


async def test_an_interrupted_run_is_queued_again_and_keeps_its_part_file(
    tmp_path: Path, records: SqliteRecords, destination: LocalDestination, clock: ManualClock
) -> None:
    row, part = await running(records, destination, BYTES[:4])
    await part.close()
    assert await reconciled(records, destination, clock) == []
    await sweep(records, destination)
    after = await present(records, row.id)
    assert (after.state, after.progress.part_name, after.progress.validator) == (State.QUEUED, part.name, '"v"')
    assert files(tmp_path) == {part.name: BYTES[:4]}


async def test_a_recorded_rename_that_did_not_happen_is_not_completed(
    tmp_path: Path, records: SqliteRecords, destination: LocalDestination, clock: ManualClock
) -> None:
    row, part = await running(records, destination)
    await records.save(with_fields(row, state=State.VERIFYING, publishing=True))
    await part.close()
    assert await reconciled(records, destination, clock) == []
    assert (await present(records, row.id)).state is State.QUEUED
    assert files(tmp_path) == {part.name: BYTES}


async def test_a_rename_whose_history_is_missing_is_completed(
    tmp_path: Path, records: SqliteRecords, destination: LocalDestination, clock: ManualClock
) -> None:
    row, part = await running(records, destination)
    await records.save(with_fields(row, state=State.VERIFYING, publishing=True))
    assert await part.publish(parse_filename(row.filename), replace=False, last_modified=None)
    (end,) = await reconciled(records, destination, clock)
    assert end.before is State.VERIFYING
    assert (end.download.id, end.download.state) == (row.id, State.COMPLETED)
    assert (await present(records, row.id)).result.ended_seq == 1
    assert files(tmp_path) == {row.filename: BYTES}
    assert await reconciled(records, destination, clock) == []


@pytest.mark.parametrize("state", [State.STARTING, State.DOWNLOADING])
async def test_a_rename_that_the_next_run_was_about_to_find_is_completed(
    records: SqliteRecords, destination: LocalDestination, clock: ManualClock, state: State
) -> None:
    row, part = await running(records, destination)
    await records.save(with_fields(row, state=state, publishing=True))
    assert await part.publish(parse_filename(row.filename), replace=False, last_modified=None)
    (end,) = await reconciled(records, destination, clock)
    assert end.before is state
    ended = end.download
    assert (ended.id, ended.state, ended.progress.publishing) == (row.id, State.COMPLETED, False)


@pytest.mark.parametrize(
    ("desired", "state"),
    [(Desired.RUN, State.QUEUED), (Desired.PAUSE, State.PAUSED), (Desired.CANCEL, State.CANCELLED)],
)
async def test_a_disk_that_is_away_leaves_the_question_to_the_next_run(
    tmp_path: Path,
    records: SqliteRecords,
    destination: LocalDestination,
    clock: ManualClock,
    desired: Desired,
    state: State,
) -> None:
    row, part = await running(records, destination)
    await records.save(with_fields(row, state=State.VERIFYING, publishing=True))
    await records.amend(row.id, lambda row: with_fields(row, desired=desired))
    assert await part.publish(parse_filename(row.filename), replace=False, last_modified=None)
    (tmp_path / "files").rename(tmp_path / "away")
    await reconciled(records, destination, clock)
    after = await present(records, row.id)
    assert (after.state, after.progress.publishing) == (state, state is not State.CANCELLED)


async def test_a_name_that_another_file_took_meanwhile_is_not_a_completed_rename(
    tmp_path: Path, records: SqliteRecords, destination: LocalDestination, clock: ManualClock
) -> None:
    row, part = await running(records, destination)
    await records.save(with_fields(row, state=State.VERIFYING, publishing=True))
    await part.close()
    (tmp_path / "files" / "Downloads" / row.filename).write_bytes(b"abcdefghij")
    assert await reconciled(records, destination, clock) == []
    assert (await present(records, row.id)).state is State.QUEUED
    assert files(tmp_path) == {row.filename: b"abcdefghij", part.name: BYTES}


async def test_part_files_without_a_download_and_of_finished_downloads_are_removed(
    tmp_path: Path, records: SqliteRecords, destination: LocalDestination, clock: ManualClock
) -> None:
    (ended,) = await added(records, sample_download(state=State.FAILED))
    kept, part = await running(records, destination)
    await part.close()
    for id in (ended.id, new_id(clock.wall(), 7)):
        stray = await destination.open_part(
            directory="Downloads", filename=parse_filename("x"), download_id=id, epoch=1, existing=None
        )
        await stray.write([BYTES], 0)
        await stray.close()
    (tmp_path / "files" / "Downloads" / "mine.part").write_bytes(b"not ours")
    await sweep(records, destination)
    assert set(files(tmp_path)) == {part.name, "mine.part"}
    assert kept.progress.part_name == part.name


async def test_a_part_file_that_is_being_written_is_kept_although_no_download_owns_it(
    tmp_path: Path, records: SqliteRecords, destination: LocalDestination, clock: ManualClock
) -> None:
    part = await destination.open_part(
        directory="Downloads",
        filename=parse_filename("manifest.jsonl"),
        download_id=new_id(clock.wall(), 7),
        epoch=1,
        existing=None,
    )
    await part.write([BYTES[:4]], 0)
    await sweep(records, destination)
    await part.write([BYTES[4:]], 4)
    assert await part.publish(parse_filename("manifest.jsonl"), replace=True, last_modified=None)
    await sweep(records, destination)
    assert files(tmp_path) == {"manifest.jsonl": BYTES}


async def test_the_part_of_a_manifest_is_kept_while_its_operation_may_write_it(
    tmp_path: Path, records: SqliteRecords, destination: LocalDestination
) -> None:
    operations = records.imports.operations
    running, finished, unknown = "A" * 17, "B" * 17, "C" * 17
    await operations.create(make_operation(id=running, state=ImportState.DOWNLOADING))
    await operations.create(make_operation(id=finished, state=ImportState.DONE))
    assert await operations.claim(running, ANY_STATE) is not None
    names = {}
    for operation, epoch in ((running, 0), (running, 1), (finished, 0), (unknown, 0)):
        part = await destination.open_part(
            directory="Downloads",
            filename=parse_filename("manifest.jsonl"),
            download_id=part_id_of(operation),
            epoch=epoch,
            existing=None,
        )
        await part.write([BYTES], 0)
        await part.close()
        names[operation, epoch] = part.name
    await sweep(records, destination)
    assert set(files(tmp_path)) == {names[running, 1]}


async def test_part_files_older_than_the_records_are_kept_across_repeated_starts(
    tmp_path: Path, destination: LocalDestination, clock: ManualClock
) -> None:
    older = []
    for directory in ("Downloads", "elsewhere"):
        part = await destination.open_part(
            directory=directory,
            filename=parse_filename("f"),
            download_id=new_id(clock.wall() - 0.001, 7),
            epoch=1,
            existing=None,
        )
        await part.write([BYTES], 0)
        await part.close()
        older.append(tmp_path / "files" / directory / part.name)
    known = replace(sample_download(state=State.FAILED), id=new_id(clock.wall() - 1, 8))
    for _ in range(2):
        async with SqliteRecords(tmp_path / "state", clock) as records:
            if await records.get(known.id) is None:
                await added(records, known)
            for id in (known.id, new_id(clock.wall(), 7)):
                stray = await destination.open_part(
                    directory="Downloads", filename=parse_filename("x"), download_id=id, epoch=1, existing=None
                )
                await stray.write([BYTES], 0)
                await stray.close()
            with capture_logs() as lines:
                await sweep(records, destination)
        clock.now += 3600
        assert [path.read_bytes() for path in older] == [BYTES, BYTES]
        assert len(list((tmp_path / "files").rglob(".*.part"))) == 2
        assert Counter(line["event"] for line in lines) == {"stray_part_removed": 2, "foreign_parts_kept": 1}
        (warning,) = (line for line in lines if line["log_level"] == "warning")
        assert warning["parts"] == 2


@pytest.mark.parametrize(
    ("owner", "epoch", "stray"),
    [
        pytest.param(None, 1, True, id="unknown-or-ended"),
        pytest.param(PartOwner(state=State.QUEUED, epoch=1, part_name=".p"), 1, False, id="its-part"),
        pytest.param(PartOwner(state=State.QUEUED, epoch=2, part_name=".p"), 2, False, id="renamed-but-not-recorded"),
        pytest.param(PartOwner(state=State.QUEUED, epoch=3, part_name=KEPT_PART), 1, True, id="of-a-fenced-run"),
        pytest.param(PartOwner(state=State.QUEUED, epoch=3, part_name=KEPT_PART), 3, False, id="renamed-since"),
        pytest.param(PartOwner(state=State.QUEUED, epoch=1, part_name=None), 1, True, id="never-recorded"),
        pytest.param(
            PartOwner(state=State.STARTING, epoch=2, part_name=None), 1, True, id="never-recorded-and-runs-again"
        ),
        pytest.param(PartOwner(state=State.STARTING, epoch=2, part_name=None), 2, False, id="just-made"),
        pytest.param(PartOwner(state=State.QUEUED, epoch=1, part_name=None), 2, False, id="made-since"),
        pytest.param(PartOwner(state=State.FAILED, epoch=2, part_name=KEPT_PART), 2, False, id="kept"),
        pytest.param(PartOwner(state=State.FAILED, epoch=2, part_name=KEPT_PART), 1, True, id="older-than-the-kept"),
        pytest.param(
            PartOwner(state=State.FAILED, epoch=2, part_name=KEPT_PART, superseded_name=".x.part"),
            1,
            False,
            id="superseded",
        ),
        pytest.param(
            PartOwner(state=State.QUEUED, epoch=2, part_name=KEPT_PART, superseded_name=".x.part"),
            1,
            False,
            id="superseded-and-active",
        ),
    ],
)
def test_a_stray_is_a_part_file_that_no_download_continues(owner: PartOwner | None, epoch: int, stray: bool) -> None:
    part = PartEntry(directory="d", name=".x.part", download_id=KEPT_ID, epoch=epoch)
    assert is_stray(part, owner) is stray


class FailingDestination(LocalDestination):
    """Destination with one directory that fails, as on a broken disk."""

    async def remove_part(self, *, directory: str, name: str) -> None:
        if directory == "Downloads":
            raise StorageError("Permission denied")
        await super().remove_part(directory=directory, name=name)

    async def is_published(
        self,
        *,
        directory: str,
        filename: str,
        total: int,
        part_name: str | None,
        identity: str | None = None,
        part_directory: str | None = None,
        epoch: int = 0,
    ) -> bool:
        raise StorageError("Input/output error")


async def test_a_directory_that_fails_does_not_stop_the_recovery_of_others(
    tmp_path: Path, records: SqliteRecords, clock: ManualClock
) -> None:
    async with FailingDestination(tmp_path / "files", min_free=0, fsync=False) as destination:
        unwanted, part = await running(records, destination)
        await part.close()
        await records.amend(unwanted.id, lambda row: with_fields(row, desired=Desired.CANCEL))
        announced, part = await running(records, destination)
        await records.save(with_fields(announced, state=State.VERIFYING, publishing=True))
        await part.close()
        for directory in ("Downloads", "elsewhere"):
            stray = await destination.open_part(
                directory=directory,
                filename=parse_filename("f"),
                download_id=new_id(clock.wall(), 7),
                epoch=1,
                existing=None,
            )
            await stray.write([], 0)
            await stray.close()
        ended = await reconciled(records, destination, clock)
        await sweep(records, destination)
    assert [end.download.id for end in ended] == [unwanted.id]
    assert (await present(records, announced.id)).state is State.QUEUED
    assert list((tmp_path / "files" / "elsewhere").iterdir()) == []
