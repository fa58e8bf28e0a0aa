import asyncio

import pytest
from support.clocks import ManualClock

from downloadd.watch.import_directories import ImportDirectories


async def start(directories: ImportDirectories, name: str) -> None:
    async with directories.reserve(name):
        pass


async def test_imports_of_one_second_get_directories_of_their_own() -> None:
    clock = ManualClock()
    directories = ImportDirectories("Imports", clock)
    await start(directories, "links.txt")
    await start(directories, "others.txt")
    waiting = asyncio.create_task(start(directories, "links.csv"))
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    clock.now += 1
    await waiting


async def test_an_import_that_did_not_start_leaves_its_directory() -> None:
    directories = ImportDirectories("Imports", ManualClock())
    with pytest.raises(ValueError, match="no"):
        async with directories.reserve("links.txt"):
            raise ValueError("no")
    await start(directories, "links.txt")
