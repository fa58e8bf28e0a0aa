"""Publication and removal of a part file, and their effect on quotas."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.part_file import PartFile

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
FILE = parse_filename("f")
QUOTA = Quota(directory="d", limit=100)


@pytest.fixture
async def limited(root: Path) -> AsyncIterator[LocalDestination]:
    """Open a destination whose directory `d` has a quota."""
    settings = DirectorySettings(quotas=(QUOTA,))
    async with LocalDestination(
        root, min_free=0, fsync=False, directory_settings=lambda directory: settings
    ) as destination:
        yield destination


async def open_part(destination: LocalDestination, content: bytes) -> PartFile:
    part = await destination.open_part(directory="d", filename=FILE, download_id=ID, epoch=1, existing=None)
    await part.write([content], 0)
    return part


async def used(destination: LocalDestination) -> int:
    return (await destination.measure_use([QUOTA])).quotas[0].used


async def test_a_replaced_file_no_longer_counts(limited: LocalDestination) -> None:
    for size in (40, 60):
        part = await open_part(limited, b"x" * size)
        assert await part.publish(FILE, replace=True, last_modified=None)
    assert await used(limited) == 60


async def test_a_taken_name_leaves_the_part_open_and_counted(limited: LocalDestination) -> None:
    part = await open_part(limited, b"x" * 10)
    assert await part.publish(FILE, replace=False, last_modified=None)
    part = await open_part(limited, b"x" * 20)
    assert not await part.publish(FILE, replace=False, last_modified=None)
    assert (part.is_closed, await used(limited)) == (False, 30)
    await part.remove()
    assert (part.is_closed, await used(limited)) == (True, 10)


async def test_a_published_part_is_not_removed(limited: LocalDestination, root: Path) -> None:
    part = await open_part(limited, b"abc")
    assert await part.publish(FILE, replace=False, last_modified=None)
    await part.remove()
    assert (root / "d" / "f").read_bytes() == b"abc"
    assert await used(limited) == 3
