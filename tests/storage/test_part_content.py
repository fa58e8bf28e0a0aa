"""Buffers of one write; the bytes of a part file are tested in `test_part_file.py`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.storage.part_content import MAX_BUFFERS_PER_WRITE, first_bytes


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=30), st.integers(1, 200))
def test_the_first_bytes_are_a_prefix_of_at_most_the_limit(pieces: list[bytes], limit: int) -> None:
    first = b"".join(first_bytes(map(memoryview, pieces), limit))
    assert first == b"".join(pieces)[:limit]


@pytest.mark.parametrize("count", [MAX_BUFFERS_PER_WRITE, MAX_BUFFERS_PER_WRITE + 1])
def test_the_kernel_gets_no_more_buffers_than_it_accepts(count: int) -> None:
    assert len(first_bytes([memoryview(b"x")] * count, 1 << 20)) == MAX_BUFFERS_PER_WRITE
