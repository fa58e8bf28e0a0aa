"""Downloads that wait until the disk has space for their announced length."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from records.contract import ManualClock
from structlog.testing import capture_logs
from support.dispatchers import make_dispatcher
from support.sample_downloads import sample_download
from support.waiting import wait_until

from downloadd.download import Download
from downloadd.errors import SpacePendingError, StorageRootMissingError
from downloadd.manager import space_queue
from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.space_queue import ANNOUNCEMENT_SECONDS, MAX_IDLE_SECONDS, SpaceQueue
from downloadd.records.queue_places import QueueEntry
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State, WaitReason
from downloadd.storage.free_space import UnannouncedSpace
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import format_part_name, parse_filename

READY = "about to start"


class Disk:
    """Space that a test sets."""

    def __init__(self) -> None:
        self.available = 0
        self.announced = 0
        self.is_missing = False
        self.kept = 0
        self.checks = 0

    async def checked(self) -> None:
        """Wait until a check that began later than now has ended."""
        count = self.checks
        await wait_until(lambda: self.checks >= count + 2, every=0.001)

    async def reclaim(self, directory: str, nbytes: int) -> bool:
        if self.kept < nbytes:
            return False
        self.available, self.kept = self.available + nbytes, self.kept - nbytes
        return True

    async def measure_unannounced(self) -> UnannouncedSpace:
        self.checks += 1
        if self.is_missing:
            raise StorageRootMissingError("gone")
        return UnannouncedSpace(available=self.available, announced=self.announced)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def dispatcher(clock: ManualClock) -> LocalDispatcher:
    return make_dispatcher(Limits(max_concurrent=9, max_per_host=9), clock)


@pytest.fixture
async def records(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path / "state", clock) as records:
        yield records


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def space(
    tmp_path: Path,
    disk: Disk,
    records: SqliteRecords,
    dispatcher: LocalDispatcher,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[SpaceQueue]:
    monkeypatch.setattr(space_queue, "SPACE_CHECK_SECONDS", 0.01)
    async with LocalDestination(tmp_path / "root", min_free=0, fsync=False) as destination:
        monkeypatch.setattr(destination, "measure_unannounced", disk.measure_unannounced)
        space = SpaceQueue(destination, dispatcher.queue, records, clock, reclaim=disk.reclaim)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(space.watch())
            yield space
            task.cancel()


@pytest.fixture
def started(dispatcher: LocalDispatcher) -> Callable[[], list[int]]:
    """Return a function that starts what is ready now, and returns all that has started."""
    seqs: list[int] = []

    def start() -> list[int]:
        seqs.extend(dispatcher.queue._scheduler.select_ready(dispatcher.queue._shared.now))
        return seqs

    return start


def lacks(needed: int, kept: int = 0) -> SpacePendingError:
    return SpacePendingError(needed=needed, kept=kept, available=0)


async def accept(records: SqliteRecords, number: int) -> Download:
    row = sample_download(number)
    accepted = await records.accept([row], None)
    [seq] = accepted.seqs
    return sample_download(number, seq=seq)


async def accept_with_part(records: SqliteRecords, root: Path, number: int, kept: int) -> tuple[Download, Path]:
    row = await accept(records, number)
    name = format_part_name(parse_filename("a"), row.id, 1)
    (root / name).write_bytes(bytes(kept))
    changed = await records.amend(row.id, lambda row: row.with_progress(part_name=name, received=kept, validator='"v"'))
    assert changed is not None
    return changed[1], root / name


async def test_a_download_waits_with_its_reason_until_it_fits(
    space: SpaceQueue, records: SqliteRecords, disk: Disk, started: Callable[[], list[int]]
) -> None:
    row = await accept(records, 1)
    space.add(row, lacks(3_000_000))
    notice = space.explain_wait(row.seq)
    assert notice is not None
    assert notice.text == "waits for space on the disk: needs 3 MB, 0 B free"
    assert (notice.code, notice.needed, notice.available) == (WaitReason.STORAGE_UNAVAILABLE, 3_000_000, 0)
    assert space.waiting == 1
    disk.available = 2_999_999
    await disk.checked()
    assert started() == []
    disk.available += 1
    await wait_until(lambda: started() == [row.seq])
    assert space.explain_wait(row.seq) is None
    assert space.waiting == 0


async def test_files_of_failed_downloads_make_way_for_one_that_waits(
    space: SpaceQueue, records: SqliteRecords, disk: Disk, started: Callable[[], list[int]]
) -> None:
    rows = [await accept(records, number) for number in range(2)]
    for row, needed in zip(rows, (5_000_000, 3_000_000), strict=True):
        space.add(row, lacks(needed))
    disk.available, disk.kept = 1_000_000, 2_500_000
    await wait_until(lambda: started() == [rows[1].seq])
    # No more than the smallest one needs.
    assert disk.kept == 500_000


async def test_no_more_start_than_fit_together(
    space: SpaceQueue, records: SqliteRecords, disk: Disk, started: Callable[[], list[int]]
) -> None:
    rows = [await accept(records, number) for number in range(3)]
    for row in rows:
        space.add(row, lacks(3))
    disk.available = 8
    await wait_until(lambda: len(started()) == 2)
    assert started() == [rows[0].seq, rows[1].seq]
    await disk.checked()
    assert space.waiting == 1
    # The bytes of those that were started are not free until they have announced them, or have ended.
    space.notify_run_ended(rows[0].seq)
    await wait_until(lambda: started() == [row.seq for row in rows])


async def test_the_one_that_was_moved_to_the_first_place_starts_first(
    space: SpaceQueue, records: SqliteRecords, disk: Disk, started: Callable[[], list[int]]
) -> None:
    rows = [await accept(records, number) for number in range(3)]
    for row in rows:
        space.add(row, lacks(3))
    space.reorder([QueueEntry(rows[2].seq, 0, 0.5), QueueEntry(99, 0)])
    disk.available = 3
    await wait_until(lambda: started() == [rows[2].seq])


async def test_a_download_that_announces_nothing_holds_the_others_back_for_a_time_only(
    space: SpaceQueue, records: SqliteRecords, disk: Disk, clock: ManualClock, started: Callable[[], list[int]]
) -> None:
    rows = [await accept(records, number) for number in range(2)]
    for row in rows:
        space.add(row, lacks(3))
    disk.available = 3
    await wait_until(lambda: started() == [rows[0].seq])
    clock.now += ANNOUNCEMENT_SECONDS
    await wait_until(lambda: started() == [row.seq for row in rows])


async def test_the_end_of_a_run_is_noticed_at_once(
    space: SpaceQueue,
    records: SqliteRecords,
    disk: Disk,
    started: Callable[[], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(space_queue, "SPACE_CHECK_SECONDS", 1000)
    row = await accept(records, 1)
    space.add(row, lacks(3))
    await wait_until(lambda: disk.checks > 0)
    disk.available = 3
    space.notify_run_ended(0)
    await wait_until(lambda: started() == [row.seq])


async def test_a_download_that_a_user_has_changed_is_not_started(
    space: SpaceQueue, records: SqliteRecords, disk: Disk, dispatcher: LocalDispatcher, started: Callable[[], list[int]]
) -> None:
    changed, other = [await accept(records, number) for number in range(2)]
    for row in (changed, other):
        space.add(row, lacks(3))
    dispatcher.queue.dequeue(changed.seq)
    space.discard(changed.seq)
    disk.available = 3
    # The first would take the space of the second.
    await wait_until(lambda: started() == [other.seq])
    assert space.explain_wait(changed.seq) is None


async def test_a_missing_root_does_not_end_the_watch(
    space: SpaceQueue, records: SqliteRecords, disk: Disk, started: Callable[[], list[int]]
) -> None:
    disk.is_missing = True
    row = await accept(records, 1)
    with capture_logs() as lines:
        space.add(row, lacks(3))
        await wait_until(lambda: bool(lines))
    disk.available, disk.is_missing = 3, False
    await wait_until(lambda: started() == [row.seq])


async def test_a_part_is_discarded_when_the_parts_of_waiting_downloads_fill_the_disk(
    space: SpaceQueue,
    records: SqliteRecords,
    disk: Disk,
    clock: ManualClock,
    tmp_path: Path,
    started: Callable[[], list[int]],
) -> None:
    first, first_part = await accept_with_part(records, tmp_path / "root", 1, kept=4)
    second, second_part = await accept_with_part(records, tmp_path / "root", 2, kept=3)
    # A download that runs may still free space.
    disk.available, disk.announced = 2, 1
    space.add(first, lacks(3, kept=4))
    space.add(second, lacks(3, kept=3))
    await disk.checked()
    clock.now += 2 * MAX_IDLE_SECONDS
    await disk.checked()
    assert second_part.exists()
    disk.announced = 0
    await disk.checked()
    assert second_part.exists()
    with capture_logs() as lines:
        clock.now += MAX_IDLE_SECONDS
        await wait_until(lambda: not second_part.exists())
    assert [line["event"] for line in lines] == ["part_discarded_for_space"]
    row = await records.get(second.id)
    assert row is not None
    assert (row.state, row.progress.part_name, row.progress.received) == (State.QUEUED, None, 0)
    disk.available += 3
    await wait_until(lambda: started() == [first.seq])
    assert first_part.exists()
    # It needs all of its bytes now.
    notice = space.explain_wait(second.seq)
    assert notice is not None
    assert notice.text == "waits for space on the disk: needs 6 B, 2 B free"


async def test_the_part_of_a_download_that_was_started_meanwhile_stays(
    space: SpaceQueue, records: SqliteRecords, disk: Disk, clock: ManualClock, tmp_path: Path
) -> None:
    first, _ = await accept_with_part(records, tmp_path / "root", 1, kept=4)
    second, part = await accept_with_part(records, tmp_path / "root", 2, kept=3)
    space.add(first, lacks(3, kept=4))
    space.add(second, lacks(3, kept=3))
    disk.available = 2
    await records.claim([second.seq])
    await disk.checked()
    clock.now += MAX_IDLE_SECONDS
    await wait_until(lambda: space.explain_wait(second.seq) is None)
    assert part.exists()
