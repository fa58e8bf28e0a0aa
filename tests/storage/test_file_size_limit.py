"""Largest file that the file system and the limits of the process allow."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.small_disk import mounted_image

from downloadd.errors import FileTooLargeForDiskError
from downloadd.storage.file_size_limit import (
    SMALLEST_FILE_SYSTEM_LIMIT,
    check_file_system_limit,
    check_process_limit,
)

GIB = 1 << 30


@pytest.fixture
def limit_of_ten_bytes() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def ext2(tmp_path: Path) -> Iterator[Path]:
    """Mount a small ext2 disk with blocks of 1,024 bytes, on which a file has at most 16 GiB and 64 MiB."""
    with mounted_image(tmp_path, 1 << 20, ["mkfs.ext2", "-q", "-b", "1024"], []) as place:
        yield place


@pytest.mark.usefixtures("limit_of_ten_bytes")
def test_the_limit_of_the_process_is_checked() -> None:
    check_process_limit(10)
    with pytest.raises(
        FileTooLargeForDiskError, match=r"the file of 11 bytes is too large .* 10 bytes \(RLIMIT_FSIZE\)"
    ):
        check_process_limit(11)


def test_a_process_without_a_limit_may_write_any_file() -> None:
    check_process_limit(1 << 62)


@pytest.mark.system
def test_a_file_system_is_asked_for_its_largest_file(ext2: Path) -> None:
    fd = os.open(ext2 / "f", os.O_RDWR | os.O_CREAT)
    try:
        os.write(fd, b"abc")
        for size in (0, SMALLEST_FILE_SYSTEM_LIMIT, 4 * GIB, 16 * GIB):
            check_file_system_limit(fd, size)
        with pytest.raises(FileTooLargeForDiskError, match="too large for the file system"):
            check_file_system_limit(fd, 17 * GIB)
        assert os.fstat(fd).st_size == 3, "the file is not changed"
        assert os.fstat(fd).st_blocks <= 2
    finally:
        os.close(fd)


def test_a_size_beyond_all_file_systems_is_too_large(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    try:
        with pytest.raises(FileTooLargeForDiskError):
            check_file_system_limit(fd, 1 << 63)
    finally:
        os.close(fd)
