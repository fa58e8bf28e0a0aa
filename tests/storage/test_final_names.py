"""Final names in a real directory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from downloadd.download import Conflict
from downloadd.errors import FileExistsAlreadyError, InvalidPathError
from downloadd.storage.disk_threads import DiskThreadPools
from downloadd.storage.final_names import FinalNames
from downloadd.storage.names import parse_directory, parse_filename
from downloadd.storage.root import StorageRoot

DIRECTORY = parse_directory("d")
FILE = parse_filename("f")


@pytest.fixture
def opened(root: Path) -> Iterator[StorageRoot]:
    with StorageRoot(root, fsync=False) as opened:
        yield opened


@pytest.fixture
async def names(opened: StorageRoot) -> AsyncIterator[FinalNames]:
    threads = DiskThreadPools()
    yield FinalNames(opened, threads)
    await threads.close()


@pytest.mark.parametrize("conflict", Conflict)
async def test_a_free_name_is_chosen_under_every_policy(names: FinalNames, conflict: Conflict) -> None:
    assert not await names.exists(DIRECTORY, FILE)
    assert await names.reserve(DIRECTORY, FILE, conflict) == "f"


async def test_a_taken_name_is_treated_by_its_policy(names: FinalNames, root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "f").touch()
    assert await names.exists(DIRECTORY, FILE)
    assert await names.reserve(DIRECTORY, FILE, Conflict.RENAME) == "f (1)"
    assert await names.reserve(DIRECTORY, FILE, Conflict.OVERWRITE) == "f"
    assert await names.reserve(DIRECTORY, FILE, Conflict.SKIP) is None
    with pytest.raises(FileExistsAlreadyError) as refused:
        await names.reserve(DIRECTORY, FILE, Conflict.ERROR)
    assert refused.value.path == "d/f"


async def test_a_directory_is_not_overwritten(names: FinalNames, root: Path) -> None:
    (root / "d" / "f").mkdir(parents=True)
    with pytest.raises(InvalidPathError, match="f is a directory"):
        await names.reserve(DIRECTORY, FILE, Conflict.OVERWRITE)


async def test_locks_of_directories_are_dropped_after_use(names: FinalNames) -> None:
    await asyncio.gather(*(names.reserve(DIRECTORY, FILE, Conflict.SKIP) for _ in range(10)))
    assert names._locks == {}
