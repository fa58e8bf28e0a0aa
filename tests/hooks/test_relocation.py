import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from downloadd.hooks.relocation import place_file
from downloadd.storage.names import parse_filename

NAME = parse_filename("a.bin")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"content")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    path.chmod(0o640)
    return path


@pytest.fixture(params=["link", "copy", "no links"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    link = os.link

    def refuse(source: Any, target: Any, **named: Any) -> None:
        if request.param == "no links" or str(source).startswith("/proc"):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(source, target, **named)

    if request.param != "link":
        monkeypatch.setattr(os, "link", refuse)
    return str(request.param)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file be copied, as to another file system."""
    link = os.link

    def refuse(source: Any, target: Any, **named: Any) -> None:
        if str(source).startswith("/proc"):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(source, target, **named)

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("way")
def test_a_file_gets_its_name_in_a_new_directory(tmp_path: Path, source: Path) -> None:
    with source.open("rb") as file:
        path = place_file(file, tmp_path / "x" / "y", NAME, token="1")
    assert path is not None
    assert path == tmp_path / "x" / "y" / "a.bin"
    assert (path.read_bytes(), path.stat().st_mtime, path.stat().st_mode & 0o777) == (b"content", 1_000_000_000, 0o640)
    assert [each.name for each in path.parent.iterdir()] == ["a.bin"]


@pytest.mark.usefixtures("way")
def test_another_file_of_the_name_stays(tmp_path: Path, source: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.bin").write_bytes(b"CONTENT")
    with source.open("rb") as file:
        path = place_file(file, tmp_path / "x", NAME, token="1")
    assert path is not None
    assert path.name == "a (1).bin"
    assert path.read_bytes() == b"content"
    assert (tmp_path / "x" / "a.bin").read_bytes() == b"CONTENT"


@pytest.mark.usefixtures("way")
def test_a_repeated_move_finds_the_file(tmp_path: Path, source: Path) -> None:
    for _ in range(2):
        with source.open("rb") as file:
            place_file(file, tmp_path / "x", NAME, token="1")
    assert [each.name for each in (tmp_path / "x").iterdir()] == ["a.bin"]


@pytest.mark.usefixtures("way")
def test_the_unfinished_copy_of_a_killed_process_is_replaced(tmp_path: Path, source: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".downloadd-1-left.tmp").write_bytes(b"con")
    with source.open("rb") as file:
        path = place_file(file, tmp_path / "x", NAME, token="1")
    assert path is not None
    assert path.read_bytes() == b"content"


def test_the_copy_of_a_killed_process_is_not_written_to(tmp_path: Path, source: Path, copied: None) -> None:
    moved, left = tmp_path / "moved", tmp_path / "x" / ".downloadd-1-left.tmp"
    moved.write_bytes(b"content, changed by its new owner")
    left.parent.mkdir()
    os.link(moved, left)
    with source.open("rb") as file:
        place_file(file, tmp_path / "x", NAME, token="1")
    assert moved.read_bytes() == b"content, changed by its new owner"
    assert [each.name for each in left.parent.iterdir()] == ["a.bin"]


def test_two_nodes_that_copy_a_file_at_once_do_not_share_a_copy(
    tmp_path: Path, source: Path, copied: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfileobj

    def copy_while_another_node_does(*arguments: Any) -> None:
        copy(*arguments)
        monkeypatch.setattr(shutil, "copyfileobj", lambda *_: None)
        with source.open("rb") as other, suppress(OSError):
            place_file(other, tmp_path / "x", parse_filename("b.bin"), token="1")

    monkeypatch.setattr(shutil, "copyfileobj", copy_while_another_node_does)
    with source.open("rb") as file, suppress(OSError):
        place_file(file, tmp_path / "x", NAME, token="1")
    assert not (tmp_path / "x" / "a.bin").exists() or (tmp_path / "x" / "a.bin").read_bytes() == b"content"


@pytest.mark.parametrize("has_second_name", [False, True])
def test_a_file_that_is_in_the_directory_keeps_its_name(tmp_path: Path, source: Path, has_second_name: bool) -> None:
    if has_second_name:
        os.link(source, tmp_path / "second")
    (tmp_path / "way").symlink_to(tmp_path)
    with source.open("rb") as file:
        assert place_file(file, tmp_path / "way", parse_filename("source"), token="1") is None


def test_a_second_name_of_the_file_is_taken_for_an_earlier_attempt(tmp_path: Path, source: Path) -> None:
    (tmp_path / "x").mkdir()
    os.link(source, tmp_path / "x" / "a.bin")
    with source.open("rb") as file:
        assert place_file(file, tmp_path / "x", NAME, token="1") == tmp_path / "x" / "a.bin"


def test_a_link_of_the_name_is_not_followed(tmp_path: Path, source: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.bin").symlink_to(source)
    with source.open("rb") as file:
        assert place_file(file, tmp_path / "x", NAME, token="1") == tmp_path / "x" / "a (1).bin"


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path, source: Path) -> None:
    with source.open("rb") as file, pytest.raises(NotADirectoryError):
        place_file(file, source / "x", NAME, token="1")
