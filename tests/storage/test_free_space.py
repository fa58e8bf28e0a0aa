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
from support.waiting import CONDITION_TIMEOUT

from downloadd.clock import SystemClock
from downloadd.errors import InsufficientStorageError, SpacePendingError
from downloadd.storage import free_space
from downloadd.storage.disk_space import DiskSpace
from downloadd.storage.free_space import (
    MAX_MEASUREMENT_AGE_SECONDS,
    FreeSpace,
    SpaceClaim,
    UnannouncedSpace,
    missing_bytes,
)
from downloadd.storage.local import LocalDestination

sizes = st.integers(min_value=0, max_value=2**62)


class Disk:
    """Disk that counts its measurements."""

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
def test_min_free_bytes_stay_free(free: int, needed: int, min_free: int, missing: int) -> None:
    assert missing_bytes(free=free, needed=needed, min_free=min_free) == missing


@given(sizes, sizes, sizes)
def test_the_missing_bytes_would_be_enough(free: int, needed: int, min_free: int) -> None:
    missing = missing_bytes(free=free, needed=needed, min_free=min_free)
    assert missing_bytes(free=free + missing, needed=needed, min_free=min_free) == 0
    assert not missing or missing_bytes(free=free + missing - 1, needed=needed, min_free=min_free) == 1


def test_many_checks_share_one_measurement() -> None:
    clock, disk = ManualClock(), Disk(free=10)
    space = FreeSpace(disk.measure, min_free=0, clock=clock)
    for _ in range(100):
        space.check(1)
    assert disk.measurements == 1


def test_a_thread_that_waited_for_a_measurement_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Other load may delay a thread.
    monkeypatch.setattr(free_space, "MAX_MEASUREMENT_AGE_SECONDS", CONDITION_TIMEOUT)
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


def test_an_old_measurement_is_not_used() -> None:
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


def test_space_freed_meanwhile_is_measured_before_a_refusal() -> None:
    clock, disk = ManualClock(), Disk(free=1)
    space = FreeSpace(disk.measure, min_free=0, clock=clock)
    space.check(1)
    disk.free = 10
    space.check(10)
    assert disk.measurements == 2


@pytest.mark.parametrize(("needed", "permanent"), [(95, False), (96, True)])
def test_more_than_the_capacity_of_the_disk_is_a_permanent_failure(needed: int, permanent: bool) -> None:
    space = FreeSpace(Disk(free=10).measure, min_free=5, clock=ManualClock())
    with pytest.raises(InsufficientStorageError) as caught:
        space.check(needed)
    assert (caught.value.permanent, caught.value.transient) == (permanent, not permanent)


def test_space_for_bytes_being_written_is_reserved() -> None:
    disk = Disk(free=10)
    space = FreeSpace(disk.measure, min_free=5, clock=ManualClock())
    with space.reserve(3):
        with pytest.raises(InsufficientStorageError), space.reserve(3):
            pytest.fail("there is no room for both")
        with space.reserve(2):
            assert not space.has_space(1)


def test_bytes_written_since_the_measurement_count_as_used() -> None:
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
def test_min_free_is_never_written_to(writes: list[tuple[int, float]], min_free: int) -> None:
    clock, disk = ManualClock(), Disk(free=100)
    space = FreeSpace(disk.measure, min_free=min_free, clock=clock)
    for size, pause in writes:
        with suppress(InsufficientStorageError), space.reserve(size):
            disk.free -= size
        assert disk.free >= min_free
        clock.now += pause


async def test_a_real_disk_is_measured(tmp_path: Path) -> None:
    space = os.statvfs(tmp_path)
    async with LocalDestination(tmp_path / "root", min_free=1, fsync=True) as destination:
        await destination.check_free_space(1)
        with pytest.raises(InsufficientStorageError):
            await destination.check_free_space(space.f_blocks * space.f_frsize)


async def test_min_free_is_kept_on_a_real_disk(tmp_path: Path) -> None:
    async with LocalDestination(tmp_path / "root", min_free=2**62, fsync=True) as destination:
        with pytest.raises(InsufficientStorageError):
            await destination.check_free_space(0)


def test_a_measurement_can_be_invalidated() -> None:
    disk = Disk(free=10)
    space = FreeSpace(disk.measure, min_free=0, clock=ManualClock())
    space.check(10)
    assert space.has_space(10)
    space.invalidate()
    assert not space.has_space(10)


def test_announcements_share_the_free_space() -> None:
    disk = Disk(free=80)
    space = FreeSpace(disk.measure, min_free=5, clock=ManualClock())
    first, second, third = SpaceClaim(), SpaceClaim(), SpaceClaim()
    space.announce(first, 30, size=30)
    space.announce(second, 30, size=30)
    with pytest.raises(SpacePendingError) as pending:
        space.announce(third, 30, size=40)
    assert (pending.value.needed, pending.value.kept, pending.value.transient) == (30, 10, True)
    assert pending.value.detail == "waits for space on the disk: needs 30 B, 15 B free"
    assert space.unannounced() == UnannouncedSpace(available=15, announced=60)
    space.announce(third, 15, size=25)
    space.withdraw(first)
    space.announce(third, 30, size=40)
    assert space.unannounced() == UnannouncedSpace(available=15, announced=60)


def test_a_file_that_the_disk_can_never_hold_is_refused_for_good() -> None:
    space = FreeSpace(Disk(free=50).measure, min_free=5, clock=ManualClock())
    space.announce(SpaceClaim(), 40, size=95)
    with pytest.raises(InsufficientStorageError, match="the file has 96 bytes, but the disk has 100 in all") as caught:
        space.announce(SpaceClaim(), 41, size=96)
    assert type(caught.value) is InsufficientStorageError
    assert not caught.value.transient


@pytest.mark.parametrize("min_free", [0, 5])
def test_bytes_of_an_announcement_are_counted_once_while_and_after_they_are_written(min_free: int) -> None:
    clock, disk = ManualClock(), Disk(free=60 + min_free)
    space = FreeSpace(disk.measure, min_free=min_free, clock=clock)
    claim, other = SpaceClaim(), SpaceClaim()
    space.announce(claim, 30, size=30)
    with space.reserve(10, claim):
        assert space.try_announce(other, 30)
        space.announce(other, 0, size=0)
        disk.free -= 10
    assert claim.nbytes == 20
    # Neither before nor after the next measurement.
    assert space.try_announce(other, 30)
    assert not space.try_announce(other, 31)
    clock.now += 1
    assert space.unannounced() == UnannouncedSpace(available=0, announced=50)


def test_bytes_that_were_not_written_stay_announced() -> None:
    space = FreeSpace(Disk(free=60).measure, min_free=0, clock=ManualClock())
    claim = SpaceClaim()
    space.announce(claim, 30, size=30)
    with space.reserve(10, claim) as write:
        write.written = 4
    assert claim.nbytes == 26
    with space.reserve(40, claim) as write:
        write.written = 30
    assert claim.nbytes == 0
    assert space.unannounced().announced == 0


def test_a_withdrawn_claim_announces_nothing() -> None:
    space = FreeSpace(Disk(free=60).measure, min_free=0, clock=ManualClock())
    claim = SpaceClaim()
    space.withdraw(claim)
    space.announce(claim, 30, size=30)
    assert space.unannounced().announced == 0


def test_a_slow_measurement_is_used_for_a_write() -> None:
    clock = ManualClock()

    def measure_slowly() -> DiskSpace:
        clock.now += 2 * MAX_MEASUREMENT_AGE_SECONDS
        return DiskSpace(free=10, capacity=100)

    space = FreeSpace(measure_slowly, min_free=5, clock=clock)
    with space.reserve(5):
        pass


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(0, 60), st.floats(0, 1)), max_size=40),
    st.integers(0, 20),
)
def test_each_announced_byte_can_be_written(steps: list[tuple[int, int, int, float]], min_free: int) -> None:
    clock, disk = ManualClock(), Disk(free=100)
    space = FreeSpace(disk.measure, min_free=min_free, clock=clock)
    claims = [SpaceClaim() for _ in range(4)]
    for number, announced, reserved, pause in steps:
        claim = claims[number]
        with suppress(InsufficientStorageError):
            space.announce(claim, announced, size=announced)
        # At most what was announced; the connection may bring less.
        nbytes = min(reserved, claim.nbytes)
        with space.reserve(nbytes, claim) as write:
            write.written = nbytes // 2
            disk.free -= write.written
        assert disk.free - sum(one.nbytes for one in claims) >= min_free
        clock.now += pause
