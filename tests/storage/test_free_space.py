import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clocks import ManualClock

from downloadd.clock import SystemClock
from downloadd.errors import InsufficientStorageError
from downloadd.storage.free_space import MAX_MEASUREMENT_AGE_SECONDS, FreeSpace, missing_bytes
from downloadd.storage.local import LocalDestination
from downloadd.storage.root import DiskSpace

sizes = st.integers(min_value=0, max_value=2**62)


class Disk:
    """Counts how often it is measured."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.measurements = 0

    def measure(self) -> DiskSpace:
        self.measurements += 1
        return DiskSpace(free=self.free, capacity=100)


@pytest.mark.parametrize(
    ("free", "needed", "min_free", "missing"),
    [
        pytest.param(100, 0, 0, 0, id="nothing asked"),
        pytest.param(100, 60, 40, 0, id="to the byte"),
        pytest.param(100, 61, 40, 1, id="one byte over"),
        pytest.param(39, 0, 40, 1, id="under the reserve already"),
        pytest.param(0, 0, 0, 0, id="full, but nothing asked"),
    ],
)
def test_the_reserve_stays_free(free: int, needed: int, min_free: int, missing: int) -> None:
    assert missing_bytes(free=free, needed=needed, min_free=min_free) == missing


@given(sizes, sizes, sizes)
def test_what_is_missing_would_just_do(free: int, needed: int, min_free: int) -> None:
    missing = missing_bytes(free=free, needed=needed, min_free=min_free)
    assert missing_bytes(free=free + missing, needed=needed, min_free=min_free) == 0
    assert not missing or missing_bytes(free=free + missing - 1, needed=needed, min_free=min_free) == 1


def test_many_questions_share_one_look_at_the_disk() -> None:
    clock, disk = ManualClock(), Disk(free=10)
    space = FreeSpace(disk.measure, min_free=0, clock=clock)
    for _ in range(100):
        space.check(1)
    assert disk.measurements == 1


def test_whoever_waited_for_a_look_takes_that_one() -> None:
    clock, disk = SystemClock(), Disk(free=10)
    waiting = threading.Barrier(3)

    def slow_measure() -> DiskSpace:
        seen = disk.measure()
        time.sleep(0.05)
        return seen

    space = FreeSpace(slow_measure, min_free=1, clock=clock)

    def ask() -> None:
        waiting.wait()
        space.check(1)

    with ThreadPoolExecutor(3) as threads:
        for asking in [threads.submit(ask) for _ in range(3)]:
            asking.result()
    assert disk.measurements <= 2


def test_an_old_look_is_not_believed() -> None:
    clock, disk = ManualClock(), Disk(free=10)
    space = FreeSpace(disk.measure, min_free=5, clock=clock)
    space.check(5)
    disk.free = 9
    clock.now += MAX_MEASUREMENT_AGE_SECONDS - 0.01
    assert space.has_space(5)
    clock.now += 0.02
    assert not space.has_space(5)
    with pytest.raises(InsufficientStorageError, match="5 bytes are needed, but 9 are free and 5 must stay free"):
        space.check(5)


def test_room_that_was_just_made_is_seen_before_a_refusal() -> None:
    clock, disk = ManualClock(), Disk(free=1)
    space = FreeSpace(disk.measure, min_free=0, clock=clock)
    space.check(1)
    disk.free = 10
    space.check(10)
    assert disk.measurements == 2


@pytest.mark.parametrize(("needed", "permanent"), [(95, False), (96, True)])
def test_what_is_more_than_the_disk_can_hold_will_never_fit(needed: int, permanent: bool) -> None:
    space = FreeSpace(Disk(free=10).measure, min_free=5, clock=ManualClock())
    with pytest.raises(InsufficientStorageError) as caught:
        space.check(needed)
    assert (caught.value.permanent, caught.value.transient) == (permanent, not permanent)


def test_room_for_what_is_being_written_is_nobody_elses() -> None:
    disk = Disk(free=10)
    space = FreeSpace(disk.measure, min_free=5, clock=ManualClock())
    with space.reserve(3):
        with pytest.raises(InsufficientStorageError), space.reserve(3):
            pytest.fail("there is no room for both")
        with space.reserve(2):
            assert not space.has_space(1)


def test_what_was_written_since_the_last_look_counts_as_used() -> None:
    clock, disk = ManualClock(), Disk(free=10)
    space = FreeSpace(disk.measure, min_free=5, clock=clock)
    with space.reserve(3):
        pass
    assert (space.has_space(2), space.has_space(3)) == (True, False)
    disk.free = 7
    clock.now += MAX_MEASUREMENT_AGE_SECONDS + 0.01
    space.check(2)
    assert (space.has_space(2), space.has_space(3)) == (True, False), "once, not twice"


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1)), max_size=30), st.integers(1, 50))
def test_the_reserve_is_never_written_to(writes: list[tuple[int, float]], min_free: int) -> None:
    clock, disk = ManualClock(), Disk(free=100)
    space = FreeSpace(disk.measure, min_free=min_free, clock=clock)
    for size, pause in writes:
        with suppress(InsufficientStorageError), space.reserve(size):
            disk.free -= size
        assert disk.free >= min_free
        clock.now += pause


async def test_a_real_disk_is_looked_at(tmp_path: Path) -> None:
    space = os.statvfs(tmp_path)
    async with LocalDestination(tmp_path / "root", min_free=1, fsync=True) as destination:
        await destination.check_free_space(1)
        with pytest.raises(InsufficientStorageError):
            await destination.check_free_space(space.f_blocks * space.f_frsize)


async def test_the_reserve_is_kept_on_a_real_disk(tmp_path: Path) -> None:
    async with LocalDestination(tmp_path / "root", min_free=2**62, fsync=True) as destination:
        with pytest.raises(InsufficientStorageError):
            await destination.check_free_space(0)


def test_what_was_seen_can_be_forgotten() -> None:
    disk = Disk(free=10)
    space = FreeSpace(disk.measure, min_free=0, clock=ManualClock())
    space.check(10)
    assert space.has_space(10)
    space.invalidate()
    assert not space.has_space(10)
