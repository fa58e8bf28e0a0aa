"""Longest names that the file systems below a storage root take."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.short_names import limit_names

from downloadd.download import Conflict
from downloadd.errors import InvalidPathError, StorageRootMissingError
from downloadd.storage.local import LocalDestination
from downloadd.storage.name_limits import NameLimits, measure_name_limit
from downloadd.storage.names import MAX_NAME_BYTES, MIN_NAME_BYTES, parse_directory, parse_filename
from downloadd.storage.root import StorageRoot

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
LONG = parse_filename("n" * 139 + ".bin")
DIRECTORY = parse_directory("a/b")


@pytest.fixture
def directory_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def opened(root: Path) -> Iterator[StorageRoot]:
    with StorageRoot(root, fsync=False) as opened:
        yield opened


def test_an_ordinary_disk_takes_255_bytes(directory_fd: int) -> None:
    assert measure_name_limit(directory_fd) == MAX_NAME_BYTES


@pytest.mark.parametrize(
    ("real", "stated", "limit"),
    [
        pytest.param(143, None, 143, id="stated"),
        pytest.param(143, 255, 143, id="stated too high, as by a layer above another disk"),
        pytest.param(143, 0, 143, id="not stated"),
        pytest.param(255, 0, 255, id="not stated by an ordinary disk"),
        pytest.param(255, 1530, 255, id="stated in bytes for characters"),
        pytest.param(100, 20, 100, id="stated too low to be true"),
        pytest.param(68, 255, 68, id="near the lowest"),
        pytest.param(30, None, MIN_NAME_BYTES, id="too low for part files"),
    ],
)
def test_the_limit_is_measured(
    directory_fd: int, monkeypatch: pytest.MonkeyPatch, real: int, stated: int | None, limit: int
) -> None:
    limit_names(monkeypatch, real, stated=stated)
    assert measure_name_limit(directory_fd) == limit


def test_the_limit_of_a_directory_is_measured_once(
    opened: StorageRoot, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a" / "b").mkdir(parents=True)
    limits = NameLimits(opened)
    assert limits.find_known(DIRECTORY) is None
    assert limits.measure(DIRECTORY) == limits.find_known(DIRECTORY) == 255
    limit_names(monkeypatch, 143)
    assert limits.measure(DIRECTORY) == 255
    limits.invalidate()
    assert limits.measure(DIRECTORY) == 143


def test_a_directory_that_is_not_made_yet_has_the_limit_of_its_parent(
    opened: StorageRoot, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = NameLimits(opened)
    limit_names(monkeypatch, 143)
    assert limits.measure(DIRECTORY) == 143
    # It may be on another disk once it exists.
    assert limits.find_known(DIRECTORY) is None


def test_the_limit_of_a_missing_root_is_an_error(opened: StorageRoot, root: Path) -> None:
    root.rmdir()
    with pytest.raises(StorageRootMissingError):
        NameLimits(opened).measure(DIRECTORY)


@pytest.mark.parametrize("stated", [143, 255])
async def test_a_name_of_the_longest_length_is_downloaded_on_a_disk_with_short_names(
    root: Path, monkeypatch: pytest.MonkeyPatch, stated: int
) -> None:
    limit_names(monkeypatch, 143, stated=stated)
    async with LocalDestination(root, min_free=0, fsync=False) as destination:
        for epoch, expected in ((1, LONG), (2, "n" * 135 + " (1).bin")):
            part = await destination.open_part(directory="d", filename=LONG, download_id=ID, epoch=epoch, existing=None)
            await part.write([b"abc"], 0)
            assert len(part.name) == 143
            name = await destination.reserve_name(directory="d", filename=LONG, conflict=Conflict.RENAME)
            assert name == expected
            assert await part.publish(name, replace=False, last_modified=None)
        assert sorted(path.name for path in (root / "d").iterdir()) == ["n" * 135 + " (1).bin", LONG]


async def test_a_longer_name_is_an_error_that_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_names(monkeypatch, 143)
    async with LocalDestination(root, min_free=0, fsync=False) as destination:
        assert await destination.max_name_bytes(directory="d") == 143
        with pytest.raises(InvalidPathError, match="too long for this disk"):
            await destination.exists(directory="", filename=parse_filename("n" * 144))
