"""Publication and removal of a part file, and their effect on quotas."""

import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NoReturn

import pytest

from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.errors import InsufficientStorageError, PartElsewhereError
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.part_file import PartFile
from downloadd.storage.quotas import is_within

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


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("hard_links", [True, False])
async def test_a_part_is_published_in_another_directory(
    destination: LocalDestination, root: Path, monkeypatch: pytest.MonkeyPatch, replace: bool, hard_links: bool
) -> None:
    if not hard_links:
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    part = await open_part(destination, b"abc")
    assert await part.publish(FILE, replace=replace, last_modified=None, directory="new/below")
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert files == {"new/below/f": b"abc"}
    assert part.is_closed


async def test_a_directory_of_another_file_system_refuses_the_part_and_it_is_kept(
    destination: LocalDestination, root: Path, mounted: str
) -> None:
    part = await open_part(destination, b"abc")
    with pytest.raises(
        PartElsewhereError,
        match="the received bytes are in d, and mounted is on another file system; choose a directory of the same one",
    ):
        await part.publish(FILE, replace=False, last_modified=None, directory=mounted)
    assert (root / "d" / part.name).read_bytes() == b"abc"
    assert await part.publish(FILE, replace=False, last_modified=None, directory="e")
    assert (root / "e" / "f").read_bytes() == b"abc"


async def test_the_quota_of_the_other_directory_holds_and_has_the_file_afterwards(root: Path) -> None:
    quotas = (Quota(directory="d", limit=100), Quota(directory="new", limit=50))

    def settings(directory: str) -> DirectorySettings:
        return DirectorySettings(quotas=tuple(quota for quota in quotas if is_within(directory, quota.directory)))

    async with LocalDestination(root, min_free=0, fsync=False, directory_settings=settings) as destination:

        async def used_of_all() -> list[int]:
            return [quota.used for quota in (await destination.measure_use(quotas)).quotas]

        part = await open_part(destination, b"x" * 60)
        with pytest.raises(InsufficientStorageError, match="the directory new has 0 bytes of its quota of 50"):
            await part.publish(FILE, replace=False, last_modified=None, directory="new")
        assert await used_of_all() == [60, 0]
        await part.remove()
        part = await open_part(destination, b"x" * 40)
        assert await part.publish(FILE, replace=False, last_modified=None, directory="new")
        assert await used_of_all() == [0, 40]


def refuse(number: int) -> Callable[..., NoReturn]:
    def call(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return call
