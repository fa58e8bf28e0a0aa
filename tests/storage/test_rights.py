"""Rights of published files and of new directories on real file systems: as if another program had made them."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.machine import not_allowed
from support.small_disk import mounted_image

from downloadd.directory_settings import DirectorySettings
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename

pytestmark = pytest.mark.system

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
FILE = parse_filename("f")
SHARED_GROUP = 4321

MASKS = [0o022, 0o002, 0o027, 0o077, 0]
LISTS = [
    pytest.param(["u:1234:rwx", "g::r", "o::-"], id="a user"),
    pytest.param(["g:4321:rw", "u::rw", "g::-", "o::r"], id="a group"),
    pytest.param(["u::rwx", "g::rwx", "o::-"], id="no names"),
    pytest.param(["u:1234:rwx", "g:4321:rx", "m::r", "g::rwx", "o::rwx"], id="a mask"),
]


@contextmanager
def mounted(folder: Path, kind: str) -> Iterator[Path]:
    """Mount a file system that has access control lists; see `not_allowed` where that is not possible."""
    if kind == "ext4":
        with mounted_image(folder, 16 << 20, ["mkfs.ext4", "-q"], []) as place:
            yield place
        return
    place, layers = folder / "disk", folder / "layers"
    place.mkdir()
    layers.mkdir()
    commands = ['mount -t tmpfs -o size=16m tmpfs "$1"']
    if kind == "overlay":
        options = "lowerdir=$2/lower,upperdir=$2/upper,workdir=$2/work"
        commands = [
            'mount -t tmpfs -o size=16m tmpfs "$2"',
            'mkdir "$2/lower" "$2/upper" "$2/work"',
            f'mount -t overlay -o "{options}" overlay "$1"',
        ]
    try:
        script = ["sh", "-c", " && ".join(commands), "sh", str(place), str(layers)]
        if subprocess.run(script, capture_output=True, check=False).returncode:
            not_allowed(f"mount {kind}")
        yield place
    finally:
        for path in (place, layers):
            subprocess.run(["umount", "--lazy", path], capture_output=True, check=False)


@pytest.fixture(params=["tmpfs", "ext4", "overlay"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path, request.param) as place:
        (place / "root").mkdir()
        yield place / "root"


@pytest.fixture(params=MASKS, ids="{:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path: Path) -> list[str]:
    """Return the access control list as getfacl(1) prints it, with owner, group and set-group-ID bit."""
    command = ["getfacl", "--omit-header", "--numeric", "--absolute-names", str(path)]
    status = path.stat()
    kept = f"{status.st_uid}:{status.st_gid} {oct(stat.S_IMODE(status.st_mode))}"
    return [kept, *subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def set_list(directory: Path, entries: list[str]) -> None:
    subprocess.run(["setfacl", "--default", "--modify", ",".join(entries), directory], check=True)


async def publish(
    root: Path,
    *,
    settings: DirectorySettings | None = None,
    before_publication: Callable[[], object] = lambda: None,
) -> None:
    """Publish d/f; its part file is private until then."""
    async with LocalDestination(
        root, min_free=0, fsync=True, directory_settings=lambda _: settings or DirectorySettings()
    ) as destination:
        part = await destination.open_part(directory="d", filename=FILE, download_id=ID, epoch=1, existing=None)
        await part.write([b"bytes"], 0)
        assert stat.S_IMODE((root / "d" / part.name).stat().st_mode) == 0o600
        before_publication()
        await part.close()
        part = await destination.open_part(directory="d", filename=FILE, download_id=ID, epoch=2, existing=part.name)
        assert stat.S_IMODE((root / "d" / part.name).stat().st_mode) == 0o600
        assert await part.publish(FILE, replace=False, last_modified=None)


def make_others(root: Path) -> None:
    """Make a file and a directory like those of a publication, by other programs."""
    script = "mkdir other && : > d/other"
    subprocess.run(["sh", "-c", script], cwd=root, check=True)


async def test_the_umask_decides(disk: Path, umask: int) -> None:
    await publish(disk)
    make_others(disk)
    assert rights(disk / "d" / "f") == rights(disk / "d" / "other")
    assert rights(disk / "d") == rights(disk / "other")
    assert stat.S_IMODE((disk / "d" / "f").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((disk / "d").stat().st_mode) == 0o777 & ~umask


@pytest.mark.parametrize("entries", LISTS)
async def test_a_default_list_decides_instead(disk: Path, entries: list[str]) -> None:
    set_list(disk, entries)
    await publish(disk)
    make_others(disk)
    assert rights(disk / "d" / "f") == rights(disk / "d" / "other")
    assert rights(disk / "d") == rights(disk / "other")


@pytest.mark.parametrize("entries", LISTS)
async def test_a_list_that_is_younger_than_the_part_file_decides_too(disk: Path, entries: list[str]) -> None:
    await publish(disk, before_publication=lambda: set_list(disk / "d", entries))
    make_others(disk)
    assert rights(disk / "d" / "f") == rights(disk / "d" / "other")


async def test_new_directories_keep_the_group_of_their_parent(disk: Path) -> None:
    os.chown(disk, -1, SHARED_GROUP)
    disk.chmod(0o2775)
    await publish(disk)
    make_others(disk)
    assert rights(disk / "d" / "f") == rights(disk / "d" / "other")
    assert rights(disk / "d") == rights(disk / "other")
    status = (disk / "d").stat()
    assert (status.st_gid, bool(status.st_mode & stat.S_ISGID)) == (SHARED_GROUP, True)


@pytest.mark.parametrize("entries", [[], ["u:1234:rw", "g::r"]], ids=["no list", "a list"])
@pytest.mark.parametrize("mode", [0o640, 0o664, 0o600])
async def test_the_settings_of_a_directory_override_umask_and_list(disk: Path, mode: int, entries: list[str]) -> None:
    os.chown(disk, -1, SHARED_GROUP)
    disk.chmod(0o2775)
    if entries:
        set_list(disk, entries)
    await publish(disk, settings=DirectorySettings(mode=mode, owner=(1234, -1)))
    file, directory = (disk / "d" / "f").stat(), (disk / "d").stat()
    assert (stat.S_IMODE(file.st_mode), file.st_uid, file.st_gid) == (mode, 1234, SHARED_GROUP)
    # The bits for entering go with those for reading.
    assert stat.S_IMODE(directory.st_mode) == 0o2000 | mode | (mode & 0o444) >> 2
    assert (directory.st_uid, directory.st_gid) == (1234, SHARED_GROUP)


async def test_a_sandbox_that_forbids_the_set_group_id_bit_keeps_it_and_the_mode(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(disk, -1, SHARED_GROUP)
    disk.chmod(0o2775)
    set_list(disk, ["u:1234:rw"])
    real = os.fchmod

    def fchmod(fd: int, mode: int) -> None:
        if mode & (stat.S_ISGID | stat.S_ISUID):
            raise PermissionError("by RestrictSUIDSGID=")
        real(fd, mode)

    monkeypatch.setattr(os, "fchmod", fchmod)
    with capture_logs() as lines:
        await publish(disk, settings=DirectorySettings(mode=0o660))
    assert stat.S_IMODE((disk / "d").stat().st_mode) == 0o2770
    assert "user:1234:rw-" in rights(disk / "d")
    assert lines == []
