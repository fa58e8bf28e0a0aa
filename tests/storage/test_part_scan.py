"""Search for part files in a real directory."""

from pathlib import Path

import pytest

from downloadd.storage import part_scan
from downloadd.storage.destination import PartEntry
from downloadd.storage.names import PartName, format_part_name, parse_filename
from downloadd.storage.part_scan import PartScan
from downloadd.storage.root import StorageRoot

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"


def part_name(epoch: int = 1) -> PartName:
    return format_part_name(parse_filename("f"), ID, epoch)


def scan_all(root: Path) -> tuple[list[PartEntry], int]:
    """Return the part files that a scan finds, and the number of its steps."""
    found: list[PartEntry] = []
    steps = 0
    with StorageRoot(root, fsync=False) as opened:
        scan = PartScan(opened)
        while not scan.is_complete:
            found += scan.step()
            steps += 1
    return found, steps


def test_a_part_file_is_found_with_its_directory_id_and_epoch(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / part_name(3)).touch()
    (tmp_path / "a" / "b" / "f").touch()
    assert scan_all(tmp_path)[0] == [PartEntry(directory="a/b", name=part_name(3), download_id=ID, epoch=3)]


def test_links_and_directories_in_place_of_part_files_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / part_name(1)).symlink_to(tmp_path / "target")
    (tmp_path / part_name(2)).mkdir()
    (tmp_path / "circle").symlink_to(tmp_path)
    assert scan_all(tmp_path) == ([], 1)


def test_the_root_of_another_daemon_is_skipped(tmp_path: Path) -> None:
    with StorageRoot(tmp_path / "inner", fsync=False):
        (tmp_path / "inner" / part_name()).touch()
        assert scan_all(tmp_path)[0] == []
    assert len(scan_all(tmp_path)[0]) == 1


@pytest.mark.parametrize("name", ["MAX_DIRECTORIES_PER_STEP", "MAX_PARTS_PER_CHUNK"])
def test_a_step_is_limited_and_the_scan_still_finds_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(part_scan, name, 1)
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / part_name(number)).touch()
    found, steps = scan_all(tmp_path)
    assert {part.epoch for part in found} == set(range(5))
    assert steps >= 5


def test_a_directory_removed_during_the_scan_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    with StorageRoot(tmp_path, fsync=False) as opened:
        scan = PartScan(opened)
        with monkeypatch.context() as limited:
            limited.setattr(part_scan, "MAX_DIRECTORIES_PER_STEP", 1)
            assert (scan.step(), scan.is_complete) == ([], False)
        (tmp_path / "a").rmdir()
        assert (scan.step(), scan.is_complete) == ([], True)
