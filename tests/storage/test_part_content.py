"""Buffers of one write, and copies; the bytes of a part file are tested in `test_part_file.py`."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.storage.part_content import COPY_BLOCK_BYTES, MAX_BUFFERS_PER_WRITE, copy_bytes, first_bytes


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=30), st.integers(1, 200))
def test_the_first_bytes_are_a_prefix_of_at_most_the_limit(pieces: list[bytes], limit: int) -> None:
    first = b"".join(first_bytes(map(memoryview, pieces), limit))
    assert first == b"".join(pieces)[:limit]


@pytest.mark.parametrize("count", [MAX_BUFFERS_PER_WRITE, MAX_BUFFERS_PER_WRITE + 1])
def test_the_kernel_gets_no_more_buffers_than_it_accepts(count: int) -> None:
    assert len(first_bytes([memoryview(b"x")] * count, 1 << 20)) == MAX_BUFFERS_PER_WRITE


@pytest.mark.parametrize(
    "outcome", ["by the kernel", "nothing", errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP]
)
def test_bytes_are_copied_on_every_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str | int
) -> None:
    content = os.urandom(2 * COPY_BLOCK_BYTES)
    (tmp_path / "source").write_bytes(content)

    def copy(*_: int) -> int:
        if isinstance(outcome, int):
            raise OSError(outcome, os.strerror(outcome))
        return 0

    if outcome != "by the kernel":
        monkeypatch.setattr(os, "copy_file_range", copy)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "copy").open("wb+") as target:
        position = 5
        while copied := copy_bytes(source.fileno(), target.fileno(), position, len(content) - 3 - position):
            position += copied
    assert position == len(content) - 3
    assert (tmp_path / "copy").read_bytes() == bytes(5) + content[5:-3]


def test_another_error_of_a_copy_is_raised(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"abc")
    with (tmp_path / "source").open("rb") as source, pytest.raises(OSError, match="Bad file descriptor"):
        copy_bytes(source.fileno(), source.fileno(), 0, 3)
