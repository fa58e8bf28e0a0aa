"""Who fetches which bytes."""

import pytest
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


def fetched(start: int, end: int, *, reach: int, seconds: float) -> Segment:
    """A segment that has come so far in so many seconds until the moment 100."""
    segment = Segment(start, end)
    segment.begun, segment.reach, segment.position = 100 - seconds, reach, reach
    return segment


def test_a_fast_connection_takes_what_lets_both_end_together() -> None:
    slow = fetched(0, 41 * LEAST, reach=LEAST, seconds=10)
    taken = split([slow], rate=0.9 * LEAST, now=100)
    assert taken is not None
    # 40 are left; the slow one makes a tenth, the fast one nine tenths a second.
    assert (taken.start, taken.end) == (slow.end, 41 * LEAST)
    assert slow.end == pytest.approx(5 * LEAST, rel=0.001)


def test_it_takes_from_the_one_that_would_end_last_and_not_from_the_one_with_most() -> None:
    slow = fetched(0, 11 * LEAST, reach=LEAST, seconds=10)
    fast = fetched(20 * LEAST, 140 * LEAST, reach=120 * LEAST, seconds=10)
    taken = split([fast, slow], rate=LEAST, now=100)
    assert taken is not None
    assert taken.end == 11 * LEAST


def test_a_stalled_one_keeps_nothing() -> None:
    stalled = fetched(0, 2 * LEAST, reach=100, seconds=3)
    taken = split([stalled], rate=LEAST, now=100)
    assert taken is not None
    assert (taken.start, taken.end, stalled.end) == (100, 2 * LEAST, 100)


def test_little_is_taken_only_where_that_saves_time() -> None:
    slow = fetched(0, LEAST, reach=LEAST // 2, seconds=10)
    assert split([slow], rate=LEAST, now=100) is not None
    quick = fetched(0, 3 * LEAST, reach=5 * LEAST // 2, seconds=2)
    assert split([quick], rate=2 * LEAST, now=100) is None


def test_nothing_is_said_of_the_speed_of_one_that_has_just_begun() -> None:
    new = fetched(0, 4 * LEAST, reach=0, seconds=0.5)
    assert new.rate(100) is None
    taken = split([new], rate=100 * LEAST, now=100)
    assert taken is not None
    assert taken.start == 2 * LEAST
