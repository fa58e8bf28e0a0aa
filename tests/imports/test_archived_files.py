"""Files that are taken from the archives of imports."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from support.fake_imports import make_operation
from support.import_files import packed
from support.import_stack import DIRECTORY, ImportStack, content, other_process

from downloadd.import_operation import (
    PENDING_FILES,
    Channel,
    Driver,
    FileLink,
    ImportOperation,
    ImportState,
    PendingFile,
    PendingRequest,
    Selection,
)
from downloadd.imports.archived_files import ArchivedFiles
from downloadd.manager.recovery import sweep
from downloadd.records.import_protocol import ImportFencedError

MEMBERS = {"up/a": b"content of a", "up/b": b"content of b" * 100_000}

RUN = make_operation(kind=PENDING_FILES, user="ann")
HINT = "make the export again, and import it"


@pytest.fixture
def archives(stack: ImportStack) -> ArchivedFiles:
    return ArchivedFiles(
        records=stack.records.files, uploads=stack.uploads, destination=stack.destination, directory=DIRECTORY
    )


async def claimed(
    stack: ImportStack, data: bytes | None = None, members: tuple[str, ...] = tuple(MEMBERS)
) -> tuple[ImportOperation, list[PendingFile]]:
    """Record an import with these files in its archive, and claim them for the run `RUN`."""
    operation = stack.operations.new("slack", "ann", ImportState.DONE, name="x.zip")
    await stack.operations.create(operation)
    if data is not None:
        await stack.uploads.save(operation.id, content(data))
    links = [FileLink(file_id=f"F{n}", member=name, name="n", channel_id="C1") for n, name in enumerate(members)]
    await stack.records.contents.add(operation.driver, [Channel(channel_id="C1", name="general"), *links])
    await stack.records.contents.select(operation.driver, Selection(users=None, channels=None))
    await stack.records.files.reserve(RUN, PendingRequest(kind=PENDING_FILES))
    return operation, await stack.records.files.claim(RUN.driver, 9, stack.operations.new_download_id)


async def no_progress() -> None:
    return


async def save(
    archives: ArchivedFiles, files: list[PendingFile], on_saved: Callable[[], Awaitable[None]] = no_progress
) -> None:
    await archives.save(RUN, files, on_saved=on_saved)


async def outcomes(stack: ImportStack) -> list[tuple[Any, ...]]:
    files = await stack.records.files.of_run(RUN.id, 0, 9)
    return [(file.status, file.path and file.path.rpartition("/")[2], file.error) for file in files]


async def details(stack: ImportStack) -> list[str | None]:
    """Return the details of the errors, as the manifest lists them."""
    return [file.error_detail for file in await stack.records.files.of_run(RUN.id, 0, 9)]


def contents(stack: ImportStack) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in stack.root.rglob("*") if path.is_file()}


async def test_files_are_saved_in_the_directory_of_their_channel(stack: ImportStack, archives: ArchivedFiles) -> None:
    operation, files = await claimed(stack, packed(MEMBERS))
    await save(archives, files)
    assert await outcomes(stack) == [("completed", "F0-n", None), ("completed", "F1-n", None)]
    assert contents(stack) == {"F0-n": MEMBERS["up/a"], "F1-n": MEMBERS["up/b"]}
    assert {path.parent.name for path in stack.root.rglob("F*")} == {"general"}
    await archives.remove_unneeded([operation.id])
    assert stack.stored() == []


async def test_a_missing_or_damaged_file_fails_alone(stack: ImportStack, archives: ArchivedFiles) -> None:
    data = bytearray(packed(MEMBERS))
    at = data.index(b"up/a") + len("up/a") + 3
    data[at : at + 3] = b"\xff\xff\xff"
    _, files = await claimed(stack, bytes(data), ("up/a", "up/gone", "up/b"))
    await save(archives, files)
    assert await outcomes(stack) == [
        ("failed", None, "UNEXPECTED_CONTENT"),
        ("failed", None, "UNEXPECTED_CONTENT"),
        ("completed", "F2-n", None),
    ]
    assert set(contents(stack)) == {"F2-n"}
    damaged, missing, saved = await details(stack)
    assert damaged is not None
    assert damaged.startswith("the file in the archive cannot be read: 'up/a' in the archive is damaged")
    assert (missing, saved) == (f"the file in the archive cannot be read: 'up/gone'; {HINT}", None)
    # Another try with a sound archive leaves nothing of the error.
    [file, *_] = await stack.records.files.of_run(RUN.id, 0, 1)
    await stack.uploads.save(file.import_id, content(packed(MEMBERS)))
    await save(archives, [file])
    assert ((await outcomes(stack))[0], (await details(stack))[0]) == (("completed", "F0-n", None), None)


@pytest.mark.parametrize("data", [None, b"no archive"])
async def test_without_the_archive_all_files_fail_and_it_stays(
    stack: ImportStack, archives: ArchivedFiles, data: bytes | None
) -> None:
    operation, files = await claimed(stack, data)
    await save(archives, files)
    assert await outcomes(stack) == [("failed", None, "UNEXPECTED_CONTENT")] * 2
    why = "No such file or directory" if data is None else "the file is not a tar archive, or it is truncated"
    assert await details(stack) == [f"the archive of the import cannot be read: {why}; {HINT}"] * 2
    await archives.remove_unneeded([operation.id])
    assert stack.stored() == ([] if data is None else [operation.id])


async def test_a_name_that_is_taken_is_not_overwritten(stack: ImportStack, archives: ArchivedFiles) -> None:
    _, files = await claimed(stack, packed(MEMBERS))
    await save(archives, files[:1])
    path = next(stack.root.rglob("F0-n"))
    path.write_bytes(b"of another")
    await save(archives, [replace(files[0], path=None)])
    assert contents(stack) == {"F0-n": b"of another", "F0-n (1)": MEMBERS["up/a"]}


async def test_a_file_that_was_saved_before_a_crash_is_not_saved_twice(
    stack: ImportStack, archives: ArchivedFiles
) -> None:
    _, files = await claimed(stack, packed(MEMBERS))
    await save(archives, files[:1])
    # Its outcome was not recorded, but its path was.
    saved = (await stack.records.files.of_run(RUN.id, 0, 1))[0]
    await save(archives, [replace(files[0], path=saved.path)])
    assert contents(stack) == {"F0-n": MEMBERS["up/a"]}
    # A file of another content at the recorded path is not the saved one.
    next(stack.root.rglob("F0-n")).write_bytes(b"of another!!")
    await save(archives, [replace(files[0], path=saved.path)])
    assert contents(stack) == {"F0-n": b"of another!!", "F0-n (1)": MEMBERS["up/a"]}


async def test_each_saved_file_is_reported(stack: ImportStack, archives: ArchivedFiles) -> None:
    _, files = await claimed(stack, packed(MEMBERS))
    counts = []

    async def count() -> None:
        counts.append((await stack.records.files.count(RUN.id)).completed)

    await save(archives, files, count)
    assert counts == [1, 2]


async def test_a_file_that_is_too_large_is_not_saved(stack: ImportStack) -> None:
    archives = ArchivedFiles(
        records=stack.records.files,
        uploads=stack.uploads,
        destination=stack.destination,
        directory=DIRECTORY,
        max_size=100,
    )
    _, files = await claimed(stack, packed(MEMBERS))
    await save(archives, files)
    assert await outcomes(stack) == [("completed", "F0-n", None), ("failed", None, "FILE_TOO_LARGE")]
    assert set(contents(stack)) == {"F0-n"}


async def test_a_fenced_driver_publishes_no_file(stack: ImportStack, archives: ArchivedFiles) -> None:
    _, files = await claimed(stack, packed(MEMBERS))
    assert await stack.operations.claim(RUN, {RUN.state}) is not None
    with pytest.raises(ImportFencedError):
        await save(archives, files)
    assert contents(stack) == {}
    assert {status for status, _, _ in await outcomes(stack)} == {"downloading"}


async def test_the_part_of_a_file_is_left_alone_by_the_sweep_of_another_process(
    stack: ImportStack, archives: ArchivedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, files = await claimed(stack, packed(MEMBERS))
    parts: list[str] = []

    async def sweep_while_written(driver: Driver, file: PendingFile, path: str) -> None:
        parts.extend(part.name for part in stack.root.rglob("*.part"))
        await sweep(stack.database, other_process(stack))
        await place(driver, file, path)

    place = stack.records.files.place
    monkeypatch.setattr(stack.records.files, "place", sweep_while_written)
    await save(archives, files)
    assert len(parts) == 2
    assert set(contents(stack)) == {"F0-n", "F1-n"}
