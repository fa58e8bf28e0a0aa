"""Bytes that the files of users hold."""

import pytest
from support.clocks import ManualClock
from support.downloads import with_fields
from support.fake_user_files import FakeFileReader, FakeUserFiles
from support.sample_downloads import sample_download

from downloadd.download import Download
from downloadd.errors import UserQuotaError
from downloadd.manager import stored_meter
from downloadd.manager.stored_meter import MAX_COUNT_AGE_SECONDS, StoredMeter, size_on_disk
from downloadd.records.user_files import UserFile
from downloadd.states import State
from downloadd.user_quota import UserQuota


class Parts:
    """A meter of a user who may store 100 bytes, with the disk and the records."""

    def __init__(self, *, is_shared: bool = False) -> None:
        self.clock, self.records, self.disk = ManualClock(), FakeUserFiles(), FakeFileReader()
        self.meter = StoredMeter(self.records, self.disk, self.clock, is_shared=is_shared)
        self.meter.configure({"alice": UserQuota(stored_bytes=100), "bob": UserQuota()})

    def store(self, name: str, size: int, directory: str = "d", *, is_removed: bool = False) -> None:
        self.disk.sizes[directory, name] = size
        self.records.known.append(UserFile(directory=directory, filename=name, size=1, is_removed=is_removed))


def run(number: int = 1, received: int = 0) -> Download:
    part = ".part" if received else None
    return sample_download(number, user="alice", state=State.STARTING, part_name=part, received=received)


@pytest.fixture
def parts() -> Parts:
    return Parts()


async def test_files_on_the_disk_count_once_and_those_that_are_gone_do_not(parts: Parts) -> None:
    parts.store("a", 40)
    parts.store("a", 40)
    parts.store("b", 5, "e", is_removed=True)
    parts.records.parts = {"x": 7}
    assert list(parts.records.owners) == ["alice"]
    assert await parts.meter.used("alice") == 52
    del parts.disk.sizes["e", "b"]
    parts.disk.sizes["d", "a"] = 50
    assert await parts.meter.used("alice") == 52
    parts.clock.now += MAX_COUNT_AGE_SECONDS
    assert await parts.meter.used("alice") == 57
    # Those of the history are known there.
    assert [one.filename for one in parts.records.forgotten] == ["b"]


async def test_a_count_is_repeated_before_it_refuses(parts: Parts) -> None:
    parts.store("a", 90)
    await parts.meter.require("alice", 10)
    with pytest.raises(UserQuotaError) as error:
        await parts.meter.require("alice", 11)
    assert error.value.detail == (
        "the files of alice hold 90 B of 100 B (stored_bytes in [[users]]), and 11 B more do not fit; remove files of "
        "earlier downloads first"
    )
    parts.disk.sizes.clear()
    with pytest.raises(UserQuotaError):
        await parts.meter.require("alice", 11)
    # The daemon has removed them itself.
    parts.meter.invalidate()
    await parts.meter.require("alice", 100)
    await parts.meter.require("bob", 10**18)
    assert parts.records.counts == 2


async def test_a_run_is_charged_with_its_announced_length_until_its_end(parts: Parts) -> None:
    first, second = run(1, received=30), run(2)
    parts.records.parts = {first.id: 30}
    assert await parts.meter.used("alice") == 30
    parts.meter.begin(first)
    parts.meter.begin(second)
    assert await parts.meter.used("alice") == 30
    await parts.meter.charge("alice", first.id, 60)
    # The bytes that it has already are among them.
    assert (await parts.meter.used("alice"), parts.meter.left("alice")) == (60, 40)
    with pytest.raises(UserQuotaError, match="41 B more"):
        await parts.meter.charge("alice", second.id, 41)
    await parts.meter.charge("alice", second.id, 40)
    parts.meter.end(second, 0)
    parts.meter.end(second, 99)
    parts.meter.end(first, 60)
    parts.records.parts = {}
    parts.store("f", 60)
    assert await parts.meter.used("alice") == 60
    parts.clock.now += MAX_COUNT_AGE_SECONDS
    assert await parts.meter.used("alice") == 60


@pytest.mark.parametrize("is_shared", [False, True])
async def test_files_that_other_nodes_have_stored_count_before_anything_is_accepted(*, is_shared: bool) -> None:
    parts = Parts(is_shared=is_shared)
    await parts.meter.require("alice", 50)
    parts.store("of another node", 90)
    parts.clock.now += MAX_COUNT_AGE_SECONDS
    try:
        await parts.meter.require("alice", 50)
    except UserQuotaError:
        assert is_shared
    else:
        assert not is_shared


async def test_the_last_count_decides_while_the_records_are_away(parts: Parts) -> None:
    parts.store("a", 90)
    assert await parts.meter.used("alice") == 90
    parts.clock.now += MAX_COUNT_AGE_SECONDS
    parts.records.is_away = True
    assert await parts.meter.used("alice") == 90


async def test_large_directories_are_listed_in_pages(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_meter, "LISTING_ENTRIES", 2)
    for number in range(7):
        parts.store(f"f{number}", 1)
        parts.disk.sizes["d", f"other{number}"] = 1
    assert await parts.meter.used("alice") == 7


def test_a_run_leaves_its_file_or_its_part_file() -> None:
    part = run(1, received=30)
    assert [size_on_disk(one) for one in (None, run(), part)] == [0, 0, 30]
    assert size_on_disk(with_fields(part, state=State.COMPLETED, part_name=None, total=50)) == 50
