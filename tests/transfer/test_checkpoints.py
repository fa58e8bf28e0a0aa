"""Checkpoints of one attempt, with a fake part file and a clock set by hand."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace
from support.clocks import ManualClock
from support.downloads import with_fields
from support.sample_downloads import sample_download
from support.waiting import CONDITION_TIMEOUT

from downloadd.download import Download, OriginDigest, ResumedBy, SupersededPart
from downloadd.errors import InsufficientStorageError, StorageError
from downloadd.states import State
from downloadd.storage.destination import Destination, Part
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.part_descriptor import PartClosedError
from downloadd.storage.part_file import PartFile
from downloadd.transfer import checkpoints
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.checkpoints import (
    CHECKPOINT_SECONDS,
    FIRST_CHECKPOINT_SECONDS,
    MAX_UNRECORDED_BYTES,
    RECORD_SECONDS,
    Checkpoints,
)
from downloadd.transfer.classification import UseResponse
from downloadd.transfer.recorded_bytes import recorded_ranges
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import Evidence


class FakePart:
    """Part file that logs calls and saved rows in one list."""

    def __init__(self, calls: list[object]) -> None:
        self.name = ".part"
        self.size = 10
        self.synced = 0
        self.calls = calls
        self.fails = False

    async def sync(self) -> None:
        self.calls.append("sync")
        if self.fails:
            raise StorageError("broken")

    def start_sync(self) -> None:
        self.calls.append("start_sync")

    async def close(self) -> None:
        self.calls.append("close")


class Setup:
    def __init__(self) -> None:
        self.calls: list[object] = []
        self.clock = ManualClock()
        self.fake = FakePart(self.calls)
        self.part = cast(Part, self.fake)
        self.changes = 0
        self.can_save = asyncio.Event()
        self.can_save.set()
        row = sample_download(state=State.STARTING, validator='"v"')
        self.checkpoints = Checkpoints(
            row,
            destination=cast(Destination, None),
            save=self.save,
            on_change=self.count_change,
            clock=self.clock,
            allows_overlap=True,
        )
        self.checkpoints.part = self.part

    def count_change(self) -> None:
        self.changes += 1

    async def save(self, row: Download) -> Download:
        await self.can_save.wait()
        self.calls.append(row.progress.received)
        return row

    async def before_write(self, size: int = 5, *, is_last: bool = False, is_segmented: bool = False) -> None:
        await self.checkpoints.before_write(self.part, size, is_last, is_segmented=is_segmented)


@pytest.fixture
async def setup() -> Setup:
    return Setup()


async def test_the_row_is_saved_once_before_the_first_write(setup: Setup) -> None:
    await setup.before_write()
    await setup.before_write()
    assert (setup.calls, setup.checkpoints.is_recorded) == ([0], True)


async def test_a_short_complete_file_is_written_without_a_save(setup: Setup) -> None:
    await setup.before_write(MAX_UNRECORDED_BYTES, is_last=True)
    assert setup.calls == []
    await setup.before_write(MAX_UNRECORDED_BYTES + 1, is_last=True)
    assert setup.calls == [0]


async def test_a_checkpoint_records_only_synced_bytes(setup: Setup) -> None:
    await setup.before_write()
    setup.clock.now += CHECKPOINT_SECONDS
    await setup.before_write()
    setup.clock.now += CHECKPOINT_SECONDS
    await setup.before_write()
    assert setup.calls == [0, "start_sync"]
    setup.fake.synced = 7
    await setup.before_write(is_segmented=True)
    await setup.before_write()
    await setup.before_write()
    assert setup.calls == [0, "start_sync", 7, "start_sync"]


async def test_a_young_transfer_has_recorded_half_of_its_time_at_least(setup: Setup) -> None:
    began = setup.clock.now
    recorded: set[float] = set()
    while (lasted := setup.clock.now - began) < 20:
        await setup.before_write()
        if setup.calls[-1] == "start_sync":
            # A byte is received each millisecond, and synced at once.
            setup.fake.synced = round(lasted * 1000)
            setup.calls.append("synced")
        seconds = setup.checkpoints.download.progress.received / 1000
        if lasted > FIRST_CHECKPOINT_SECONDS + RECORD_SECONDS + 0.01:
            assert seconds >= lasted / 2 - 0.02
            assert seconds >= lasted - CHECKPOINT_SECONDS - RECORD_SECONDS - 0.02
        recorded.add(seconds)
        setup.clock.now += 0.01
    assert len(recorded) <= 11


async def test_a_complete_file_is_recorded_after_its_sync_if_it_is_not_short(setup: Setup) -> None:
    setup.fake.size = MAX_UNRECORDED_BYTES
    await setup.checkpoints.record_complete()
    assert setup.calls == []
    setup.fake.size += 1
    await setup.checkpoints.record_complete()
    assert setup.calls == ["sync", MAX_UNRECORDED_BYTES + 1]
    assert recorded_ranges(setup.checkpoints.download).size == MAX_UNRECORDED_BYTES + 1


async def test_a_transfer_does_not_wait_for_a_slow_checkpoint(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_TIMEOUT", 0.01)
    await setup.before_write()
    setup.clock.now += CHECKPOINT_SECONDS
    await setup.before_write()
    setup.clock.now += CHECKPOINT_SECONDS
    setup.fake.synced = 7
    setup.can_save.clear()
    async with asyncio.timeout(CONDITION_TIMEOUT):
        await setup.before_write()
    assert setup.calls == [0, "start_sync"]


async def test_ranges_are_saved_after_their_sync_and_not_before_the_first_save(setup: Setup) -> None:
    ranges = ByteRanges()
    ranges.add(3, 8)
    await setup.checkpoints.save_ranges(setup.part, ranges)
    assert setup.calls == []
    await setup.before_write()
    await setup.checkpoints.save_ranges(setup.part, ranges)
    assert setup.calls == [0, "sync", 5]
    assert recorded_ranges(setup.checkpoints.download) == ranges


async def test_a_closed_part_is_recorded_as_far_as_it_is_synced(setup: Setup) -> None:
    assert (await setup.checkpoints.close_part(None)).progress.received == 10
    setup.fake.fails = True
    setup.checkpoints.download = with_fields(setup.checkpoints.download, received=4)
    row = await setup.checkpoints.close_part(None)
    assert (row.progress.received, row.progress.received_ranges, row.progress.part_name) == (4, "0-4", ".part")
    assert setup.calls == ["sync", "close", "sync", "close"]


async def test_a_resumed_response_keeps_properties_that_it_does_not_repeat(setup: Setup) -> None:
    first, second = OriginDigest(source="a", checksum="md5=1"), OriginDigest(source="b", checksum="md5=2")

    def accept(evidence: Evidence | None, content_type: str | None, digests: tuple[OriginDigest, ...]) -> Download:
        response = UseResponse(
            start=0 if evidence is None else 5,
            length=5,
            found=Representation(total=10, validator='"v"', weak_tag='W/"w"', last_modified=7, origin_digests=digests),
            content_type=content_type,
            suggested_filename=None,
            evidence=evidence,
        )
        setup.checkpoints.accept_response(response, final_url_digest=None, part_name=".part")
        return setup.checkpoints.download

    setup.checkpoints.is_recorded = True
    row = accept(None, "text/plain", (first,))
    assert (row.state, setup.checkpoints.is_recorded, setup.changes) == (State.DOWNLOADING, False, 1)
    assert row.progress.resumed_by is None
    row = accept(Evidence.OVERLAP, None, (first, second))
    assert (row.result.content_type, row.progress.last_modified) == ("text/plain", 7)
    assert (row.progress.weak_tag, row.progress.origin_digests) == ('W/"w"', (first, second))
    # The weakest evidence counts.
    assert accept(Evidence.IF_RANGE, None, ()).progress.resumed_by is ResumedBy.OVERLAP
    row = accept(None, None, ())
    assert (row.result.content_type, row.progress.origin_digests, row.progress.resumed_by) == (None, (), None)


class Files:
    """Checkpoints of one download with a real directory."""

    def __init__(self, destination: LocalDestination, root: Path, row: Download | None = None) -> None:
        self.destination = destination
        self.root = root
        self.saved: list[Download] = []
        self.error: Exception | None = None
        row = row or sample_download(state=State.STARTING, epoch=3, directory="")
        self.checkpoints = Checkpoints(
            row,
            destination=destination,
            save=self.save,
            on_change=lambda: None,
            clock=ManualClock(),
            allows_overlap=True,
        )

    async def save(self, row: Download) -> Download:
        if self.error is not None:
            raise self.error
        self.saved.append(row)
        return row

    async def write(self, content: bytes, validator: str | None) -> str:
        """Write a part file under this validator; return its name."""
        part = await self.checkpoints.create_part()
        self.checkpoints.download = with_fields(
            self.checkpoints.download, part_name=part.name, validator=validator, total=1 << 20
        )
        await part.write([content], 0)
        return part.name

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.iterdir() if path.name.endswith(".part")}


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Files]:
    async with LocalDestination(tmp_path, min_free=0, fsync=False) as destination:
        yield Files(destination, tmp_path)


async def test_starting_over_keeps_the_old_file_and_records_both(files: Files) -> None:
    old = await files.write(b"old", '"1"')
    await files.checkpoints.start_over()
    new = await files.write(b"ne", '"2"')
    assert files.files() == {old: b"old", new: b"ne"}
    [saved] = files.saved
    assert saved.progress.part_name == new
    assert saved.progress.superseded == SupersededPart(part_name=old, received=3, total=1 << 20, validator='"1"')
    assert (saved.progress.received, saved.progress.validator, files.checkpoints.baseline) == (0, None, 3)
    await files.checkpoints.close_part(None)


async def test_the_larger_of_two_old_files_stays(files: Files) -> None:
    first = await files.write(b"first", '"1"')
    await files.checkpoints.start_over()
    await files.write(b"2", '"2"')
    await files.checkpoints.start_over()
    third = await files.write(b"third one", '"3"')
    assert files.files() == {first: b"first", third: b"third one"}
    await files.checkpoints.start_over()
    fourth = await files.write(b"4", '"4"')
    assert files.files() == {third: b"third one", fourth: b"4"}
    await files.checkpoints.close_part(None)


@pytest.mark.parametrize(("validator", "is_valid"), [(None, True), ('"1"', False)])
async def test_bytes_that_cannot_be_continued_are_removed(files: Files, validator: str | None, is_valid: bool) -> None:
    await files.write(b"old", validator)
    await files.checkpoints.start_over(is_part_valid=is_valid)
    new = await files.write(b"new", '"2"')
    assert files.files() == {new: b"new"}
    assert files.checkpoints.download.progress.superseded is None
    await files.checkpoints.close_part(None)


async def test_going_back_continues_the_old_file(files: Files) -> None:
    await files.write(b"old", '"1"')
    await files.checkpoints.start_over()
    await files.write(b"ne", '"2"')
    assert await files.checkpoints.go_back()
    progress = files.checkpoints.download.progress
    assert (progress.validator, progress.received, progress.superseded) == ('"1"', 3, None)
    assert files.saved[-1] == files.checkpoints.download
    assert files.files() == {progress.part_name: b"old"}
    await files.checkpoints.close_part(None)


async def test_a_longer_new_file_replaces_the_old_one(files: Files) -> None:
    await files.write(b"old", '"1"')
    await files.checkpoints.start_over()
    new = await files.write(b"ne", '"2"')
    part = files.checkpoints.part
    assert part is not None
    await files.checkpoints.before_write(part, 2, False, is_segmented=False)
    assert len(files.files()) == 2
    await part.write([b"wer"], 2)
    await files.checkpoints.before_write(part, 1, False, is_segmented=False)
    assert files.files() == {new: b"newer"}
    assert (await files.checkpoints.close_part(None)).progress.superseded is None


async def test_an_old_file_makes_room_for_the_new_one(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    await files.write(b"old", '"1"')
    await files.checkpoints.start_over()
    new = await files.write(b"", '"2"')
    requested: list[tuple[int, int]] = []

    async def reserve(part: PartFile, size: int, *, missing: int) -> None:
        requested.append((size, missing))
        if len(files.files()) > 1:
            raise InsufficientStorageError("full")

    monkeypatch.setattr(PartFile, "reserve", reserve)
    await files.checkpoints.reserve(10, missing=7)
    assert requested == [(10, 7), (10, 7)]
    assert set(files.files()) == {new}
    await files.checkpoints.remove_parts()
    assert files.files() == {}


@pytest.mark.parametrize("action", ["start over", "go back"])
async def test_a_row_that_cannot_be_saved_leaves_the_part_file_as_it_is(files: Files, action: str) -> None:
    old = await files.write(b"old", '"1"')
    if action == "go back":
        await files.checkpoints.start_over()
        old = await files.write(b"ne", '"2"')
    part, row, before = files.checkpoints.part, files.checkpoints.download, files.files()
    files.error = StorageError("broken")
    with pytest.raises(StorageError):
        await (files.checkpoints.start_over() if action == "start over" else files.checkpoints.go_back())
    assert (files.checkpoints.part, files.checkpoints.download) == (part, row)
    assert sorted(files.files().values()) == sorted(before.values())
    assert files.files()[old] == before[old]
    assert [name for name in os.listdir("/proc/self/fd") if _is_part(name, files.root)] == [str(_descriptor(part))]
    await files.checkpoints.close_part(None)


def _is_part(fd: str, root: Path) -> bool:
    try:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
    except FileNotFoundError:
        return False
    # Other tests may have left part files open.
    return path.suffix == ".part" and path.is_relative_to(root)


def _descriptor(part: Part | None) -> int:
    assert isinstance(part, PartFile)
    return part.descriptor.open()


def later(files: Files, **fields: object) -> Files:
    """Return the checkpoints of the next run, with what the first one has recorded."""
    row = replace(files.checkpoints.download, epoch=4)
    return Files(files.destination, files.root, with_fields(row, **fields))


async def test_a_takeover_continues_a_copy_of_what_was_recorded(files: Files) -> None:
    old = await files.write(b"recorded, not recorded", '"1"')
    late = files.checkpoints.part
    assert late is not None
    next_run = later(files, received=8)
    part = await next_run.checkpoints.take_over_part(old)
    assert next_run.files() == {part.name: b"recorded"}
    [saved] = next_run.saved
    assert (saved.progress.part_name, saved.progress.received, saved.progress.validator) == (part.name, 8, '"1"')
    assert (next_run.checkpoints.download, next_run.checkpoints.baseline) == (saved, 8)
    # The first run goes on in its own file, which has no name any more.
    await late.write([b"X" * 30], 0)
    with pytest.raises(StorageError, match="missing"):
        await late.publish(parse_filename("f"), replace=False, last_modified=None)
    await late.remove()
    assert next_run.files() == {part.name: b"recorded"}
    await next_run.checkpoints.close_part(None)


async def test_a_takeover_copies_the_recorded_ranges_of_several_connections(files: Files) -> None:
    old = await files.write(b"0123456789", '"1"')
    next_run = later(files, received=5, received_ranges="1-3,6-9")
    part = await next_run.checkpoints.take_over_part(old)
    assert next_run.files() == {part.name: b"\x0012\0\0\x00678"}
    progress = next_run.checkpoints.download.progress
    assert (progress.received, progress.received_ranges) == (5, "1-3,6-9")
    await next_run.checkpoints.close_part(None)
    await files.checkpoints.close_part(None)


@pytest.mark.parametrize("reason", ["no evidence", "no space", "the file is gone"])
async def test_a_takeover_without_bytes_begins_an_empty_file(
    files: Files, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    old = await files.write(b"recorded", None if reason == "no evidence" else '"1"')
    late = files.checkpoints.part
    assert late is not None
    if reason == "the file is gone":
        await late.remove()
    if reason == "no space":

        async def copy(part: PartFile, source: Part, ranges: object) -> None:
            await part.write([b"some"], 0)
            raise InsufficientStorageError("full")

        monkeypatch.setattr(PartFile, "copy", copy)
    next_run = later(files, received=8)
    part = await next_run.checkpoints.take_over_part(old)
    assert part.size == 0
    progress = next_run.saved[-1].progress
    assert (progress.part_name, progress.received, progress.validator, progress.total) == (part.name, 0, None, None)
    assert not b"".join(next_run.files().values())
    with suppress(PartClosedError), pytest.raises(StorageError, match="missing"):
        await late.publish(parse_filename("f"), replace=False, last_modified=None)
    await late.close()
    await next_run.checkpoints.close_part(None)


async def test_a_takeover_removes_a_superseded_file_that_the_first_run_may_remove_at_any_time(files: Files) -> None:
    await files.write(b"old", '"1"')
    await files.checkpoints.start_over()
    new = await files.write(b"ne", '"2"')
    next_run = later(files, received=2)
    part = await next_run.checkpoints.take_over_part(new)
    assert next_run.saved[-1].progress.superseded is None
    assert next_run.files() == {part.name: b"ne"}
    await next_run.checkpoints.close_part(None)
    await files.checkpoints.close_part(None)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_takeover_that_fails_is_repeated_by_the_next_run(
    files: Files, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    old = await files.write(b"recorded, not recorded", '"1"')
    failed = later(files, received=8)
    error = asyncio.CancelledError() if is_cancelled else StorageError("broken")

    async def sync(part: PartFile) -> None:
        raise error

    with monkeypatch.context() as patched:
        if is_cancelled:
            patched.setattr(PartFile, "sync", sync)
        else:
            failed.error = error  # type: ignore[assignment]
        with pytest.raises(type(error)):
            await failed.checkpoints.take_over_part(old)
    # The row names the file of the first run still.
    row = await failed.checkpoints.close_part(None)
    assert (row.progress.part_name, row.progress.received, failed.checkpoints.part) == (old, 8, None)
    next_run = Files(files.destination, files.root, replace(row, epoch=5))
    part = await next_run.checkpoints.take_over_part(old)
    assert next_run.files() == {part.name: b"recorded"}
    await next_run.checkpoints.close_part(None)
    await files.checkpoints.close_part(None)
