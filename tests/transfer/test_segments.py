"""Who fetches which bytes."""

from hypothesis import given
from hypothesis import strategies as st

from downloadd.transfer.segments import LEAST, Segment, divide, split

GAPS = st.lists(st.tuples(st.integers(0, 5 * LEAST), st.integers(1, 9 * LEAST)), min_size=1, max_size=5)


def laid_out(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Gaps of these distances and lengths, one behind the other."""
    laid, end = [], 0
    for distance, length in gaps:
        start = end + distance
        laid.append((start, start + length))
        end = start + length + 1
    return laid


@given(GAPS, st.integers(1, 16))
def test_segments_fill_the_gaps_exactly_and_are_worth_their_connections(
    gaps: list[tuple[int, int]], count: int
) -> None:
    laid = laid_out(gaps)
    segments = divide(laid, count)
    assert len(segments) <= max(count, len(laid))
    spans = [(segment.start, segment.end) for segment in segments]
    assert spans == sorted(spans)
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        assert end is not None
        assert start < end
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    assert merged == laid
    if len(segments) > len(laid):
        assert min(end - start for start, end in spans if end is not None and (start, end) not in laid) >= LEAST


def test_all_are_of_one_size_when_they_are_a_power_of_two() -> None:
    segments = divide([(0, 80 * LEAST)], 8)
    assert [(segment.start, segment.end) for segment in segments] == [
        (10 * number * LEAST, 10 * (number + 1) * LEAST) for number in range(8)
    ]


def test_half_of_what_is_left_of_the_largest_is_taken_and_nothing_that_is_on_its_way() -> None:
    small, large = Segment(0, 3 * LEAST), Segment(100 * LEAST, 110 * LEAST)
    large.position, large.reach = 101 * LEAST, 102 * LEAST
    taken = split([small, large])
    assert taken is not None
    assert (taken.start, taken.position, taken.end) == (106 * LEAST, 106 * LEAST, 110 * LEAST)
    assert large.end == 106 * LEAST


def test_what_is_too_little_or_unknown_is_not_divided() -> None:
    assert split([]) is None
    assert split([Segment(0, 2 * LEAST - 1), Segment(9 * LEAST)]) is None
