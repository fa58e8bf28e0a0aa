"""Files that are on the disk, whoever made them."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from support.waiting import wait_until

from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.present_file import PresentFile

NAME = parse_filename("f")


@pytest.fixture
async def destination(tmp_path: Path) -> AsyncIterator[LocalDestination]:
    async with LocalDestination(tmp_path, min_free=0, fsync=False) as destination:
        yield destination


async def open_file(destination: LocalDestination) -> PresentFile | None:
    return await destination.finished_files.open_present(directory="d", filename=NAME)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    return tmp_path / "d" / "f"


async def test_size_identity_and_digest_are_those_of_a_published_file(destination: LocalDestination) -> None:
    part = await destination.open_part(directory="d", filename=NAME, download_id=str(uuid4()), epoch=1, existing=None)
    await part.write([b"abc"], 0)
    assert await part.publish(NAME, replace=False, last_modified=7)
    file = await open_file(destination)
    assert file is not None
    async with file:
        assert file.size == 3
        assert file.is_as_published(part.file_identity)
        assert await file.digest("sha-256") == hashlib.sha256(b"abc").hexdigest()
        assert await file.is_unchanged()


async def test_what_is_no_readable_file_is_not_there(destination: LocalDestination, path: Path) -> None:
    assert await open_file(destination) is None
    path.symlink_to("/etc/passwd")
    assert await open_file(destination) is None
    path.unlink()
    path.mkdir()
    assert await open_file(destination) is None
    path.rmdir()
    os.mkfifo(path)
    assert await open_file(destination) is None


def write(path: Path) -> None:
    path.write_bytes(b"abcd")


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


def replace(path: Path) -> None:
    path.rename(path.with_name("g"))
    path.write_bytes(b"abc")


def remove(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize("change", [write, touch, replace, remove])
async def test_a_change_of_the_file_is_noticed(
    destination: LocalDestination, path: Path, change: Callable[[Path], None]
) -> None:
    path.write_bytes(b"abc")
    file = await open_file(destination)
    assert file is not None
    async with file:
        assert await file.is_unchanged()
        change(path)
        assert not await file.is_unchanged()


async def test_a_copy_of_a_file_is_one_of_its_own(destination: LocalDestination, path: Path) -> None:
    content = b"a" * 300_000
    path.write_bytes(content)
    path.chmod(0o400)
    file = await open_file(destination)
    assert file is not None
    part = await destination.open_part(directory="e", filename=NAME, download_id=str(uuid4()), epoch=1, existing=None)
    async with file:
        await part.copy(file, [(0, file.size)])
    assert await part.publish(NAME, replace=False, last_modified=7)
    path.chmod(0o600)
    path.write_bytes(b"b")
    copy = path.parents[1] / "e" / "f"
    assert (copy.read_bytes(), copy.stat().st_mtime, copy.stat().st_nlink) == (content, 7, 1)
    assert copy.stat().st_mode & 0o777 != 0o400


def is_open(path: Path) -> bool:
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if link.readlink() == path:
                return True
    return False


async def test_a_file_that_was_opened_for_nobody_is_closed(destination: LocalDestination, path: Path) -> None:
    path.write_bytes(b"abc")
    file = await open_file(destination)
    assert file is not None
    assert is_open(path)
    del file

    async def is_closed() -> bool:
        # The last result of a thread is kept until its next one.
        await destination.exists(directory="d", filename=NAME)
        return not is_open(path)

    await wait_until(is_closed)


async def test_a_closed_file_is_not_read_any_more(tmp_path: Path, path: Path) -> None:
    path.write_bytes(b"abc")
    async with LocalDestination(tmp_path, min_free=0, fsync=False) as destination:
        file = await open_file(destination)
        assert file is not None
        async with file:
            with file.shared() as fd:
                assert os.pread(fd, 3, 0) == b"abc"
    with pytest.raises(OSError, match="closed"), file.shared():
        pass
