"""Removal of part files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.sample_downloads import sample_download

from downloadd.manager.discard_part import discard_part, discard_part_of
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename

DOWNLOAD = sample_download(directory="d", filename=parse_filename("f"))


@pytest.fixture
async def destination(tmp_path: Path) -> AsyncIterator[LocalDestination]:
    async with LocalDestination(tmp_path / "root", min_free=0, fsync=False) as destination:
        yield destination


async def make_part(destination: LocalDestination) -> str:
    part = await destination.open_part(
        directory="d", filename=parse_filename("f"), download_id=DOWNLOAD.id, epoch=1, existing=None
    )
    await part.write([b"abc"], part.size)
    await part.close()
    return part.name


def files(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if path.is_file()]


async def test_the_part_file_of_a_download_is_removed(destination: LocalDestination, tmp_path: Path) -> None:
    name = await make_part(destination)
    assert name in files(tmp_path)
    await discard_part_of(destination, DOWNLOAD.with_progress(part_name=name))
    assert name not in files(tmp_path)


async def test_a_download_without_a_part_file_needs_no_storage(destination: LocalDestination, tmp_path: Path) -> None:
    (tmp_path / "root").rename(tmp_path / "away")
    with capture_logs() as lines:
        await discard_part_of(destination, DOWNLOAD)
    assert lines == []


async def test_a_failure_is_logged_and_reported(destination: LocalDestination, tmp_path: Path) -> None:
    name = await make_part(destination)
    (tmp_path / "root").rename(tmp_path / "away")
    with capture_logs() as lines:
        assert not await discard_part(destination, download_id=DOWNLOAD.id, directory="d", name=name)
    assert [(line["event"], line["download_id"]) for line in lines] == [("part_removal_failed", DOWNLOAD.id)]
