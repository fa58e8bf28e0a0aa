"""Small files: held in memory, published together, or as ordinary part files where that is impossible."""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from support.clocks import ManualClock

from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.errors import InsufficientStorageError
from downloadd.storage.destination import LinkResult
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.part_file import MAX_HELD_BYTES, PartFile
from downloadd.storage.small_files import HeldFile, SmallFiles

ID = "1da0d2a4-7d3f-4d6d-9d9b-{:012}"


@pytest.fixture(params=[False, True], ids=["threads", "process"])
async def destination(root: Path, request: pytest.FixtureRequest) -> AsyncIterator[LocalDestination]:
    async with LocalDestination(root, min_free=0, fsync=True, has_commit_process=request.param) as opened:
        yield opened


async def held_part(
    destination: LocalDestination, data: bytes = b"bytes", *, directory: str = "d", number: int = 0
) -> PartFile:
    part = await destination.open_part(
        directory=directory,
        filename=parse_filename("f"),
        download_id=ID.format(number),
        epoch=1,
        existing=None,
    )
    await part.write([data[:2], memoryview(data)[2:]], 0, is_last=True)
    return part


async def publish(destination: LocalDestination, *files: HeldFile) -> Sequence[LinkResult]:
    await destination.small_files.write(files)
    assert all(file.identity for file in files)
    return await destination.small_files.link(files)


def make(destination: LocalDestination, part: PartFile, name: str) -> HeldFile:
    return destination.small_files.make(part, parse_filename(name), last_modified=None)


def stored(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


async def test_the_bytes_are_on_no_disk_before_they_are_published(destination: LocalDestination, root: Path) -> None:
    part = await held_part(destination)
    assert (part.is_held, part.held, part.size) == (True, b"bytes", 5)
    assert not stored(root)
    file = destination.small_files.make(part, parse_filename("f"), last_modified=10**9)
    assert await publish(destination, file) == [LinkResult.PUBLISHED]
    assert stored(root) == {"d/f": b"bytes"}
    status = (root / "d/f").stat()
    assert part.file_identity == file.identity == f"{status.st_ino}-5-{status.st_mtime_ns}@{status.st_ctime_ns}"
    assert status.st_mtime == 10**9
    assert stat.S_IMODE(status.st_mode) == 0o644
    assert part.is_closed
    assert not part.is_held
    await part.remove()
    assert stored(root) == {"d/f": b"bytes"}


async def test_only_small_files_that_are_written_at_once_are_held(destination: LocalDestination) -> None:
    part = await held_part(destination, b"x" * MAX_HELD_BYTES)
    assert part.is_held
    assert await part.digest("sha-256")
    await part.remove()
    part = await held_part(destination, b"x" * (MAX_HELD_BYTES + 1))
    assert not part.is_held
    await part.remove()
    part = await held_part(destination)
    await part.write_held()
    await part.write([b"again"], 0, is_last=True)
    assert not part.is_held
    await part.remove()


async def test_a_directory_without_unnamed_files_is_remembered_with_its_device(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[object] = []
    original = os.open

    def refuse(path: str, flags: int, *args: int, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            attempts.append(path)
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return original(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    async with LocalDestination(root, min_free=0, fsync=True) as destination:
        for directory, held, tried in (("a", True, 1), ("a", False, 1), ("b", True, 1), ("b", False, 1)):
            part = await held_part(destination, directory=directory)
            assert part.is_held is held
            file = make(destination, part, "f")
            if held:
                await destination.small_files.write([file])
                assert file.identity is None
            assert len(attempts) == tried
            assert await part.publish(parse_filename("f"), replace=True, last_modified=None)
    assert stored(root) == {"a/f": b"bytes", "b/f": b"bytes"}


async def test_files_are_not_held_on_a_file_system_that_does_not_sync_them(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.storage.small_files.find_mount", lambda fd: ("btrfs", "/"))
    for fsync in (False, True):
        async with LocalDestination(root, min_free=0, fsync=fsync) as destination:
            part = await held_part(destination)
            file = make(destination, part, f"{fsync}")
            await destination.small_files.write([file])
            assert (file.identity is None) is fsync
            await destination.small_files.discard([file])
            await part.remove()
            part = await held_part(destination)
            assert part.is_held is not fsync
            await part.remove()


async def test_a_file_that_cannot_be_linked_is_published_as_an_ordinary_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.link

    def refuse(source: str, *args: object, **options: object) -> None:
        if str(source).startswith("/proc"):
            raise PermissionError(errno.EPERM, "not permitted")
        original(source, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", refuse)
    async with LocalDestination(root, min_free=0, fsync=True) as destination:
        part = await held_part(destination)
        assert await publish(destination, make(destination, part, "f")) == [LinkResult.UNSUITABLE]
        assert part.is_held
        assert await part.publish(parse_filename("f"), replace=False, last_modified=None)
    assert stored(root) == {"d/f": b"bytes"}


async def test_mode_and_owner_of_the_directory_apply(root: Path) -> None:
    settings = DirectorySettings(mode=0o604, owner=(os.geteuid(), os.getegid()))
    async with LocalDestination(root, min_free=0, fsync=True, directory_settings=lambda _: settings) as destination:
        part = await held_part(destination)
        assert await publish(destination, make(destination, part, "f")) == [LinkResult.PUBLISHED]
    assert stat.S_IMODE((root / "d/f").stat().st_mode) == 0o604


async def test_a_quota_counts_published_files_and_refuses_those_that_do_not_fit(root: Path) -> None:
    settings = DirectorySettings(quotas=(Quota(directory="d", limit=8),))
    async with LocalDestination(root, min_free=0, fsync=True, directory_settings=lambda _: settings) as destination:
        first, second = await held_part(destination), await held_part(destination, number=1)
        files = [make(destination, first, "f"), make(destination, second, "g")]
        await destination.small_files.write(files)
        assert [file.identity is not None for file in files] == [True, False]
        assert await destination.small_files.link(files[:1]) == [LinkResult.PUBLISHED]
        usage = await destination.measure_use(settings.quotas)
        assert usage.quotas[0].used == 5
        with pytest.raises(InsufficientStorageError, match="quota of 8"):
            await second.publish(parse_filename("g"), replace=False, last_modified=None)
        await second.remove()


async def test_free_space_is_kept(root: Path) -> None:
    async with LocalDestination(root, min_free=2**62, fsync=True) as destination:
        part = await held_part(destination)
        file = make(destination, part, "f")
        await destination.small_files.write([file])
        assert file.identity is None
        with pytest.raises(InsufficientStorageError, match="min_free"):
            await part.write_held()
        await part.remove()


async def test_a_missing_root_makes_files_unsuitable(destination: LocalDestination, root: Path) -> None:
    part = await held_part(destination)
    file, lost = make(destination, part, "f"), make(destination, await held_part(destination, number=1), "g")
    await destination.small_files.write([lost])
    root.rename(root.with_name("root away"))
    await destination.small_files.write([file])
    assert file.identity is None
    assert await destination.small_files.link([lost]) == [LinkResult.UNSUITABLE]
    root.with_name("root away").rename(root)
    assert await publish(destination, file) == [LinkResult.PUBLISHED]
    assert stored(root) == {"d/f": b"bytes"}


async def test_a_root_that_was_replaced_has_the_files_from_then_on(destination: LocalDestination, root: Path) -> None:
    root.rename(root.with_name("root away"))
    root.mkdir()
    part = await held_part(destination)
    assert await publish(destination, make(destination, part, "f")) == [LinkResult.PUBLISHED]
    assert stored(root) == {"d/f": b"bytes"}


async def test_nothing_is_held_while_the_process_hangs(root: Path) -> None:
    async with LocalDestination(root, min_free=0, fsync=True, clock=ManualClock()) as destination:
        process = destination.small_files._process
        process._busy_since = -10.0
        part = await held_part(destination)
        assert not part.is_held
        process._busy_since = None
        await part.remove()


async def test_known_directories_are_limited(
    root: Path, destination: LocalDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.storage.small_files.MAX_KNOWN_DIRECTORIES", 2)
    files: SmallFiles = destination.small_files
    for number in range(5):
        part = await held_part(destination, directory=f"{number}")
        await asyncio.to_thread(files._add_unsuitable, part.directory)
        assert not files.is_suitable(part.directory)
        await part.remove()
    assert len(files._unsuitable_directories) <= 2
