"""Removal of published files."""

import hashlib
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from downloadd.errors import FileChangedError, StorageRootMissingError
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import ROOT_DIRECTORY, parse_filename
from downloadd.storage.published_files import (
    has_identity,
    identify,
    identify_published,
    is_as_published,
    remove_published,
)
from downloadd.storage.root import StorageRoot

DIRECTORY = "d"
ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
FILE = parse_filename("f")
BYTES = b"published"
CHECKSUM = f"sha-256={hashlib.sha256(BYTES).hexdigest()}"


async def publish(destination: LocalDestination, filename: str = FILE) -> str:
    """Publish a file, and return its identity."""
    part = await destination.open_part(
        directory=DIRECTORY, filename=parse_filename(filename), download_id=ID, epoch=1, existing=None
    )
    await part.write([BYTES], 0)
    assert await part.publish(parse_filename(filename), replace=True, last_modified=1_000_000_000)
    assert part.file_identity is not None
    return part.file_identity


async def remove(destination: LocalDestination, *, identity: str | None = None, checksum: str | None = None) -> bool:
    return await destination.remove_file(directory=DIRECTORY, filename=FILE, identity=identity, checksum=checksum)


@pytest.mark.parametrize("change", ["replaced", "rewritten", "appended", "link", "directory", "fifo"])
async def test_another_file_of_the_name_stays(destination: LocalDestination, root: Path, change: str) -> None:
    identity, path = await publish(destination), root / DIRECTORY / FILE
    target = root / "target"
    target.write_bytes(BYTES)
    match change:
        case "replaced":
            os.replace(target, path)
        case "rewritten":
            path.write_bytes(b"x" * len(BYTES))
        case "appended":
            with path.open("ab") as file:
                file.write(b"x")
        case "link":
            path.unlink()
            path.symlink_to(target)
        case "directory":
            path.unlink()
            path.mkdir()
        case "fifo":
            path.unlink()
            os.mkfifo(path)
    with pytest.raises(FileChangedError):
        await remove(destination, identity=identity)
    assert os.path.lexists(path)


async def test_a_directory_that_became_a_link_is_not_followed(destination: LocalDestination, root: Path) -> None:
    identity = await publish(destination)
    (root / DIRECTORY).rename(root / "elsewhere")
    (root / DIRECTORY).symlink_to("elsewhere")
    with pytest.raises(FileChangedError, match="symbolic link"):
        await remove(destination, identity=identity)
    assert (root / "elsewhere" / FILE).exists()


async def test_nothing_is_removed_while_the_root_is_missing(destination: LocalDestination, root: Path) -> None:
    identity = await publish(destination)
    root.rename(root.with_name("away"))
    with pytest.raises(StorageRootMissingError):
        await remove(destination, identity=identity)
    root.with_name("away").rename(root)
    assert await remove(destination, identity=identity)


def test_a_cancelled_removal_keeps_the_file(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(BYTES)
    cancelled = threading.Event()
    cancelled.set()
    with StorageRoot(tmp_path, fsync=False) as opened, pytest.raises(FileChangedError):
        remove_published(opened, ROOT_DIRECTORY, FILE, identity=None, checksum=CHECKSUM, is_cancelled=cancelled)
    assert (tmp_path / FILE).exists()


def test_the_identity_is_that_of_inode_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(BYTES)
    before = identify(path.stat())
    path.chmod(0o600)
    path.rename(tmp_path / "other")
    assert identify((tmp_path / "other").stat()) == before
    os.utime(tmp_path / "other", ns=(0, 1))
    assert identify((tmp_path / "other").stat()) != before


def status_of(*, inode: int = 1, changed_ns: int = 7) -> os.stat_result:
    return cast(os.stat_result, SimpleNamespace(st_ino=inode, st_size=2, st_mtime_ns=3, st_ctime_ns=changed_ns))


def test_the_time_of_the_last_change_tells_files_with_one_inode_apart() -> None:
    identity = identify_published(status_of())
    assert identity == "1-2-3@7"
    assert is_as_published(status_of(), identity)
    assert not is_as_published(status_of(changed_ns=8), identity)
    assert not is_as_published(status_of(inode=2), identity)
    # It was recorded without that time, or not at all.
    assert not is_as_published(status_of(), "1-2-3")
    assert not is_as_published(status_of(), None)
    for known in (identity, "1-2-3"):
        assert has_identity(status_of(changed_ns=8), known)
        assert not has_identity(status_of(inode=2), known)


def test_a_time_in_whole_seconds_proves_nothing() -> None:
    coarse = status_of(changed_ns=5 * 10**9)
    assert identify_published(coarse) == "1-2-3"
    assert not is_as_published(coarse, "1-2-3")
