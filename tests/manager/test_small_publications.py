"""Publication of small files in batches: each has its own outcome, and its order of writes is that of a single file."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from records.contract import ManualClock, claimed, present, sample_download
from structlog.testing import capture_logs
from support.downloads import with_fields
from support.recovered_ends import reconciled
from support.waiting import wait_until

from downloadd.download import Download
from downloadd.errors import InsufficientStorageError, StoreUnavailableError
from downloadd.manager import small_publications
from downloadd.manager.row_writer import FencedError
from downloadd.manager.small_publications import SmallPublications, UnsuitableError
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State
from downloadd.storage.destination import SmallFile
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.small_files import HeldFile


class Parts:
    """Records, storage and the publications, with a journal of their writes.

    Attributes:
        journal: the name of each write, with the number of its files or rows.
    """

    def __init__(self, root: Path, records: SqliteRecords, destination: LocalDestination) -> None:
        self.root = root
        self.records = records
        self.destination = destination
        self.publications = SmallPublications(records, destination, ManualClock())
        self.journal: list[str] = []

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Record the writes."""
        for owner, name in (
            (self.destination.small_files, "write"),
            (self.destination.small_files, "link"),
            (self.records, "save_all"),
        ):
            monkeypatch.setattr(owner, name, self._recorded(name, getattr(owner, name)))

    async def make(self, name: str, data: bytes = b"bytes") -> tuple[HeldFile, Download]:
        """Return a file in memory and the row of its run."""
        row = await claimed(self.records, sample_download(directory="d", filename=name))
        filename = parse_filename(name)
        part = await self.destination.open_part(
            directory="d", filename=filename, download_id=row.id, epoch=row.epoch, existing=None
        )
        await part.write([data], 0, is_last=True)
        row = with_fields(row, state=State.VERIFYING, total=len(data), part_name=part.name)
        return self.destination.small_files.make(part, filename, last_modified=None), row

    async def publish_all(self, *made: tuple[HeldFile, Download]) -> list[Any]:
        """Publish files at once; return the outcome of each."""
        return await asyncio.gather(*(self.publications.publish(*one) for one in made), return_exceptions=True)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}

    def _recorded(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def recorded(items: Sequence[object]) -> Any:
            self.journal.append(f"{name} {len(items)}")
            return await call(items)

        return recorded


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with (
        SqliteRecords(tmp_path / "state", ManualClock()) as records,
        LocalDestination(tmp_path / "root", min_free=0, fsync=True) as destination,
    ):
        parts = Parts(tmp_path / "root", records, destination)
        yield parts
        await parts.publications.close()


async def test_a_file_is_recorded_before_it_has_its_name_and_again_after(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, row = await parts.make("f")
    parts.watch(monkeypatch)
    recorded: list[Download] = []
    link = parts.destination.small_files.link

    async def check_and_link(files: Sequence[SmallFile]) -> Any:
        recorded.append(await present(parts.records, row.id))
        assert not parts.files()
        return await link(files)

    monkeypatch.setattr(parts.destination.small_files, "link", check_and_link)
    (ended,) = await parts.publish_all((file, row))
    assert parts.journal == ["write 1", "save_all 1", "link 1", "save_all 1"]
    before = recorded[0]
    assert (before.state, before.progress.publishing, before.progress.part_name) == (State.VERIFYING, True, None)
    assert file.identity == f"{before.result.file_identity}@{next(parts.root.rglob('f')).stat().st_ctime_ns}"
    assert ended.result.file_identity == file.identity
    assert (ended.state, ended.result.ended_seq, ended.progress.received) == (State.COMPLETED, 1, 5)
    assert ended == await present(parts.records, row.id)
    assert parts.files() == {"f": b"bytes"}


async def test_files_that_wait_share_their_writes(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [await parts.make(f"{number}") for number in range(10)]
    parts.watch(monkeypatch)
    monkeypatch.setattr(small_publications, "MAX_BATCH_FILES", 8)
    ended = await parts.publish_all(*made)
    assert [row.state for row in ended] == [State.COMPLETED] * 10
    assert sorted(parts.journal) == ["link 2", "link 8", *["save_all 2"] * 2, *["save_all 8"] * 2, "write 2", "write 8"]
    assert parts.files() == {f"{number}": b"bytes" for number in range(10)}


async def test_a_batch_has_a_limit_in_bytes(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_publications, "MAX_BATCH_BYTES", 10)
    made = [await parts.make(f"{number}") for number in range(5)]
    parts.watch(monkeypatch)
    await parts.publish_all(*made)
    assert [entry for entry in parts.journal if entry.startswith("write")] == ["write 2", "write 2", "write 1"]


async def test_bad_ones_among_good_ones_have_outcomes_of_their_own(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    (parts.root / "d").mkdir()
    (parts.root / "d/taken").write_bytes(b"old")
    made = [await parts.make(name, name.encode()) for name in ("good", "taken", "unwritable", "fenced", "too")]
    await parts.records.save(with_fields(made[3][1], state=State.FAILED))
    original = os.pwrite

    def fail(fd: int, data: bytes, offset: int) -> int:
        if bytes(data) == b"unwritable":
            raise OSError(errno.EIO, "I/O error")
        return original(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", fail)
    good, taken, unwritable, fenced, too = await parts.publish_all(*made)
    assert (good.state, too.state, taken) == (State.COMPLETED, State.COMPLETED, None)
    assert isinstance(unwritable, UnsuitableError)
    assert isinstance(fenced, FencedError)
    assert parts.files() == {"good": b"good", "taken": b"old", "too": b"too"}
    # Those that were not published can be published otherwise.
    assert made[1][0].part.is_held
    assert await made[2][0].part.publish(parse_filename("unwritable"), replace=False, last_modified=None)


async def test_a_row_that_cannot_be_recorded_fails_its_download_only(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await parts.make(name) for name in ("good", "bad")]
    save_all, save = parts.records.save_all, parts.records.save

    async def refuse_all(rows: Sequence[Download]) -> Any:
        if any(row.filename == "bad" for row in rows):
            raise InsufficientStorageError("no space")
        return await save_all(rows)

    async def refuse(row: Download) -> Any:
        if row.filename == "bad":
            raise InsufficientStorageError("no space")
        return await save(row)

    monkeypatch.setattr(parts.records, "save_all", refuse_all)
    monkeypatch.setattr(parts.records, "save", refuse)
    good, bad = await parts.publish_all(*made)
    assert good.state is State.COMPLETED
    assert isinstance(bad, InsufficientStorageError)
    assert parts.files() == {"good": b"bytes"}


@pytest.mark.parametrize("method", ["write", "link"])
async def test_an_unexpected_error_ends_its_batch_and_no_other(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    first, second = await parts.make("first"), await parts.make("second")
    call = getattr(parts.destination.small_files, method)

    async def fail_once(files: Sequence[SmallFile]) -> Any:
        monkeypatch.setattr(parts.destination.small_files, method, call)
        raise RuntimeError("a bug")

    monkeypatch.setattr(parts.destination.small_files, method, fail_once)
    with capture_logs() as lines:
        (failed,) = await parts.publish_all(first)
    assert isinstance(failed, RuntimeError)
    assert [line["event"] for line in lines] == ["small_files_failed"]
    (ended,) = await parts.publish_all(second)
    assert ended.state is State.COMPLETED
    await parts.destination.small_files.discard([first[0]])


async def test_files_are_published_alone_while_the_disk_does_not_answer(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_publications, "STUCK_SECONDS", 0.01)
    made = [await parts.make(f"{number}") for number in range(3)]
    write, begun, hang = parts.destination.small_files.write, asyncio.Event(), asyncio.Event()

    async def write_later(files: Sequence[SmallFile]) -> None:
        begun.set()
        await hang.wait()
        await write(files)

    monkeypatch.setattr(parts.destination.small_files, "write", write_later)
    hanging = asyncio.create_task(parts.publish_all(made[0]))
    await begun.wait()
    assert [type(error) for error in await parts.publish_all(made[1])] == [UnsuitableError]
    assert [type(error) for error in await parts.publish_all(made[2])] == [UnsuitableError]
    hang.set()
    assert [row.state for row in await hanging] == [State.COMPLETED]
    assert [row.state for row in await parts.publish_all(made[1])] == [State.COMPLETED]


async def test_an_end_is_recorded_as_soon_as_the_records_are_available(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_all = parts.records.save_all
    refusals = 2

    async def refuse(rows: Sequence[Download]) -> Any:
        nonlocal refusals
        if rows[0].state is State.COMPLETED and refusals:
            refusals -= 1
            raise StoreUnavailableError("locked")
        return await save_all(rows)

    monkeypatch.setattr(parts.records, "save_all", refuse)
    publishing = asyncio.create_task(parts.publish_all(await parts.make("f")))
    await wait_until(lambda: parts.publications.waits_for_records)
    assert parts.files() == {"f": b"bytes"}
    (ended,) = await publishing
    assert ended.state is State.COMPLETED
    assert not parts.publications.waits_for_records


async def test_a_run_that_is_cancelled_in_the_queue_does_not_stop_the_others(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await parts.make("first"), await parts.make("second")
    parts.watch(monkeypatch)
    cancelled = asyncio.create_task(parts.publications.publish(*first))
    other = asyncio.create_task(parts.publications.publish(*second))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert (await other) is not None
    await wait_until(lambda: cancelled.done())
    assert cancelled.cancelled()
    assert parts.files().keys() == {"first", "second"}, "only the end of the process stops a publication"
    assert (await present(parts.records, first[1].id)).state is State.COMPLETED


@pytest.mark.parametrize("cut_at", ["write", "save_all", "link", "second save_all"])
async def test_what_is_under_way_at_the_end_is_completed_or_repeated_by_the_next_start(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, cut_at: str
) -> None:
    file, row = await parts.make("f")
    reached = asyncio.Event()
    names = iter(("write", "save_all", "link", "second save_all"))

    def hang_at(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def hang(items: Sequence[object]) -> Any:
            if next(names) == cut_at:
                reached.set()
                await asyncio.Event().wait()
            return await call(items)

        return hang

    for owner, name in ((file_owner := parts.destination.small_files, "write"), (file_owner, "link")):
        monkeypatch.setattr(owner, name, hang_at(getattr(owner, name)))
    monkeypatch.setattr(parts.records, "save_all", hang_at(parts.records.save_all))
    publishing = asyncio.create_task(parts.publications.publish(file, row))
    await reached.wait()
    await parts.publications.close()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    ended = await reconciled(parts.records, parts.destination, ManualClock())
    if cut_at == "second save_all":
        assert [(end.download.id, end.download.state) for end in ended] == [(row.id, State.COMPLETED)]
        assert parts.files() == {"f": b"bytes"}
    else:
        assert not ended
        after = await present(parts.records, row.id)
        assert (after.state, after.progress.publishing, after.result.file_identity) == (State.QUEUED, False, None)
        assert not parts.files()


async def test_another_file_of_the_same_size_is_not_taken_for_the_published_one(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, row = await parts.make("f")
    await parts.destination.small_files.write([file])
    await parts.records.save(with_fields(row, publishing=True, part_name=None, file_identity=file.identity))
    (parts.root / "d/f").write_bytes(b"other")
    assert await reconciled(parts.records, parts.destination, ManualClock()) == []
    assert (await present(parts.records, row.id)).state is State.QUEUED
    assert parts.files() == {"f": b"other"}
    await parts.destination.small_files.discard([file])
