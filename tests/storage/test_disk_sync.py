"""Syncs to stable storage, where a file system has them."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from structlog.testing import capture_logs

from downloadd.storage.disk_sync import UNSUPPORTED_ERRNOS, DiskSync


@pytest.fixture
def fds(tmp_path: Path) -> Iterator[tuple[int, int]]:
    file = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT, 0o600)
    directory = os.open(tmp_path, os.O_RDONLY)
    yield file, directory
    os.close(file)
    os.close(directory)


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def sync(fd: int) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "fdatasync", sync)


def test_files_and_directories_are_synced(fds: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(("fsync", fd)))
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(("fdatasync", fd)))
    for is_enabled in (True, False):
        disk_sync = DiskSync(is_enabled=is_enabled)
        disk_sync.sync(fds[0])
        disk_sync.sync(fds[1])
        disk_sync.sync_data(fds[0])
    assert synced == [("fsync", fds[0]), ("fsync", fds[1]), ("fdatasync", fds[0])]


@pytest.mark.parametrize("number", sorted(UNSUPPORTED_ERRNOS), ids=lambda number: errno.errorcode[number])
def test_a_file_system_without_syncs_is_logged_once(
    fds: tuple[int, int], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, number)
    disk_sync = DiskSync(is_enabled=True)
    with capture_logs() as lines:
        for _ in range(2):
            disk_sync.sync(fds[0])
            disk_sync.sync_data(fds[0])
            disk_sync.sync(fds[1])
    assert [(line["event"], line["kind"], line["log_level"]) for line in lines] == [
        ("sync_unsupported", "file", "warning"),
        ("sync_unsupported", "directory", "warning"),
    ]


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EROFS], ids=errno.errorcode.__getitem__
)
def test_bytes_that_did_not_reach_the_disk_are_an_error(
    fds: tuple[int, int], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, number)
    disk_sync = DiskSync(is_enabled=True)
    for sync in (disk_sync.sync, disk_sync.sync_data):
        with pytest.raises(OSError, match=os.strerror(number)):
            sync(fds[0])


def test_a_closed_descriptor_is_an_error(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        DiskSync(is_enabled=True).sync(fd)
