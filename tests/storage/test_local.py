import errno
import os
import subprocess
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from support.machine import not_allowed
from support.refusing_disk import RefusingDisk
from support.stopwatch import Stopwatch

from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.download import Conflict
from downloadd.errors import (
    InvalidPathError,
    StorageAwayError,
    StorageError,
    StorageRootMissingError,
)
from downloadd.storage.destination import Destination, PartEntry
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import format_part_name, parse_filename

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
FILE = parse_filename("f")


async def download(destination: Destination, text: str, content: bytes, conflict: Conflict) -> str | None:
    """Do the disk work of one download, as a run does it."""
    filename = parse_filename(text)
    part = await destination.open_part(
        directory="d", filename=filename, download_id=str(uuid4()), epoch=1, existing=None
    )
    try:
        await part.write([content], part.size)
        while (name := await destination.reserve_name(directory="d", filename=filename, conflict=conflict)) is not None:
            published = await part.publish(name, replace=conflict is Conflict.OVERWRITE, last_modified=None)
            destination.release_name(directory="d", filename=name)
            if published:
                return name
        return None
    finally:
        await part.remove()


async def all_parts(destination: LocalDestination) -> list[PartEntry]:
    return [part async for chunk in destination.list_parts() for part in chunk]


async def test_a_root_that_cannot_be_used_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "root").touch()
    # Those of a test before may still be ending.
    before = set(threading.enumerate())
    with pytest.raises(StorageError, match=r"the storage root .*/root cannot be used"):
        await LocalDestination(tmp_path / "root", min_free=0, fsync=True).__aenter__()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("disk-")]


async def test_a_link_in_the_path_is_an_error_that_names_the_path_below_the_root(
    destination: LocalDestination, root: Path, tmp_path: Path
) -> None:
    (root / "link").symlink_to(tmp_path)
    part = await destination.open_part(directory="link/a", filename=FILE, download_id=ID, epoch=1, existing=None)
    with pytest.raises(InvalidPathError) as refused:
        await part.write([b"abc"], 0)
    await part.close()
    assert refused.value.detail.startswith("link/a/.f.")
    assert str(tmp_path) not in refused.value.detail
    assert [entry.name for entry in tmp_path.iterdir()] == ["root"]


async def test_a_name_of_255_bytes_gets_a_part_and_its_final_name(destination: LocalDestination, root: Path) -> None:
    filename = "é" * 125 + ".csv"
    filename += "x" * (255 - len(filename.encode()))
    for _ in range(2):
        assert await download(destination, filename, b"abc", Conflict.RENAME)
    assert len(list((root / "d").iterdir())) == 2
    assert {len(os.fsencode(entry.name)) for entry in (root / "d").iterdir()} <= {254, 255}


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link", "fifo"])
async def test_a_name_exists_for_every_kind_of_entry(destination: LocalDestination, root: Path, kind: str) -> None:
    final = root / "f"
    match kind:
        case "file":
            final.touch()
        case "directory":
            final.mkdir()
        case "dangling link":
            final.symlink_to("nowhere")
        case _:
            os.mkfifo(final)
    assert await destination.exists(directory="", filename=FILE)
    assert not await destination.exists(directory="", filename=parse_filename("g"))
    assert not await destination.exists(directory="missing/below", filename=FILE)


async def test_a_name_is_chosen_fast_among_thousands(destination: LocalDestination, root: Path) -> None:
    (root / "d").mkdir()
    for n in range(3000):
        (root / "d" / (f"f ({n}).csv" if n else "f.csv")).touch()
    watch = Stopwatch()
    names = [
        await destination.reserve_name(directory="d", filename=parse_filename("f.csv"), conflict=Conflict.RENAME)
        for _ in range(100)
    ]
    assert watch.seconds < 5
    assert names == [f"f ({n}).csv" for n in range(3000, 3100)]


PART = format_part_name(FILE, ID, 1)


async def test_the_name_of_a_published_download_is_on_stable_storage_after_recovery(
    destination: LocalDestination, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"abc")
    assert await destination.is_published(directory="d", filename=FILE, total=3, part_name=PART)
    assert synced == [str(root / "d")]


async def test_a_download_is_published_when_both_names_are_one_file(destination: LocalDestination, root: Path) -> None:
    (root / PART).write_bytes(b"abc")
    os.link(root / PART, root / "f")
    assert await destination.is_published(directory="", filename=FILE, total=3, part_name=PART)
    assert [entry.name for entry in root.iterdir()] == ["f"]


@pytest.mark.parametrize("kind", ["linked", "gone", "no directory"])
async def test_a_part_in_another_directory_is_completed_too(
    destination: LocalDestination, root: Path, kind: str
) -> None:
    (root / "new").mkdir()
    (root / "new" / "f").write_bytes(b"abc")
    if kind != "no directory":
        (root / "old").mkdir()
    if kind == "linked":
        os.link(root / "new" / "f", root / "old" / PART)
    assert await destination.is_published(directory="new", filename=FILE, total=3, part_name=PART, part_directory="old")
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["f"]


async def test_a_file_of_another_download_is_not_taken_for_a_part_in_another_directory(
    destination: LocalDestination, root: Path
) -> None:
    for directory, name in (("new", "f"), ("old", PART)):
        (root / directory).mkdir()
        (root / directory / name).write_bytes(b"abc")
    assert not await destination.is_published(
        directory="new", filename=FILE, total=3, part_name=PART, part_directory="old"
    )
    assert (root / "old" / PART).exists()


async def test_files_can_be_renamed_within_a_file_system(
    destination: LocalDestination, root: Path, mounted: str
) -> None:
    (root / "a").mkdir()
    assert await destination.can_rename(directory="a", to="b/c")
    assert await destination.can_rename(directory="missing", to="")
    assert await destination.can_rename(directory=f"{mounted}/a", to=f"{mounted}/b")
    for directories in (("a", f"{mounted}/b"), (mounted, "a")):
        assert not await destination.can_rename(directory=directories[0], to=directories[1])
    assert [path.name for path in root.iterdir()] in (["a", mounted], [mounted, "a"])


async def test_files_cannot_be_renamed_into_another_mount_of_their_file_system(
    destination: LocalDestination, root: Path
) -> None:
    for name in ("a", "bound"):
        (root / name).mkdir()
    if subprocess.run(["mount", "--bind", root / "a", root / "bound"], capture_output=True).returncode:
        not_allowed("make a bind mount")
    try:
        assert not await destination.can_rename(directory="a", to="bound")
    finally:
        subprocess.run(["umount", "--lazy", root / "bound"], check=True)


@pytest.mark.parametrize("kind", ["nothing", "another length", "a part of its own", "a link", "no directory", "a file"])
async def test_a_download_is_not_published(destination: LocalDestination, root: Path, kind: str) -> None:
    place = root / "d"
    if kind == "a file":
        place.touch()
    elif kind != "no directory":
        place.mkdir()
    match kind:
        case "another length":
            (place / "f").write_bytes(b"ab")
        case "a part of its own":
            (place / "f").write_bytes(b"abc")
            (place / PART).write_bytes(b"abc")
        case "a link":
            # As long as the file would be.
            (place / "f").symlink_to("abc")
    before = sorted(root.rglob("*"))
    assert not await destination.is_published(directory="d", filename=FILE, total=3, part_name=PART)
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("kind", ["there", "gone", "no directory", "link"])
async def test_a_part_is_removed_and_a_missing_one_ignored(
    destination: LocalDestination, root: Path, tmp_path: Path, kind: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / PART).touch()
    if kind == "link":
        (root / "d").symlink_to(outside)
    elif kind != "no directory":
        (root / "d").mkdir()
    if kind == "there":
        (root / "d" / PART).touch()
    await destination.remove_part(directory="d", name=PART)
    assert (outside / PART).exists()
    if kind != "link":
        assert not (root / "d" / PART).exists()


async def test_all_part_files_are_found_and_nothing_else(
    destination: LocalDestination, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / PART).touch()
    expected = set()
    for directory in ("", "a", "a/b/ü", *(f"many/{n}" for n in range(150))):
        (root / directory).mkdir(parents=True, exist_ok=True)
        (root / directory / PART).touch()
        (root / directory / "f").touch()
        expected.add(directory)
    (root / "link").symlink_to(outside)
    (root / "a" / "circle").symlink_to(root)
    (root / format_part_name(parse_filename("link"), ID, 1)).symlink_to(outside / PART)
    (root / format_part_name(parse_filename("directory"), ID, 1)).mkdir()
    (root / "api").mkdir()
    (root / "api" / PART).touch()
    os.mkfifo(root / format_part_name(parse_filename("fifo"), ID, 1))
    (root / os.fsdecode(b"\xff")).mkdir()
    (root / os.fsdecode(b"\xff") / PART).touch()
    (root / os.fsdecode(b".\xff" + PART.encode())).touch()
    found = await all_parts(destination)
    assert {part.directory for part in found} == expected
    assert len(found) == len(expected)
    assert {(part.name, part.download_id, part.epoch) for part in found} == {(PART, ID, 1)}


async def test_an_aborted_listing_leaves_no_descriptor_open(destination: LocalDestination, root: Path) -> None:
    (root / PART).touch()
    async for _ in destination.list_parts():
        break


async def test_files_of_a_missing_root_count_towards_no_quota(tmp_path: Path) -> None:
    root = tmp_path / "root"
    quota = Quota(directory="d", limit=100)
    async with LocalDestination(
        root,
        min_free=0,
        fsync=False,
        directory_settings=lambda directory: DirectorySettings(quotas=(quota,) if directory == "d" else ()),
    ) as destination:
        assert await download(destination, "f", b"x" * 90, Conflict.ERROR) == "f"
        assert (await destination.measure_use([quota])).quotas[0].used == 90
        root.rename(tmp_path / "away")
        with pytest.raises(StorageRootMissingError):
            await destination.measure_use([quota])
        root.mkdir()
        assert (await destination.measure_use([quota])).quotas[0].used == 0
        assert await download(destination, "f", b"x" * 90, Conflict.ERROR) == "f"


async def test_a_missing_root_has_no_free_space(destination: LocalDestination, root: Path) -> None:
    await destination.check_free_space(1)
    root.rename(root.with_name("away"))
    with pytest.raises(StorageRootMissingError):
        await destination.exists(directory="d", filename=FILE)
    # An earlier measurement is not used.
    with pytest.raises(StorageRootMissingError):
        await destination.check_free_space(1)
    assert await all_parts(destination) == []


async def test_a_directory_is_checked_by_a_trial(
    destination: LocalDestination, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await destination.check_directory(directory="missing")
    assert list(root.iterdir()) == []
    (root / "d").mkdir()
    await destination.check_directory(directory="d")
    assert list((root / "d").iterdir()) == []
    RefusingDisk(monkeypatch, root).refuse(errno.EHOSTDOWN, {"create"}, below="d")
    with pytest.raises(StorageAwayError):
        await destination.check_directory(directory="d/e")
    await destination.check_directory(directory="")
    await destination.try_writing()


async def test_parts_below_the_root_of_another_daemon_are_not_stray(tmp_path: Path) -> None:
    async with (
        LocalDestination(tmp_path / "outer", min_free=0, fsync=False) as outer,
        LocalDestination(tmp_path / "outer" / "inner", min_free=0, fsync=False) as inner,
    ):
        part = await inner.open_part(directory="d", filename=FILE, download_id=ID, epoch=1, existing=None)
        await part.write([b"x"], 0)
        await part.close()
        assert await all_parts(outer) == []
        assert len(await all_parts(inner)) == 1
    async with LocalDestination(tmp_path / "outer", min_free=0, fsync=False) as outer:
        assert len(await all_parts(outer)) == 1


async def test_a_root_that_is_shared_holds_no_small_file_and_excludes_a_daemon_that_is_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.storage.root.LOCK_TIMEOUT_SECONDS", 0.0)
    async with (
        LocalDestination(root, min_free=0, fsync=False, is_shared=True) as first,
        LocalDestination(root, min_free=0, fsync=False, is_shared=True),
    ):
        part = await first.open_part(directory="d", filename=FILE, download_id=ID, epoch=1, existing=None)
        await part.write([b"abc"], 0, is_last=True)
        # A file without a name cannot be taken away from a run that stands still.
        assert not part.is_held
        await part.remove()
        with pytest.raises(StorageError, match="in use by another downloadd"):
            await LocalDestination(root, min_free=0, fsync=False).__aenter__()
    async with LocalDestination(root, min_free=0, fsync=False):
        with pytest.raises(StorageError, match="in use by another downloadd"):
            await LocalDestination(root, min_free=0, fsync=False, is_shared=True).__aenter__()
