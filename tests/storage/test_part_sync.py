"""Syncs of a part file, with the real thread pools."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.waiting import CONDITION_TIMEOUT

from downloadd.errors import StorageError
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.part_file import PartFile
from downloadd.storage.part_sync import MAX_UNSYNCED_BYTES

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"


@pytest.fixture
async def part(destination: LocalDestination) -> AsyncIterator[PartFile]:
    part = await destination.open_part(
        directory="", filename=parse_filename("f"), download_id=ID, epoch=1, existing=None
    )
    yield part
    await part.close()


async def sync_error(part: PartFile) -> StorageError | None:
    try:
        await part.sync()
    except StorageError as error:
        return error
    return None


async def test_a_sync_covers_the_bytes_written_before_it(part: PartFile) -> None:
    assert part.synced == 0
    await part.write([b"abc"], 0)
    await part.sync()
    assert part.synced == 3
    await part.write([b"d"], 3)
    assert part.synced == 3


async def test_a_sync_starts_after_enough_bytes_and_only_one_at_a_time(
    part: PartFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, may_end = threading.Event(), threading.Event()
    count = [0]

    def fdatasync(fd: int) -> None:
        count[0] += 1
        started.set()
        assert may_end.wait(10)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    await part.write([bytes(MAX_UNSYNCED_BYTES)], 0)
    assert started.wait(10)
    part.start_sync()
    may_end.set()
    await part.close()
    assert (count[0], part.synced) == (1, MAX_UNSYNCED_BYTES)


async def test_an_error_in_the_background_is_raised_by_the_next_sync(
    part: PartFile, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def fdatasync(fd: int) -> None:
        failed.set()
        raise OSError(errno.EIO, "Input/output error")

    await part.write([b"abc"], 0)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    part.start_sync()
    assert failed.wait(10)
    # The error is set after the call that failed: at worst some syncs succeed before.
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while not (error := await sync_error(part)):
            pass
    assert "Input/output error" in error.detail
    assert (root / part.name).read_bytes() == b"abc"


async def test_a_sync_of_a_closed_part_is_ignored(part: PartFile) -> None:
    await part.write([b"abc"], 0)
    await part.close()
    part.start_sync()
    assert part.synced == 0
