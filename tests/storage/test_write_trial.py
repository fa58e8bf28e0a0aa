"""Trials of what a disk permits."""

import errno
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import pytest

from downloadd.storage.names import format_part_name, parse_filename, parse_part_name
from downloadd.storage.write_trial import detect_invalid_name, try_linking, try_writing

PART = format_part_name(parse_filename("f"), "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b", 1)


@pytest.fixture
def directory_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    def call(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, name, call)


def test_a_directory_that_takes_files_is_left_as_it_was(directory_fd: int, tmp_path: Path) -> None:
    synced: list[int] = []
    try_writing(directory_fd)
    try_writing(directory_fd, synced.append)
    assert list(tmp_path.iterdir()) == []
    assert len(synced) == 1


def test_what_a_kill_leaves_is_a_private_part_file_that_the_sweep_removes(
    directory_fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "unlink", lambda *_, **__: None)
    try_writing(directory_fd)
    [left] = tmp_path.iterdir()
    assert parse_part_name(left.name) is not None
    assert left.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("call", ["open", "write", "unlink"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO, errno.ENOTCONN])
def test_each_refusal_is_an_error(
    directory_fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    refuse(monkeypatch, call, number)
    with pytest.raises(OSError, match=os.strerror(number)):
        try_writing(directory_fd)
    monkeypatch.undo()
    assert (list(tmp_path.iterdir()) == []) is (call != "unlink")


def test_a_refused_sync_is_an_error(directory_fd: int, tmp_path: Path) -> None:
    def sync(fd: int) -> NoReturn:
        raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        try_writing(directory_fd, sync)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["open", "write"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_permits_writes(
    directory_fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    refuse(monkeypatch, call, number)
    try_writing(directory_fd)
    assert list(tmp_path.iterdir()) == []


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EPERM])
def test_a_name_that_alone_is_refused_is_invalid(directory_fd: int, number: int) -> None:
    with pytest.raises(OSError, match="does not support the name") as caught, detect_invalid_name(directory_fd):
        raise OSError(number, os.strerror(number))
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_directory_that_refuses_every_name_says_why(
    directory_fd: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, "open", number)
    with pytest.raises(PermissionError) as caught, detect_invalid_name(directory_fd):
        raise OSError(number, os.strerror(number))
    assert caught.value.errno == number


def test_a_removed_directory_says_so(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    fd = os.open(tmp_path / "d", os.O_RDONLY)
    (tmp_path / "d").rmdir()
    try:
        with pytest.raises(FileNotFoundError), detect_invalid_name(fd):
            os.open(b"f", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("exists", [True, False])
def test_a_missing_source_does_not_make_the_new_name_invalid(directory_fd: int, tmp_path: Path, exists: bool) -> None:
    if exists:
        (tmp_path / PART).touch()
    expected: Any = OSError if exists else FileNotFoundError
    with pytest.raises(expected) as caught, detect_invalid_name(directory_fd, source=(PART, directory_fd)):
        raise FileNotFoundError(errno.ENOENT, "no such file")
    assert (caught.value.errno == errno.EINVAL) is exists


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EEXIST])
def test_other_errors_stay_what_they_are(directory_fd: int, number: int) -> None:
    with pytest.raises(OSError) as caught, detect_invalid_name(directory_fd):  # noqa: PT011 - by its number
        raise OSError(number, os.strerror(number))
    assert caught.value.errno == number


def test_a_trial_of_hard_links_leaves_nothing(
    directory_fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_linking(directory_fd)
    for number in (errno.EPERM, errno.ENOSPC):

        def refuse(*names: object, number: int = number, **options: object) -> NoReturn:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "link", refuse)
        # A full disk need not lack links.
        with pytest.raises(PermissionError) if number == errno.EPERM else nullcontext():
            try_linking(directory_fd)
    assert list(tmp_path.iterdir()) == []
