import os
from pathlib import Path

import pytest

from downloadd.daemon.address_file import ADDRESS_FILE_NAME, read_address, remove_address, write_address


def test_the_address_that_was_written_is_read(tmp_path: Path) -> None:
    write_address(tmp_path, "http://127.0.0.1:1")
    write_address(tmp_path, "http://127.0.0.1:2")
    assert read_address(tmp_path) == "http://127.0.0.1:2"
    assert os.listdir(tmp_path) == [ADDRESS_FILE_NAME]


def test_a_removed_address_is_gone(tmp_path: Path) -> None:
    write_address(tmp_path, "http://127.0.0.1:1")
    remove_address(tmp_path)
    remove_address(tmp_path)
    assert read_address(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff"])
def test_a_file_without_an_address_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ADDRESS_FILE_NAME).write_bytes(content)
    assert read_address(tmp_path) is None


def test_a_directory_that_is_missing_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_address(tmp_path / "missing", "http://127.0.0.1:1")
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / ADDRESS_FILE_NAME).mkdir()
    with pytest.raises(IsADirectoryError):
        write_address(tmp_path, "http://127.0.0.1:1")
    assert os.listdir(tmp_path) == [ADDRESS_FILE_NAME]
