"""Descriptor of a part file in a real directory."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from downloadd.clock import SystemClock
from downloadd.directory_settings import DirectorySettings
from downloadd.errors import StorageRootMissingError
from downloadd.storage.names import PartName, format_part_name, parse_directory, parse_filename
from downloadd.storage.part_descriptor import PartClosedError, PartDescriptor, delete_part
from downloadd.storage.quotas import Quotas
from downloadd.storage.root import StorageRoot

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
DIRECTORY = parse_directory("d")


def part_name(epoch: int) -> PartName:
    return format_part_name(parse_filename("f"), ID, epoch)


@pytest.fixture
def opened(root: Path) -> Iterator[StorageRoot]:
    with StorageRoot(root, fsync=False) as opened:
        yield opened


def new_descriptor(root: StorageRoot, epoch: int = 1) -> PartDescriptor:
    quotas = Quotas(directory_settings=lambda _: DirectorySettings(), count_bytes=lambda *_: 0, clock=SystemClock())
    name = part_name(epoch)
    return PartDescriptor(
        root=root, directory=DIRECTORY, name=name, charge=quotas.charge(DIRECTORY, name), withdraw_claim=lambda: None
    )


def test_the_file_is_made_at_first_use_and_kept_when_closed(opened: StorageRoot, root: Path) -> None:
    descriptor = new_descriptor(opened)
    assert not (root / "d").exists()
    with descriptor.shared() as fd, descriptor.shared() as same:
        assert fd == same
    descriptor.close()
    descriptor.close()
    assert [path.name for path in (root / "d").iterdir()] == [part_name(1)]
    with pytest.raises(PartClosedError), descriptor.shared():
        pass


def test_exclusive_use_waits_for_writers_and_excludes_new_ones(opened: StorageRoot) -> None:
    descriptor = new_descriptor(opened)
    is_exclusive, may_end = threading.Event(), threading.Event()

    def close() -> None:
        with descriptor.exclusive():
            is_exclusive.set()
            assert may_end.wait(10)
            descriptor.release()

    closing = threading.Thread(target=close)
    with descriptor.shared():
        closing.start()
        assert not is_exclusive.wait(0.05)
    assert is_exclusive.wait(10)
    may_end.set()
    with pytest.raises(PartClosedError), descriptor.shared():
        pass
    closing.join()


def test_the_first_existing_part_is_adopted_and_can_be_restored(opened: StorageRoot, root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / part_name(2)).write_bytes(b"abc")
    descriptor = new_descriptor(opened, epoch=3)
    descriptor.adopt_first([part_name(1), part_name(2)])
    assert descriptor.size == 3
    assert [path.name for path in (root / "d").iterdir()] == [part_name(3)]
    descriptor.undo_adoption()
    assert descriptor.is_closed
    assert [path.name for path in (root / "d").iterdir()] == [part_name(2)]


@pytest.mark.parametrize(("names", "is_adopted"), [(0, True), (1, True), (2, False)])
def test_a_part_is_adopted_unless_it_has_another_name(
    opened: StorageRoot, root: Path, monkeypatch: pytest.MonkeyPatch, names: int, is_adopted: bool
) -> None:
    (root / "d").mkdir()
    (root / "d" / part_name(1)).write_bytes(b"abc")
    real = os.stat_result

    def count_names(status: os.stat_result) -> os.stat_result:
        # Some FUSE file systems count no names.
        return real([*status[:3], names, *status[4:]]) if stat.S_ISREG(status.st_mode) else status

    real_stat, real_fstat = os.stat, os.fstat
    monkeypatch.setattr(os, "stat", lambda *path, **options: count_names(real_stat(*path, **options)))
    monkeypatch.setattr(os, "fstat", lambda fd: count_names(real_fstat(fd)))
    descriptor = new_descriptor(opened, epoch=3)
    descriptor.adopt_first([part_name(1)])
    monkeypatch.undo()
    assert descriptor.size == (3 if is_adopted else 0)
    descriptor.close()


def test_a_missing_part_is_made_and_removed_by_undo(opened: StorageRoot, root: Path) -> None:
    descriptor = new_descriptor(opened, epoch=2)
    descriptor.adopt_first([part_name(1)])
    assert [path.name for path in (root / "d").iterdir()] == [part_name(2)]
    descriptor.undo_adoption()
    assert list((root / "d").iterdir()) == []


def test_a_replaced_root_is_noticed(opened: StorageRoot, root: Path) -> None:
    descriptor = new_descriptor(opened)
    with descriptor.shared():
        descriptor.check_root()
    root.rename(root.with_name("old root"))
    root.mkdir()
    with pytest.raises(StorageRootMissingError, match="the storage root was replaced"):
        descriptor.check_root()
    descriptor.close()


def test_a_deleted_part_returns_its_size_and_a_missing_one_zero(opened: StorageRoot, root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / part_name(1)).write_bytes(b"abc")
    assert delete_part(opened, DIRECTORY, part_name(1)) == 3
    assert delete_part(opened, DIRECTORY, part_name(1)) == 0
    assert delete_part(opened, parse_directory("missing"), part_name(1)) == 0


def test_of_two_processes_that_adopt_a_part_at_once_one_begins_an_empty_one(
    opened: StorageRoot, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "d").mkdir()
    (root / "d" / part_name(1)).write_bytes(b"abc")
    first, second = new_descriptor(opened, epoch=2), new_descriptor(opened, epoch=3)
    real = os.rename

    def rename(old: bytes, new: bytes, **options: int) -> None:
        # The other one has found the part too, and is faster.
        monkeypatch.setattr(os, "rename", real)
        second.adopt_first([part_name(1)])
        real(old, new, **options)

    monkeypatch.setattr(os, "rename", rename)
    first.adopt_first([part_name(1)])
    assert (first.size, second.size) == (0, 3)
    with first.shared() as fd, second.shared() as other:
        assert not os.path.sameopenfile(fd, other)
    first.undo_adoption()
    assert [path.name for path in (root / "d").iterdir()] == [part_name(3)]
    second.close()
