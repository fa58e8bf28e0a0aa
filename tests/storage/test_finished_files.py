"""Opening of finished files."""

import os
from pathlib import Path

import pytest

from downloadd.errors import FileChangedError, InvalidPathError, NotFoundError
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
FILE = parse_filename("f")
BYTES = b"published"


async def publish(destination: LocalDestination) -> str:
    part = await destination.open_part(directory="d", filename=FILE, download_id=ID, epoch=1, existing=None)
    await part.write([BYTES], 0)
    assert await part.publish(FILE, replace=True, last_modified=1_000_000_000)
    assert part.file_identity is not None
    return part.file_identity


async def read(destination: LocalDestination, identity: str | None, directory: str = "d") -> bytes:
    async with await destination.finished_files.open(directory=directory, filename=FILE, identity=identity) as file:
        assert (file.size, file.modified_ns) == (len(BYTES), 1_000_000_000 * 10**9)
        return await file.read(0, 4) + await file.read(4, 100)


async def test_a_published_file_is_read(destination: LocalDestination) -> None:
    assert await read(destination, await publish(destination)) == BYTES


async def test_a_file_that_was_numbered_anew_is_the_same(destination: LocalDestination) -> None:
    inode, _, rest = (await publish(destination)).partition("-")
    assert await read(destination, f"{int(inode) + 1}-{rest}") == BYTES


@pytest.mark.parametrize("change", ["rewritten", "appended", "link", "directory", "fifo", "linked directory"])
async def test_another_file_of_the_name_is_not_read(destination: LocalDestination, root: Path, change: str) -> None:
    identity, path = await publish(destination), root / "d" / FILE
    target = root / "target"
    target.write_bytes(BYTES)
    match change:
        case "rewritten":
            path.write_bytes(b"x" * len(BYTES))
        case "appended":
            with path.open("ab") as file:
                file.write(b"x")
        case "link":
            # To the same file, under another name: a link is never followed.
            path.rename(root / "d" / "g")
            path.symlink_to("g")
        case "directory":
            path.unlink()
            path.mkdir()
        case "fifo":
            path.unlink()
            os.mkfifo(path)
        case "linked directory":
            (root / "d").rename(root / "e")
            (root / "d").symlink_to("e")
    with pytest.raises(FileChangedError):
        await read(destination, identity)


async def test_a_file_without_a_recorded_identity_is_not_read(destination: LocalDestination) -> None:
    await publish(destination)
    with pytest.raises(FileChangedError, match="cannot be recognised"):
        await read(destination, None)


async def test_a_missing_file_is_not_found(destination: LocalDestination, root: Path) -> None:
    identity = await publish(destination)
    with pytest.raises(NotFoundError):
        await read(destination, identity, "missing")
    (root / "d" / FILE).unlink()
    with pytest.raises(NotFoundError):
        await read(destination, identity)


async def test_a_directory_outside_of_the_root_cannot_be_named(destination: LocalDestination) -> None:
    with pytest.raises(InvalidPathError):
        await destination.finished_files.open(directory="../x", filename=FILE, identity="1-2-3")


async def test_no_descriptor_stays_open(destination: LocalDestination) -> None:
    identity = await publish(destination)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        await read(destination, identity)
        with pytest.raises(FileChangedError):
            await read(destination, "1-2-3")
    # One may be closed in a thread at this moment.
    assert len(os.listdir("/proc/self/fd")) <= before + 2
