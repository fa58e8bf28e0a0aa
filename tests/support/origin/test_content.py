import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.origin.content import PATTERN_SIZE, expected_bytes, expected_sha256

OFFSETS = st.integers(0, 20 * PATTERN_SIZE)


@given(
    seed=st.integers(0, 3),
    start=OFFSETS,
    first=st.integers(0, 10 * PATTERN_SIZE),
    second=st.integers(0, 10 * PATTERN_SIZE),
)
def test_two_neighbouring_ranges_make_the_range_over_both(seed: int, start: int, first: int, second: int) -> None:
    middle, end = start + first, start + first + second
    assert expected_bytes(seed, start, middle) + expected_bytes(seed, middle, end) == expected_bytes(seed, start, end)
    assert len(expected_bytes(seed, start, end)) == first + second


def test_a_range_is_the_slice_of_the_whole() -> None:
    whole = expected_bytes(5, 0, 12 * PATTERN_SIZE)
    assert (
        expected_bytes(5, 3 * PATTERN_SIZE + 7, 3 * PATTERN_SIZE + 99)
        == whole[3 * PATTERN_SIZE + 7 : 3 * PATTERN_SIZE + 99]
    )


@pytest.mark.parametrize("size", [0, 1, PATTERN_SIZE - 1, PATTERN_SIZE, 8 * PATTERN_SIZE, 17 * PATTERN_SIZE + 5])
def test_the_digest_is_that_of_the_bytes(size: int) -> None:
    assert expected_sha256(2, size) == hashlib.sha256(expected_bytes(2, 0, size)).hexdigest()


def test_another_seed_has_other_bytes_in_every_range() -> None:
    for start in range(0, PATTERN_SIZE, 4096):
        assert expected_bytes(1, start, start + 16) != expected_bytes(2, start, start + 16)


def test_an_empty_range_has_no_bytes() -> None:
    assert expected_bytes(1, 10, 10) == b""
    assert expected_bytes(1, 10, 5) == b""
