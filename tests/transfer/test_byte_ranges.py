"""Sets of byte ranges, against sets of bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.transfer.byte_ranges import ByteRanges

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


def build_ranges(ranges: list[tuple[int, int]]) -> tuple[ByteRanges, set[int]]:
    found, bytes_ = ByteRanges(), set[int]()
    for start, end in ranges:
        found.add(start, end)
        bytes_ |= set(range(start, end))
    return found, bytes_


@given(RANGES)
def test_added_bytes_are_kept_in_order_and_disjoint(ranges: list[tuple[int, int]]) -> None:
    found, bytes_ = build_ranges(ranges)
    assert {byte for start, end in found for byte in range(start, end)} == bytes_
    assert found.size == len(bytes_)
    assert found.end == max(bytes_, default=-1) + 1
    edges = [edge for one in found for edge in one]
    assert edges == sorted(set(edges))


@given(RANGES, st.integers(0, 70))
def test_gaps_are_the_missing_bytes(ranges: list[tuple[int, int]], total: int) -> None:
    found, bytes_ = build_ranges([(start, min(end, total)) for start, end in ranges])
    gaps = found.gaps(total)
    assert {byte for start, end in gaps for byte in range(start, end)} == set(range(total)) - bytes_
    assert all(start < end for start, end in gaps)


@given(RANGES)
def test_formatted_ranges_are_parsed_again(ranges: list[tuple[int, int]]) -> None:
    found, _ = build_ranges(ranges)
    assert ByteRanges.parse(found.format()) == found


@pytest.mark.parametrize("text", ["1", "1-", "-1", "1-2,", "a-b", "1-2;3-4", " 1-2", "1-2\n"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not byte ranges"):
        ByteRanges.parse(text)


def test_the_bytes_before_an_offset_are_cut_there() -> None:
    ranges = ByteRanges.parse("2-5,7-9")
    assert [ranges.up_to(end).format() for end in (0, 2, 4, 6, 8, 20)] == ["", "", "2-4", "2-5", "2-5,7-8", "2-5,7-9"]
