"""Listing of part files in a real directory."""

import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from downloadd.storage.destination import PartEntry
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.names import PartName, format_part_name, parse_filename
from downloadd.storage.part_listing import PartListing
from downloadd.storage.part_scan import MAX_PARTS_PER_CHUNK, PartScan
from downloadd.storage.root import StorageRoot

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"


class Part:
    def __init__(self, name: str, *, is_closed: bool = False) -> None:
        self.name = name
        self.is_closed = is_closed


def part_name(epoch: int, *, filename: str = "f") -> PartName:
    return format_part_name(parse_filename(filename), ID, epoch)


@pytest.fixture
async def listing(root: Path) -> AsyncIterator[PartListing]:
    threads = DiskThreadPools()
    opened = StorageRoot(root, fsync=False)
    await threads.run(DiskPool.CALLS, "", opened.__enter__)
    yield PartListing(opened, threads)
    await threads.close()
    opened.__exit__(None, None, None)


async def epochs(listing: PartListing) -> list[int]:
    return sorted([part.epoch async for chunk in listing.read() for part in chunk])


async def test_a_part_is_left_out_while_it_is_open(listing: PartListing, root: Path) -> None:
    for epoch in (1, 2):
        (root / part_name(epoch)).touch()
    part = Part(part_name(1))
    listing.add(part)
    assert await epochs(listing) == [2]
    part.is_closed = True
    assert await epochs(listing) == [1, 2]


async def test_an_open_part_is_left_out_also_if_the_disk_spells_its_name_otherwise(
    listing: PartListing, root: Path
) -> None:
    part = Part(part_name(1, filename="\u00fc"))
    (root / unicodedata.normalize("NFD", part.name)).touch()
    listing.add(part)
    assert await epochs(listing) == []


@pytest.mark.parametrize("is_closed", [False, True], ids=["opened", "closed"])
async def test_a_part_that_is_opened_or_closed_during_the_reading_is_left_out(
    listing: PartListing, root: Path, monkeypatch: pytest.MonkeyPatch, is_closed: bool
) -> None:
    (root / part_name(1)).touch()
    part = Part(part_name(1), is_closed=not is_closed)
    listing.add(part)
    step = PartScan.step

    def change_and_step(scan: PartScan) -> list[PartEntry]:
        part.is_closed = is_closed
        return step(scan)

    monkeypatch.setattr(PartScan, "step", change_and_step)
    assert await epochs(listing) == []


async def test_part_files_are_listed_in_chunks(listing: PartListing, root: Path) -> None:
    names = {part_name(epoch) for epoch in range(MAX_PARTS_PER_CHUNK + 1)}
    for name in names:
        (root / name).touch()
    chunks = [chunk async for chunk in listing.read()]
    assert [len(chunk) for chunk in chunks] == [MAX_PARTS_PER_CHUNK, 1]
    assert {part.name for chunk in chunks for part in chunk} == names
