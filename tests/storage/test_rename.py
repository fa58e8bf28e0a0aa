"""Rename that never replaces a file."""

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from downloadd.storage.rename import UNSUPPORTED_ERRNOS, rename_without_replacing


@pytest.fixture
def directory_fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "old").write_bytes(b"old")
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_free_name_is_taken(tmp_path: Path, directory_fd: int) -> None:
    rename_without_replacing(b"old", b"new", directory_fd)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"new": b"old"}


def test_a_free_name_of_another_directory_is_taken(tmp_path: Path, directory_fd: int) -> None:
    (tmp_path / "d").mkdir()
    to_fd = os.open(tmp_path / "d", os.O_RDONLY)
    rename_without_replacing(b"old", b"new", directory_fd, to_fd=to_fd)
    os.close(to_fd)
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["new"]


@pytest.mark.parametrize("kind", ["file", "dangling link", "directory"])
def test_a_taken_name_is_not_replaced(tmp_path: Path, directory_fd: int, kind: str) -> None:
    new = tmp_path / "new"
    match kind:
        case "file":
            new.write_bytes(b"new")
        case "directory":
            new.mkdir()
        case _:
            new.symlink_to("nowhere")
    before = new.lstat()
    with pytest.raises(FileExistsError):
        rename_without_replacing(b"old", b"new", directory_fd)
    assert os.path.samestat(new.lstat(), before)
    assert (tmp_path / "old").read_bytes() == b"old"


def test_another_error_has_its_number(directory_fd: int) -> None:
    with pytest.raises(FileNotFoundError):
        rename_without_replacing(b"missing", b"new", directory_fd)


def test_a_c_library_without_the_call_does_not_support_it(directory_fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    with pytest.raises(OSError, match="not implemented") as caught:
        rename_without_replacing(b"old", b"new", directory_fd)
    assert caught.value.errno == errno.ENOSYS
    assert errno.ENOSYS in UNSUPPORTED_ERRNOS
