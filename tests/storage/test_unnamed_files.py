"""Unnamed files: written, linked in batches, never replacing, and nothing left of those that are not linked."""

import errno
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.waiting import CONDITION_TIMEOUT

from downloadd.storage.unnamed_files import Content, Link, UnnamedFiles, WrittenFile, serve

OLD_TIME = 1_000_000_000


@pytest.fixture
def directory_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def content(token: int, data: bytes = b"bytes", *, modified: int | None = None) -> Content:
    return Content(token, data, 0o640, None, modified)


def write(files: UnnamedFiles, directory_fd: int, *contents: Content) -> list[WrittenFile]:
    written = [one for one in files.write(directory_fd, contents, fsync=True) if isinstance(one, WrittenFile)]
    assert len(written) == len(contents)
    return written


def test_files_have_no_name_before_they_are_linked(tmp_path: Path, directory_fd: int) -> None:
    files = UnnamedFiles()
    first, second = write(files, directory_fd, content(1, b"one", modified=OLD_TIME), content(2, b""))
    assert os.listdir(tmp_path) == []
    assert files.link(directory_fd, [Link(1, "a", first), Link(2, "b", second)], fsync=True) == [0, 0]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"one", "b": b""}
    status = (tmp_path / "a").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime, status.st_nlink) == (0o640, OLD_TIME, 1)
    assert first == WrittenFile(status.st_ino, 3, status.st_mtime_ns)


def test_a_name_that_is_taken_keeps_its_file_and_the_others_are_linked(tmp_path: Path, directory_fd: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    files = UnnamedFiles()
    first, second = write(files, directory_fd, content(1), content(2))
    links = [Link(1, "a", first), Link(2, "b", second), Link(3, "c", second)]
    assert files.link(directory_fd, links, fsync=True) == [errno.EEXIST, 0, errno.ESTALE]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old", "b": b"bytes"}


def test_one_that_fails_is_reported_and_the_others_are_written(
    tmp_path: Path, directory_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.pwrite

    def fail(fd: int, data: bytes, offset: int) -> int:
        if data == b"bad":
            raise OSError(errno.ENOSPC, "no space")
        # A disk may write less than it is given.
        return original(fd, data[:2], offset)

    monkeypatch.setattr(os, "pwrite", fail)
    files = UnnamedFiles()
    good, bad = files.write(directory_fd, [content(1), content(2, b"bad")], fsync=True)
    assert isinstance(good, WrittenFile)
    assert bad == errno.ENOSPC
    assert files.link(directory_fd, [Link(1, "a", good)], fsync=True) == [0]
    assert (tmp_path / "a").read_bytes() == b"bytes"


def test_a_file_that_cannot_be_synced_is_not_written(
    tmp_path: Path, directory_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fsync", fail)
    files = UnnamedFiles()
    assert files.write(directory_fd, [content(1)], fsync=True) == [errno.EIO]
    assert os.listdir(tmp_path) == []


def test_names_that_cannot_be_synced_are_removed(
    tmp_path: Path, directory_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").write_bytes(b"old")
    files = UnnamedFiles()
    first, second = write(files, directory_fd, content(1), content(2))

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fsync", fail)
    links = [Link(1, "a", first), Link(2, "old", second)]
    assert files.link(directory_fd, links, fsync=True) == [errno.EIO, errno.EEXIST]
    assert os.listdir(tmp_path) == ["old"]


def test_a_link_that_was_made_before_is_recognised_by_its_identity(tmp_path: Path, directory_fd: int) -> None:
    files = UnnamedFiles()
    (written,) = write(files, directory_fd, content(1))
    assert files.link(directory_fd, [Link(1, "a", written)], fsync=True) == [0]
    assert UnnamedFiles().link(directory_fd, [Link(1, "a", written)], fsync=True) == [0]
    (tmp_path / "a").rename(tmp_path / "moved")
    (tmp_path / "a").write_bytes(b"bytes")
    assert UnnamedFiles().link(directory_fd, [Link(1, "a", written)], fsync=True) == [errno.ESTALE]


def test_discarded_files_leave_nothing(tmp_path: Path, directory_fd: int) -> None:
    before = set(os.listdir("/proc/self/fd"))
    files = UnnamedFiles()
    (written,) = write(files, directory_fd, content(1))
    files.discard([1, 7])
    assert files.link(directory_fd, [Link(1, "a", written)], fsync=True) == [errno.ESTALE]
    assert os.listdir(tmp_path) == []
    assert set(os.listdir("/proc/self/fd")) <= before


def test_nothing_is_linked_for_a_daemon_that_is_gone(tmp_path: Path, directory_fd: int) -> None:
    files = UnnamedFiles(is_abandoned=lambda: True)
    (written,) = write(files, directory_fd, content(1))
    assert files.link(directory_fd, [Link(1, "a", written)], fsync=True) == [errno.ECANCELED]
    assert os.listdir(tmp_path) == []


def test_the_program_ends_with_its_connection() -> None:
    own, other = socket.socketpair()
    with other:
        thread = threading.Thread(target=serve, args=(other,))
        thread.start()
        own.close()
        thread.join(CONDITION_TIMEOUT)
        assert not thread.is_alive()
