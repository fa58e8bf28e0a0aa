"""Publication of part files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from records.contract import ManualClock, claimed, present
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.download import Conflict, Download
from downloadd.errors import FileExistsAlreadyError
from downloadd.manager.publication import Publication, select_conflict
from downloadd.manager.small_publications import SmallPublications
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import MAX_NAME_BYTES, parse_filename
from downloadd.transfer.present_files import PresentFiles

NEW = b"new"
OLD = b"old"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
async def destination(root: Path) -> AsyncIterator[LocalDestination]:
    async with LocalDestination(root, min_free=0, fsync=False) as destination:
        yield destination


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path / "state", ManualClock()) as records:
        yield records


@pytest.fixture
def saved() -> list[Download]:
    return []


@pytest.fixture
def publication(destination: LocalDestination, records: SqliteRecords, saved: list[Download]) -> Publication:
    async def save(row: Download) -> Download:
        saved.append(row)
        return row

    small_files = SmallPublications(records, destination, ManualClock())
    return Publication(
        destination,
        ManualClock(),
        save=save,
        small_files=small_files,
        present_files=PresentFiles(destination.finished_files, records.known_files),
    )


def download(conflict: Conflict, *, filename: str = "f", requested: bool = True) -> Download:
    return sample_download(
        directory="d",
        filename=filename,
        requested_name=filename if requested else None,
        conflict=conflict,
        state=State.VERIFYING,
        total=len(NEW),
    )


async def publish(
    publication: Publication, destination: LocalDestination, row: Download, *, is_held: bool = False
) -> Download | None:
    part = await destination.open_part(
        directory="d", filename=parse_filename(row.filename), download_id=row.id, epoch=1, existing=None
    )
    await part.write([NEW], part.size, is_last=is_held)
    assert part.is_held is is_held
    try:
        return await publication.publish(part, row)
    finally:
        await part.close()


@pytest.mark.parametrize("conflict", list(Conflict))
async def test_a_free_name_is_used(
    publication: Publication, destination: LocalDestination, root: Path, saved: list[Download], conflict: Conflict
) -> None:
    row = await publish(publication, destination, download(conflict))
    assert row is not None
    assert (row.state, row.filename, row.progress.publishing) == (State.COMPLETED, "f", False)
    assert (root / "d/f").read_bytes() == NEW
    # Recorded before the rename.
    assert [(one.filename, one.progress.publishing, one.state) for one in saved] == [("f", True, State.VERIFYING)]


@pytest.mark.parametrize(
    ("conflict", "name", "old"),
    [
        (Conflict.RENAME, "f (1)", OLD),
        (Conflict.OVERWRITE, "f", NEW),
        (Conflict.SKIP, None, OLD),
    ],
)
async def test_a_taken_name_is_handled_as_requested(
    publication: Publication,
    destination: LocalDestination,
    root: Path,
    conflict: Conflict,
    name: str | None,
    old: bytes,
) -> None:
    (root / "d").mkdir()
    (root / "d/f").write_bytes(OLD)
    row = await publish(publication, destination, download(conflict))
    assert (row and row.filename) == name
    assert (root / "d/f").read_bytes() == old
    if name is not None:
        assert (root / "d" / name).read_bytes() == NEW


@pytest.mark.parametrize("conflict", list(Conflict))
@pytest.mark.parametrize("is_taken", [False, True])
async def test_a_file_in_memory_gets_the_same_name_as_others(
    publication: Publication,
    destination: LocalDestination,
    records: SqliteRecords,
    root: Path,
    saved: list[Download],
    conflict: Conflict,
    is_taken: bool,
) -> None:
    (root / "d").mkdir()
    if is_taken:
        (root / "d/f").write_bytes(OLD)
    held = await claimed(records, with_fields(download(conflict), state=State.QUEUED))
    row = with_fields(held, state=State.VERIFYING, total=len(NEW))
    if is_taken and conflict is Conflict.ERROR:
        with pytest.raises(FileExistsAlreadyError):
            await publish(publication, destination, row, is_held=True)
        return
    ended = await publish(publication, destination, row, is_held=True)
    name = {Conflict.RENAME: "f (1)", Conflict.OVERWRITE: "f", Conflict.SKIP: None}[conflict] if is_taken else "f"
    assert (ended and ended.filename) == name
    # The outcome of the run removes the part file of one that is skipped.
    assert {path.name for path in (root / "d").iterdir() if not path.name.startswith(".")} == {"f", name or "f"}
    assert (root / "d/f").read_bytes() == (OLD if is_taken and conflict is not Conflict.OVERWRITE else NEW)
    # Only one that replaces another file has a part file, whose row this run writes alone.
    assert len(saved) == (is_taken and conflict is Conflict.OVERWRITE)
    if ended is not None and not saved:
        assert ended == await present(records, row.id)


async def test_no_two_downloads_get_the_same_name(
    publication: Publication, destination: LocalDestination, root: Path
) -> None:
    names = set()
    for number in range(3):
        row = await publish(
            publication, destination, with_fields(download(Conflict.RENAME), id=sample_download(number).id)
        )
        assert row is not None
        names.add(row.filename)
    assert len(names) == 3
    assert {path.name for path in (root / "d").iterdir()} == names


@pytest.mark.parametrize(
    ("row", "conflict"),
    [
        (download(Conflict.OVERWRITE), Conflict.OVERWRITE),
        # The name at the end of the URL was known before.
        (download(Conflict.OVERWRITE, filename="a", requested=False), Conflict.OVERWRITE),
        # The origin has chosen this name.
        (download(Conflict.OVERWRITE, filename="other", requested=False), Conflict.RENAME),
        (download(Conflict.SKIP, filename="other", requested=False), Conflict.SKIP),
    ],
)
def test_an_origin_does_not_choose_which_file_is_overwritten(row: Download, conflict: Conflict) -> None:
    assert select_conflict(row, MAX_NAME_BYTES) is conflict


def test_the_name_of_the_url_that_was_shortened_for_the_disk_is_overwritten() -> None:
    row = download(Conflict.OVERWRITE, filename="n" * 139 + ".bin", requested=False)
    row = row.with_request(url=f"https://files.example.com/{'n' * 200}.bin")
    assert select_conflict(row, 143) is Conflict.OVERWRITE
    assert select_conflict(row, 144) is Conflict.RENAME
