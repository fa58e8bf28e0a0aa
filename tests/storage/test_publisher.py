import asyncio
import errno
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs
from support.waiting import CONDITION_TIMEOUT

from downloadd.directory_settings import DirectorySettings
from downloadd.errors import InvalidPathError, StorageError
from downloadd.storage import publisher
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.part_file import PartFile

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
FILE = parse_filename("f")

PUBLISH_ONE = """
import asyncio, sys
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename

async def main(root, fsync, replace):
    async with LocalDestination(root, min_free=0, fsync=fsync) as destination:
        part = await destination.open_part(
            directory="d",
            filename=parse_filename("f"),
            download_id="0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b",
            epoch=1,
            existing=None,
        )
        await part.write([b"abc"], part.size)
        print(await part.publish(parse_filename("f"), replace=replace, last_modified=0))
        await part.close()

asyncio.run(main(sys.argv[1], sys.argv[2] == "fsync", sys.argv[3] == "replace"))
"""


@pytest.fixture
async def part(destination: LocalDestination) -> PartFile:
    part = await destination.open_part(directory="d", filename=FILE, download_id=ID, epoch=1, existing=None)
    await part.write([b"new"], part.size)
    return part


@pytest.fixture
def directory(root: Path) -> Path:
    return root / "d"


@pytest.fixture
def strict_umask() -> Iterator[None]:
    mask = os.umask(0o027)
    yield
    os.umask(mask)


REFUSALS = [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL, errno.ENOSYS]


@pytest.fixture(params=REFUSALS, ids=lambda number: errno.errorcode[number])
def no_hard_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse(request.param))


@pytest.fixture(params=["rename without replacing", "plain rename"])
def either_rename(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain rename":
        monkeypatch.setattr(publisher, "rename_without_replacing", refuse(errno.EINVAL))


def refuse(number: int) -> Callable[..., NoReturn]:
    """Return a call of the operating system that fails."""

    def call(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return call


def content(directory: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in directory.iterdir()}


def traced(tmp_path: Path, fsync: str, replace: str, *faults: str) -> tuple[str, list[str]]:
    """Publish in another process; return its output and its system calls on names and stable storage."""
    log = tmp_path / "trace"
    (tmp_path / "root" / "d").mkdir(parents=True, exist_ok=True)
    calls = "fsync,fdatasync,link,linkat,unlink,unlinkat,rename,renameat,renameat2,fchmod,utimensat"
    command = ["strace", "-f", "-y", "-qq", "-o", str(log), "-e", f"trace={calls}", *faults]
    done = subprocess.run(
        [*command, sys.executable, "-B", "-c", PUBLISH_ONE, str(tmp_path / "root"), fsync, replace],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    steps = []
    for line in log.read_text().splitlines():
        if ".part" in line or "/root/d>" in line:
            call = re.search(r"\b(\w+)\(", line)
            assert call is not None, line
            of_directory = call[1] == "fsync" and "/root/d>" in line
            steps.append("fsync directory" if of_directory else call[1])
    # Without the unlink of an earlier part file.
    return done.stdout.strip(), steps[1:] if steps[0] == "unlinkat" else steps


@pytest.mark.system
@pytest.mark.parametrize(
    ("fsync", "replace", "steps"),
    [
        pytest.param(
            "fsync",
            "keep",
            ["fchmod", "utimensat", "fsync", "linkat", "unlinkat", "fsync directory"],
            id="no replacing",
        ),
        pytest.param(
            "fsync",
            "replace",
            ["fchmod", "utimensat", "fsync", "renameat", "unlinkat", "fsync directory"],
            id="replacing",
        ),
        pytest.param("no fsync", "keep", ["fchmod", "utimensat", "linkat", "unlinkat"], id="fsync given up"),
    ],
)
def test_the_bytes_are_on_stable_storage_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, fsync: str, replace: str, steps: list[str]
) -> None:
    assert traced(tmp_path, fsync, replace) == ("True", steps)
    assert content(tmp_path / "root" / "d") == {"f": b"abc"}


@pytest.mark.system
def test_a_disk_without_hard_links_gets_a_rename_between_the_syncs(tmp_path: Path) -> None:
    said, steps = traced(tmp_path, "fsync", "keep", "-e", "inject=linkat:error=EOPNOTSUPP")
    assert said == "True"
    assert steps == ["fchmod", "utimensat", "fsync", "linkat", "renameat2", "fsync directory"]
    assert content(tmp_path / "root" / "d") == {"f": b"abc"}


@pytest.mark.system
@pytest.mark.parametrize("error", ["EINVAL", "ENOSYS", "EPERM"])
def test_a_disk_without_a_rename_that_does_not_replace_gets_a_plain_one(tmp_path: Path, error: str) -> None:
    faults = ("-e", "inject=linkat:error=EPERM", "-e", f"inject=renameat2:error={error}")
    said, steps = traced(tmp_path, "fsync", "keep", *faults)
    assert said == "True"
    assert steps == ["fchmod", "utimensat", "fsync", "linkat", "renameat2", "renameat", "fsync directory"]
    assert content(tmp_path / "root" / "d") == {"f": b"abc"}


async def test_a_published_file_has_its_name_bytes_time_and_mode(part: PartFile, directory: Path) -> None:
    assert await part.publish(parse_filename("data.csv"), replace=False, last_modified=784_111_777)
    assert content(directory) == {"data.csv": b"new"}
    status = (directory / "data.csv").stat()
    assert status.st_mtime == 784_111_777
    assert status.st_nlink == 1


async def test_the_mode_respects_the_umask(strict_umask: None, root: Path) -> None:
    async with LocalDestination(root, min_free=0, fsync=False) as destination:
        part = await destination.open_part(directory="", filename=FILE, download_id=ID, epoch=1, existing=None)
        assert await part.publish(FILE, replace=False, last_modified=None)
    assert stat.S_IMODE((root / "f").stat().st_mode) == 0o640


@pytest.mark.parametrize("moment", [-1, 0, 253_402_300_799, 10**30], ids=["past", "epoch", "9999", "never"])
async def test_no_last_modified_of_an_origin_prevents_publication(part: PartFile, directory: Path, moment: int) -> None:
    assert await part.publish(FILE, replace=False, last_modified=moment)
    assert content(directory) == {"f": b"new"}


async def test_a_published_part_is_closed_and_stays_when_removed(part: PartFile, directory: Path) -> None:
    assert await part.publish(FILE, replace=False, last_modified=None)
    (directory / part.name).write_bytes(b"somebody else's")
    await part.remove()
    await part.close()
    assert content(directory) == {"f": b"new", part.name: b"somebody else's"}
    with pytest.raises(RuntimeError, match="closed"):
        await part.sync()


async def test_a_taken_name_and_the_part_stay_unchanged(part: PartFile, directory: Path) -> None:
    (directory / "f").write_bytes(b"old")
    assert not await part.publish(FILE, replace=False, last_modified=0)
    assert content(directory) == {"f": b"old", part.name: b"new"}
    status = (directory / part.name).stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_mtime != 0
    assert await part.publish(parse_filename("g"), replace=False, last_modified=0)


@pytest.fixture(params=["hard links", "no hard links", "no hard links and a plain rename"])
def with_or_without_hard_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "hard links":
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    if request.param == "no hard links and a plain rename":
        monkeypatch.setattr(publisher, "rename_without_replacing", refuse(errno.ENOSYS))


@pytest.mark.usefixtures("with_or_without_hard_links")
async def test_a_name_taken_at_the_last_moment_stays_unchanged(
    part: PartFile, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fchmod

    def fchmod(fd: int, mode: int) -> None:
        (directory / "f").write_bytes(b"old")
        real(fd, mode)

    monkeypatch.setattr(os, "fchmod", fchmod)
    assert not await part.publish(FILE, replace=False, last_modified=0)
    assert content(directory) == {"f": b"old", part.name: b"new"}
    status = (directory / part.name).stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_mtime != 0
    await part.close()


@pytest.mark.parametrize("kind", ["dangling link", "directory", "fifo"])
async def test_a_name_is_taken_by_every_kind_of_entry(part: PartFile, directory: Path, kind: str) -> None:
    final = directory / "f"
    match kind:
        case "dangling link":
            final.symlink_to("nowhere")
        case "directory":
            final.mkdir()
        case _:
            os.mkfifo(final)
    assert not await part.publish(FILE, replace=False, last_modified=None)
    assert not (directory / "nowhere").exists()
    await part.close()


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "fifo"])
async def test_replacing_replaces_the_name_itself(part: PartFile, directory: Path, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    final = directory / "f"
    match kind:
        case "file":
            final.write_bytes(b"old")
        case "link":
            final.symlink_to(outside)
        case "dangling link":
            final.symlink_to(tmp_path / "nowhere")
        case _:
            os.mkfifo(final)
    assert await part.publish(FILE, replace=True, last_modified=None)
    assert not final.is_symlink()
    assert content(directory) == {"f": b"new"}
    assert outside.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


async def test_a_directory_is_never_replaced(part: PartFile, directory: Path) -> None:
    (directory / "f").mkdir()
    with pytest.raises(InvalidPathError, match="a directory has this name"):
        await part.publish(FILE, replace=True, last_modified=None)
    assert (directory / part.name).read_bytes() == b"new"
    await part.close()


@pytest.mark.parametrize("replace", [False, True])
async def test_a_publication_that_crashed_between_link_and_unlink_is_completed(
    part: PartFile, directory: Path, replace: bool
) -> None:
    os.link(directory / part.name, directory / "f")
    assert await part.publish(FILE, replace=replace, last_modified=None)
    assert content(directory) == {"f": b"new"}


@pytest.mark.parametrize("exchange", ["gone", "other file", "link"])
async def test_another_file_under_the_name_of_the_part_is_not_published(
    part: PartFile, directory: Path, tmp_path: Path, exchange: str
) -> None:
    path = directory / part.name
    path.unlink()
    if exchange == "other file":
        path.write_bytes(b"other")
    elif exchange == "link":
        path.symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError):
        await part.publish(FILE, replace=True, last_modified=None)
    assert not os.path.lexists(directory / "f")
    await part.close()


async def test_a_directory_replaced_by_a_link_is_not_followed(part: PartFile, directory: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    directory.rename(outside)
    directory.symlink_to(outside)
    with pytest.raises(InvalidPathError, match="symbolic link"):
        await part.publish(FILE, replace=False, last_modified=None)
    assert list(content(outside)) == [part.name]
    await part.remove()
    assert list(content(outside)) == [part.name]


@pytest.mark.usefixtures("no_hard_links", "either_rename")
async def test_without_hard_links_a_free_name_is_published(part: PartFile, directory: Path) -> None:
    assert await part.publish(FILE, replace=False, last_modified=None)
    assert content(directory) == {"f": b"new"}


async def test_without_hard_links_a_file_made_at_the_last_moment_is_not_replaced(
    part: PartFile, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> NoReturn:
        (directory / "f").write_bytes(b"of another program")
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", link)
    assert not await part.publish(FILE, replace=False, last_modified=None)
    assert content(directory) == {"f": b"of another program", part.name: b"new"}
    await part.close()


@pytest.mark.usefixtures("no_hard_links", "either_rename")
async def test_without_hard_links_a_taken_name_stays_unchanged(part: PartFile, directory: Path) -> None:
    (directory / "f").symlink_to("nowhere")
    assert not await part.publish(FILE, replace=False, last_modified=None)
    assert {entry.name for entry in directory.iterdir()} == {"f", part.name}
    await part.close()


@pytest.mark.parametrize("broken", ["link", "rename"])
async def test_another_error_of_link_or_rename_is_raised(
    part: PartFile, directory: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EIO if broken == "link" else errno.EPERM))
    monkeypatch.setattr(publisher, "rename_without_replacing", refuse(errno.EIO))
    with pytest.raises(StorageError, match="d/f: Input/output error"):
        await part.publish(FILE, replace=False, last_modified=None)
    assert content(directory) == {part.name: b"new"}
    await part.remove()


@pytest.mark.parametrize("has_both_names", [False, True])
async def test_a_publication_whose_directory_cannot_be_synced_is_undone_and_keeps_the_bytes(
    part: PartFile, directory: Path, monkeypatch: pytest.MonkeyPatch, has_both_names: bool
) -> None:
    real_fsync, real_unlink = os.fsync, os.unlink

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, "broken")
        real_fsync(fd)

    def unlink(name: bytes, **options: int) -> None:
        if name == part.name.encode():
            raise OSError(errno.EIO, "broken")
        real_unlink(name, **options)

    monkeypatch.setattr(os, "fsync", fsync)
    if has_both_names:
        monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(StorageError, match="broken"):
        await part.publish(FILE, replace=False, last_modified=None)
    monkeypatch.undo()
    assert content(directory) == {part.name: b"new"}
    assert stat.S_IMODE((directory / part.name).stat().st_mode) == 0o600
    await part.remove()


async def test_a_publication_is_not_undone_when_another_file_has_the_name_meanwhile(
    part: PartFile, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_fsync = os.fsync

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            (directory / "other").write_bytes(b"other")
            (directory / "other").replace(directory / FILE)
            raise OSError(errno.EIO, "broken")
        real_fsync(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="broken"):
        await part.publish(FILE, replace=False, last_modified=None)
    assert content(directory) == {"f": b"other"}
    await part.remove()


@pytest.mark.parametrize(
    "number", [errno.EPERM, errno.ENOSYS, errno.EINVAL], ids=lambda number: errno.errorcode[number]
)
async def test_publication_succeeds_on_a_disk_without_modes_owners_and_times(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for name in ("fchmod", "fchown", "utime"):
        monkeypatch.setattr(os, name, refuse(number))
    configured = DirectorySettings(owner=(1, 1), mode=0o640)
    async with LocalDestination(root, min_free=0, fsync=False, directory_settings=lambda _: configured) as destination:
        first = await destination.open_part(directory="d", filename=FILE, download_id=ID, epoch=1, existing=None)
        await first.write([b"new"], 0)
        await first.close()
        second = await destination.open_part(directory="d", filename=FILE, download_id=ID, epoch=2, existing=first.name)
        with capture_logs() as lines:
            assert await second.publish(FILE, replace=False, last_modified=1)
    assert content(root / "d") == {"f": b"new"}
    # The owner was refused, and logged, when the directory was made.
    assert [line["attribute"] for line in lines] == ["mode", "time"]


@pytest.mark.parametrize("replace", [False, True], ids=["link", "rename"])
async def test_a_server_whose_answer_was_lost_and_that_was_asked_again_has_published_the_file(
    part: PartFile, directory: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    real_link, real_rename = os.link, os.rename

    def twice(real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any, **options: Any) -> None:
            real(*arguments, **options)
            real(*arguments, **options)

        return call

    monkeypatch.setattr(os, "link", twice(real_link))
    monkeypatch.setattr(os, "rename", twice(real_rename))
    assert await part.publish(FILE, replace=replace, last_modified=None)
    assert content(directory) == {"f": b"new"}


async def test_a_rename_of_a_part_that_was_removed_is_an_error(
    part: PartFile, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def rename(*arguments: Any, **options: Any) -> None:
        (directory / part.name).unlink()
        real(*arguments, **options)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(StorageError, match="No such file") as caught:
        await part.publish(FILE, replace=True, last_modified=None)
    assert caught.value.transient
    assert content(directory) == {}
    await part.close()


async def test_only_the_owner_may_change_mode_and_time_so_the_owner_is_set_last(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners: set[int] = set()
    real_mode, real_times = os.fchmod, os.utime

    def fchown(fd: int, user: int, group: int) -> None:
        owners.add(os.fstat(fd).st_ino)

    def check(fd: int) -> None:
        if os.fstat(fd).st_ino in owners:
            raise PermissionError(errno.EPERM, "not the owner")

    def fchmod(fd: int, mode: int) -> None:
        check(fd)
        real_mode(fd, mode)

    def utime(fd: int, *, ns: tuple[int, int]) -> None:
        check(fd)
        real_times(fd, ns=ns)

    monkeypatch.setattr(os, "fchown", fchown)
    monkeypatch.setattr(os, "fchmod", fchmod)
    monkeypatch.setattr(os, "utime", utime)
    configured = DirectorySettings(owner=(1, 1), mode=0o664)
    async with LocalDestination(root, min_free=0, fsync=False, directory_settings=lambda _: configured) as destination:
        part = await destination.open_part(directory="d", filename=FILE, download_id=ID, epoch=1, existing=None)
        assert await part.publish(FILE, replace=False, last_modified=1)
    file, directory = (root / "d" / "f").stat(), (root / "d").stat()
    assert (stat.S_IMODE(file.st_mode), stat.S_IMODE(directory.st_mode), file.st_mtime) == (0o664, 0o775, 1)
    assert owners == {file.st_ino, directory.st_ino}


async def test_a_cancelled_publication_is_complete_when_the_part_is_closed(
    part: PartFile, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, opened, real = threading.Event(), threading.Event(), os.fsync

    def fsync(fd: int) -> None:
        arrived.set()
        assert opened.wait(10)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    publishing = asyncio.create_task(part.publish(FILE, replace=False, last_modified=None))
    assert await asyncio.to_thread(arrived.wait, CONDITION_TIMEOUT)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    opened.set()
    await part.remove()
    assert content(directory) == {"f": b"new"}
