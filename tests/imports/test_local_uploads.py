"""Storage of uploaded files."""

import os
import stat
from pathlib import Path
from unittest.mock import patch

import pytest
from support.clocks import ManualClock
from support.import_stack import content

from downloadd.errors import InsufficientStorageError, StorageError, StorageRootMissingError
from downloadd.imports.local_uploads import MAX_PAUSE_SECONDS, LocalUploads
from downloadd.imports.refusal import ImportRefusedError
from downloadd.storage.disk_space import DiskSpace

ID = "a" * 17


@pytest.fixture
async def uploads(tmp_path: Path) -> LocalUploads:
    store = LocalUploads(tmp_path / "uploads", max_upload=10, min_free=0, clock=ManualClock())
    await store.open()
    return store


async def test_an_upload_is_stored_for_the_daemon_alone(uploads: LocalUploads) -> None:
    assert await uploads.save(ID, content(b"ab", b"", b"c")) == 3
    assert uploads.path(ID).read_bytes() == b"abc"
    assert stat.S_IMODE(uploads.path(ID).stat().st_mode) == 0o600
    assert stat.S_IMODE(uploads.path(ID).parent.stat().st_mode) == 0o700


async def test_space_that_must_stay_free_is_not_used(tmp_path: Path) -> None:
    uploads = LocalUploads(tmp_path, max_upload=10, min_free=1 << 62, clock=ManualClock())
    with pytest.raises(InsufficientStorageError):
        await uploads.save(ID, content(b"x"))
    assert not uploads.path(ID).exists()


async def test_space_is_freed_before_an_upload_is_refused(tmp_path: Path) -> None:
    requests: list[int] = []

    async def reclaim(directory: str, nbytes: int) -> bool:
        requests.append(nbytes)
        space.free = 100
        return True

    space = Space(free=12)
    uploads = LocalUploads(tmp_path, max_upload=10, min_free=10, clock=ManualClock(), reclaim=reclaim)
    with patch("downloadd.imports.local_uploads.measure_disk_space", space.measure):
        assert await uploads.save(ID, content(b"abc", b"def")) == 6
    assert requests == [1]
    assert uploads.path(ID).read_bytes() == b"abcdef"


class Space:
    """Disk with a number of free bytes that a test sets."""

    def __init__(self, *, free: int) -> None:
        self.free = free

    def measure(self, folder: Path) -> DiskSpace:
        return DiskSpace(free=self.free, capacity=1000)


async def test_a_link_in_place_of_an_upload_is_not_followed(uploads: LocalUploads, tmp_path: Path) -> None:
    uploads.path(ID).symlink_to(tmp_path / "elsewhere")
    await uploads.save(ID, content(b"x"))
    assert not (tmp_path / "elsewhere").exists()
    assert not uploads.path(ID).is_symlink()


async def test_a_file_that_is_not_stored_leaves_nothing(uploads: LocalUploads) -> None:
    with pytest.raises(ImportRefusedError):
        await uploads.save(ID, content(b"x" * 11))
    await uploads.save(ID, content(b"x"))
    assert os.listdir(uploads.path(ID).parent) == [ID]


async def test_what_a_killed_daemon_was_storing_is_removed(uploads: LocalUploads) -> None:
    await uploads.save(ID, content(b"x"))
    folder = uploads.path(ID).parent
    (folder / f"{ID}.0123456789abcdef").write_bytes(b"half")
    (folder / f"{ID}.txt").write_bytes(b"of a user")

    async def is_referenced(operation: str) -> bool:
        return operation == ID

    await uploads.remove_orphans(is_referenced)
    assert sorted(path.name for path in folder.iterdir()) == [ID, f"{ID}.txt"]


async def test_a_directory_that_cannot_be_created_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be created"):
        await LocalUploads(tmp_path / "file" / "x", max_upload=1, min_free=0, clock=ManualClock()).open()


async def test_orphans_are_deleted_and_other_files_stay(uploads: LocalUploads) -> None:
    folder = uploads.path(ID).parent
    for name in (ID, "b" * 17, "notes.txt"):
        (folder / name).write_text("")
    (folder / ("c" * 17)).symlink_to("nowhere")

    async def is_referenced(name: str) -> bool:
        return name == ID

    await uploads.remove_orphans(is_referenced)
    assert sorted(os.listdir(folder)) == [ID, "c" * 17, "notes.txt"]


async def test_a_missing_directory_has_no_orphans(tmp_path: Path) -> None:
    async def is_referenced(name: str) -> bool:
        raise AssertionError

    await LocalUploads(tmp_path / "x", max_upload=1, min_free=0, clock=ManualClock()).remove_orphans(is_referenced)


async def test_uploads_of_several_nodes_wait_for_their_storage(tmp_path: Path) -> None:
    problems = [StorageRootMissingError("gone")] * 2

    async def check() -> None:
        if problems:
            raise problems.pop()

    uploads = LocalUploads(
        tmp_path / "root" / "uploads", max_upload=10, min_free=0, clock=ManualClock(), check_shared=check
    )
    await uploads.open()
    with pytest.raises(StorageRootMissingError):
        await uploads.save(ID, content(b"x"))
    assert list(tmp_path.iterdir()) == []
    assert await uploads.save(ID, content(b"x")) == 1


async def test_what_another_node_is_storing_stays(tmp_path: Path) -> None:
    async def check() -> None:
        pass

    clock = ManualClock()
    uploads = LocalUploads(tmp_path, max_upload=10, min_free=0, clock=clock, check_shared=check)
    unfinished = tmp_path / f"{ID}.{'0' * 16}"
    unfinished.touch()
    os.utime(unfinished, (clock.wall(), clock.wall()))

    async def is_referenced(operation: str) -> bool:
        return True

    await uploads.remove_orphans(is_referenced)
    assert unfinished.exists()
    # Its node was killed.
    clock.now += MAX_PAUSE_SECONDS + 1
    await uploads.remove_orphans(is_referenced)
    assert not unfinished.exists()
