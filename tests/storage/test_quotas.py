"""Quotas, with a fake disk and a clock set by hand."""

import threading

import pytest
from support.clocks import ManualClock

from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.errors import InsufficientStorageError
from downloadd.storage.quotas import MAX_COUNT_AGE_SECONDS, Quotas, is_within


class FakeDisk:
    """Bytes of closed files by path, and the number of counts."""

    def __init__(self) -> None:
        self.files: dict[str, int] = {}
        self.counts = 0

    def count_bytes(self, directory: str, excluded: frozenset[str]) -> int:
        self.counts += 1
        return sum(size for path, size in self.files.items() if is_within(path, directory) and path not in excluded)


LIMITS = (Quota(directory="d", limit=100), Quota(directory="", limit=150))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def disk() -> FakeDisk:
    return FakeDisk()


@pytest.fixture
def quotas(disk: FakeDisk, clock: ManualClock) -> Quotas:
    return Quotas(
        directory_settings=lambda directory: DirectorySettings(
            quotas=tuple(quota for quota in LIMITS if is_within(directory, quota.directory))
        ),
        count_bytes=disk.count_bytes,
        clock=clock,
    )


def test_open_parts_are_charged_with_their_final_length(quotas: Quotas) -> None:
    first, second = quotas.charge("d", "a"), quotas.charge("d/below", "b")
    first.grow(60)
    with pytest.raises(InsufficientStorageError, match="the directory d has 60 bytes of its quota of 100"):
        second.grow(41)
    second.grow(40)
    assert (quotas.used("d"), quotas.used("d/below")) == (100, 40)
    # A smaller size gives nothing back: the length was known before.
    first.grow(10)
    assert quotas.used("d") == 100


def test_a_refused_growth_changes_nothing_and_the_root_has_a_quota_of_its_own(quotas: Quotas) -> None:
    other = quotas.charge("other", "a")
    other.grow(90)
    part = quotas.charge("d", "b")
    with pytest.raises(InsufficientStorageError, match="the storage root has 90 bytes of its quota of 150"):
        part.grow(61)
    assert quotas.used("d") == 0
    part.grow(60)


def test_a_closed_part_counts_with_its_size_on_disk(quotas: Quotas) -> None:
    part = quotas.charge("d", "a")
    part.grow(80)
    assert quotas.used("d") == 80
    part.close(30)
    part.close(30)
    assert quotas.used("d") == 30
    part.subtract(10)
    assert quotas.used("d") == 20


def test_an_adopted_file_is_not_counted_twice(quotas: Quotas, disk: FakeDisk) -> None:
    disk.files["d/a"] = 50
    assert quotas.used("d") == 50
    part = quotas.charge("d", "a")
    part.adopt(50)
    assert quotas.used("d") == 50


def test_the_disk_is_counted_once_and_again_before_a_refusal(
    quotas: Quotas, disk: FakeDisk, clock: ManualClock
) -> None:
    disk.files["d/a"] = 80
    assert [quotas.used("d"), quotas.used("d")] == [80, 80]
    assert disk.counts == 1
    disk.files.clear()
    part = quotas.charge("d", "b")
    with pytest.raises(InsufficientStorageError):
        part.grow(90)
    clock.now += MAX_COUNT_AGE_SECONDS
    with quotas.publishing(), pytest.raises(InsufficientStorageError):
        part.grow(90)
    part.grow(90)
    assert quotas.used("d") == 90


def test_counts_of_another_root_are_discarded(quotas: Quotas, disk: FakeDisk) -> None:
    disk.files["d/a"] = 80
    assert quotas.used("d") == 80
    disk.files.clear()
    quotas.invalidate()
    assert quotas.used("d") == 0


def test_only_directories_with_a_quota_are_limited(disk: FakeDisk, clock: ManualClock) -> None:
    quotas = Quotas(directory_settings=lambda _: DirectorySettings(), count_bytes=disk.count_bytes, clock=clock)
    part = quotas.charge("d", "a")
    assert not part.is_limited
    part.grow(10**12)
    assert disk.counts == 0


def test_concurrent_growth_never_exceeds_the_quota(quotas: Quotas) -> None:
    refused: list[int] = []

    def grow(number: int) -> None:
        try:
            quotas.charge("d", str(number)).grow(30)
        except InsufficientStorageError:
            refused.append(number)

    threads = [threading.Thread(target=grow, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), quotas.used("d")) == (7, 90)


@pytest.mark.parametrize(
    ("directory", "parent", "within"),
    [("a", "", True), ("a", "a", True), ("a/b", "a", True), ("ab", "a", False), ("a", "a/b", False)],
)
def test_a_directory_is_within_itself_and_its_parents(directory: str, parent: str, within: bool) -> None:
    assert is_within(directory, parent) is within
