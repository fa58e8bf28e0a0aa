from pathlib import Path

from support.memory_folder import may_hold_all_files


def test_a_folder_that_does_not_exist_holds_no_files(tmp_path: Path) -> None:
    assert not may_hold_all_files(tmp_path / "missing")


def test_a_file_system_without_extended_attributes_does_not_hold_the_files_of_tests() -> None:
    assert not may_hold_all_files(Path("/proc"))
