"""Listing of a directory."""

import os
from pathlib import Path

import pytest

from downloadd.errors import NotFoundError
from downloadd.storage.directory_entries import list_entries
from downloadd.storage.names import ROOT_DIRECTORY, parse_directory
from downloadd.storage.root import StorageRoot

DIRECTORY = parse_directory("d")


def names(root: Path, *, after: str = "", limit: int = 100) -> list[str]:
    with StorageRoot(root, fsync=False) as opened:
        return [entry.name for entry in list_entries(opened, DIRECTORY, after=after, limit=limit)]


def test_files_and_directories_are_listed_by_name_in_pages(tmp_path: Path) -> None:
    place = tmp_path / "d"
    place.mkdir()
    for name in ("b", "a", "ü", "c 1"):
        (place / name).write_bytes(bytes(7))
        os.utime(place / name, (5, 5))
    (place / "e").mkdir()
    assert names(tmp_path) == ["a", "b", "c 1", "e", "ü"]
    assert names(tmp_path, limit=2) == ["a", "b"]
    assert names(tmp_path, after="b") == ["c 1", "e", "ü"]
    with StorageRoot(tmp_path, fsync=False) as opened:
        [first, *_] = list_entries(opened, DIRECTORY, after="", limit=10)
        assert (first.size, first.modified, first.is_directory) == (7, 5, False)
        assert [each.is_directory for each in list_entries(opened, DIRECTORY, after="c 1", limit=1)] == [True]


def test_what_no_download_has_published_as_a_file_is_left_out(tmp_path: Path) -> None:
    place = tmp_path / "d"
    place.mkdir()
    (place / ".hidden.part").touch()
    (place / "link").symlink_to("/etc/passwd")
    (place / "away").symlink_to("/etc")
    os.mkfifo(place / "pipe")
    (place / os.fsdecode(b"not-utf-8-\xff")).touch()
    (place / "shown").touch()
    assert names(tmp_path) == ["shown"]


def test_a_missing_or_linked_directory_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        names(tmp_path)
    (tmp_path / "d").symlink_to("/etc")
    with pytest.raises(NotFoundError):
        names(tmp_path)
    (tmp_path / "d").unlink()
    (tmp_path / "d").touch()
    with pytest.raises(NotFoundError):
        names(tmp_path)


def test_the_root_does_not_show_its_mark(tmp_path: Path) -> None:
    (tmp_path / ".downloadd-root").touch()
    (tmp_path / "f").touch()
    with StorageRoot(tmp_path, fsync=False) as opened:
        assert [entry.name for entry in list_entries(opened, ROOT_DIRECTORY, after="", limit=9)] == ["f"]
