import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from origin.content import PERIOD, expected_bytes, expected_sha256

OFFSETS = st.integers(0, 20 * PERIOD)


@given(seed=st.integers(0, 3), start=OFFSETS, first=st.integers(0, 10 * PERIOD), second=st.integers(0, 10 * PERIOD))
def test_two_neighbouring_ranges_make_the_range_over_both(seed: int, start: int, first: int, second: int) -> None:
    middle, end = start + first, start + first + second
    assert expected_bytes(seed, start, middle) + expected_bytes(seed, middle, end) == expected_bytes(seed, start, end)
    assert len(expected_bytes(seed, start, end)) == first + second


def test_a_range_is_the_slice_of_the_whole() -> None:
    whole = expected_bytes(5, 0, 12 * PERIOD)
    assert expected_bytes(5, 3 * PERIOD + 7, 3 * PERIOD + 99) == whole[3 * PERIOD + 7 : 3 * PERIOD + 99]


@pytest.mark.parametrize("size", [0, 1, PERIOD - 1, PERIOD, 8 * PERIOD, 17 * PERIOD + 5])
def test_the_digest_is_that_of_the_bytes(size: int) -> None:
    assert expected_sha256(2, size) == hashlib.sha256(expected_bytes(2, 0, size)).hexdigest()


def test_another_seed_gives_other_bytes_in_every_stretch() -> None:
    for start in range(0, PERIOD, 4096):
        assert expected_bytes(1, start, start + 16) != expected_bytes(2, start, start + 16)


def test_an_empty_range_has_no_bytes() -> None:
    assert expected_bytes(1, 10, 10) == b""
    assert expected_bytes(1, 10, 5) == b""
