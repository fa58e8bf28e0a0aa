"""Checkpoints of one attempt, with a fake part file and a clock set by hand."""

import asyncio
from typing import cast

import pytest
from support.clocks import ManualClock
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.download import Download, OriginDigest
from downloadd.errors import StorageError
from downloadd.states import State
from downloadd.storage.destination import Part
from downloadd.transfer import checkpoints
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.checkpoints import CHECKPOINT_SECONDS, MAX_UNRECORDED_BYTES, Checkpoints, recorded_ranges
from downloadd.transfer.classification import UseResponse


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
        self.can_save = asyncio.Event()
        self.can_save.set()
        row = sample_download(state=State.STARTING, validator='"v"')
        self.checkpoints = Checkpoints(row, save=self.save, clock=self.clock)

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
    setup.fake.synced = 7
    await setup.before_write()
    assert setup.calls == [0, "start_sync"]
    setup.clock.now += CHECKPOINT_SECONDS
    await setup.before_write(is_segmented=True)
    await setup.before_write()
    assert setup.calls == [0, "start_sync", 7, "start_sync"]


async def test_a_transfer_does_not_wait_for_a_slow_checkpoint(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_TIMEOUT", 0.01)
    await setup.before_write()
    setup.clock.now += CHECKPOINT_SECONDS
    setup.fake.synced = 7
    setup.can_save.clear()
    async with asyncio.timeout(5):
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
    assert (await setup.checkpoints.close_part(setup.part, None)).progress.received == 10
    setup.fake.fails = True
    setup.checkpoints.download = with_fields(setup.checkpoints.download, received=4)
    row = await setup.checkpoints.close_part(setup.part, None)
    assert (row.progress.received, row.progress.received_ranges, row.progress.part_name) == (4, "0-4", ".part")
    assert setup.calls == ["sync", "close", "sync", "close"]


async def test_a_resumed_response_keeps_properties_that_it_does_not_repeat(setup: Setup) -> None:
    first, second = OriginDigest(source="a", checksum="md5=1"), OriginDigest(source="b", checksum="md5=2")

    def accept(start: int, content_type: str | None, digests: tuple[OriginDigest, ...]) -> Download:
        response = UseResponse(
            start=start,
            length=5,
            total=10,
            validator='"v"',
            last_modified=7 if start == 0 else None,
            content_type=content_type,
            suggested_filename=None,
            origin_digests=digests,
        )
        setup.checkpoints.accept_response(response, final_url_digest=None, part_name=".part")
        return setup.checkpoints.download

    setup.checkpoints.is_recorded = True
    row = accept(0, "text/plain", (first,))
    assert (row.state, setup.checkpoints.is_recorded) == (State.DOWNLOADING, False)
    row = accept(5, None, (first, second))
    assert (row.result.content_type, row.progress.last_modified) == ("text/plain", 7)
    assert row.progress.origin_digests == (first, second)
    row = accept(0, None, ())
    assert (row.result.content_type, row.progress.origin_digests) == (None, ())
