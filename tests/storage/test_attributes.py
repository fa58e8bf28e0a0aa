"""Modes, owners and times of files, as far as the disk supports them."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from structlog.testing import capture_logs

from downloadd.storage.attributes import FileAttributes

REFUSALS = [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EACCES, errno.EROFS, errno.EIO]


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT, 0o600)
    yield fd
    os.close(fd)


def refuse_all(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    for name in ("fchown", "fchmod", "utime"):
        monkeypatch.setattr(os, name, refuse)


def set_all(attributes: FileAttributes, fd: int, path: str = "d/f") -> None:
    attributes.set_owner(fd, (os.geteuid(), os.getegid()), path)
    attributes.set_mode(fd, 0o640, path, is_configured=True)
    attributes.set_times(fd, path, accessed_ns=10**9, modified_ns=2 * 10**9)


def test_attributes_are_set(fd: int) -> None:
    with capture_logs() as lines:
        set_all(FileAttributes(), fd)
    status = os.fstat(fd)
    assert (stat.S_IMODE(status.st_mode), status.st_atime, status.st_mtime) == (0o640, 1.0, 2.0)
    assert lines == []


@pytest.mark.parametrize("number", REFUSALS, ids=lambda number: errno.errorcode[number])
def test_a_refusal_of_any_kind_is_no_error(fd: int, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    refuse_all(monkeypatch, number)
    with capture_logs() as lines:
        set_all(FileAttributes(), fd)
    assert [(line["attribute"], line["log_level"], line["path"], line["reason"]) for line in lines] == [
        ("owner", "warning", "d/f", os.strerror(number)),
        ("mode", "warning", "d/f", os.strerror(number)),
        ("time", "info", "d/f", os.strerror(number)),
    ]


def test_a_refusal_is_logged_once_for_each_file_system(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_all(monkeypatch, errno.EPERM)
    attributes = FileAttributes()
    with capture_logs() as lines:
        for number in range(3):
            set_all(attributes, fd, f"d/{number}")
    assert [line["path"] for line in lines] == ["d/0"] * 3
    other = os.open("/proc/self/mounts", os.O_RDONLY)
    try:
        with capture_logs() as lines:
            set_all(attributes, other)
    finally:
        os.close(other)
    assert len(lines) == 3


def test_a_mode_of_the_daemon_s_own_is_refused_without_a_warning(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_all(monkeypatch, errno.EPERM)
    with capture_logs() as lines:
        FileAttributes().set_mode(fd, 0o644, "f", is_configured=False)
    assert [line["log_level"] for line in lines] == ["info"]
