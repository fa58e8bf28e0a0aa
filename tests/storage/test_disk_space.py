"""Space of real file systems."""

import errno
import os
from pathlib import Path

import pytest

from downloadd.storage.disk_space import UNSTATED_BYTES, DiskSpace, measure_disk_space

UNSTATED = DiskSpace(free=UNSTATED_BYTES, capacity=UNSTATED_BYTES)


def test_the_space_is_that_of_the_file_system(tmp_path: Path) -> None:
    space = measure_disk_space(tmp_path)
    assert 0 < space.free <= space.capacity


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_states_no_space_is_full_when_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: object) -> os.statvfs_result:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "statvfs", refuse)
    assert measure_disk_space(tmp_path) == UNSTATED


def test_another_error_is_raised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        measure_disk_space(tmp_path / "missing")
