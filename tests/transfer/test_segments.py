"""Division of missing ranges among connections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.transfer.segments import MIN_SEGMENT_BYTES, Segment, divide, split

GAPS = st.lists(
    st.tuples(st.integers(0, 5 * MIN_SEGMENT_BYTES), st.integers(1, 9 * MIN_SEGMENT_BYTES)), min_size=1, max_size=5
)


def build_gaps(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return gaps of these distances and lengths, one behind the other."""
    laid, end = [], 0
    for distance, length in gaps:
        start = end + distance
        laid.append((start, start + length))
        end = start + length + 1
    return laid


@given(GAPS, st.integers(1, 16))
def test_segments_fill_the_gaps_exactly_and_have_a_minimum_size(gaps: list[tuple[int, int]], count: int) -> None:
    laid = build_gaps(gaps)
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
        assert (
            min(end - start for start, end in spans if end is not None and (start, end) not in laid)
            >= MIN_SEGMENT_BYTES
        )


def test_all_segments_have_one_size_when_they_are_a_power_of_two() -> None:
    segments = divide([(0, 80 * MIN_SEGMENT_BYTES)], 8)
    assert [(segment.start, segment.end) for segment in segments] == [
        (10 * number * MIN_SEGMENT_BYTES, 10 * (number + 1) * MIN_SEGMENT_BYTES) for number in range(8)
    ]


def test_a_split_takes_half_of_the_unread_bytes_of_the_largest_segment() -> None:
    small, large = Segment(0, 3 * MIN_SEGMENT_BYTES), Segment(100 * MIN_SEGMENT_BYTES, 110 * MIN_SEGMENT_BYTES)
    large.position, large.read_position = 101 * MIN_SEGMENT_BYTES, 102 * MIN_SEGMENT_BYTES
    taken = split([small, large])
    assert taken is not None
    assert (taken.start, taken.position, taken.end) == (
        106 * MIN_SEGMENT_BYTES,
        106 * MIN_SEGMENT_BYTES,
        110 * MIN_SEGMENT_BYTES,
    )
    assert large.end == 106 * MIN_SEGMENT_BYTES


def test_a_short_or_unknown_rest_is_not_split() -> None:
    assert split([]) is None
    assert split([Segment(0, 2 * MIN_SEGMENT_BYTES - 1), Segment(9 * MIN_SEGMENT_BYTES)]) is None


def fetched(start: int, end: int, *, read_position: int, seconds: float) -> Segment:
    """Return a segment that was read up to `read_position` in these seconds, at the time 100."""
    segment = Segment(start, end)
    segment.started_at, segment.read_position, segment.position = 100 - seconds, read_position, read_position
    return segment


def test_a_fast_connection_takes_the_share_that_lets_both_end_together() -> None:
    slow = fetched(0, 41 * MIN_SEGMENT_BYTES, read_position=MIN_SEGMENT_BYTES, seconds=10)
    taken = split([slow], rate=0.9 * MIN_SEGMENT_BYTES, now=100)
    assert taken is not None
    # 40 are left; the slow one makes a tenth, the fast one nine tenths a second.
    assert (taken.start, taken.end) == (slow.end, 41 * MIN_SEGMENT_BYTES)
    assert slow.end == pytest.approx(5 * MIN_SEGMENT_BYTES, rel=0.001)


def test_the_segment_that_would_end_last_is_split_and_not_the_longest() -> None:
    slow = fetched(0, 11 * MIN_SEGMENT_BYTES, read_position=MIN_SEGMENT_BYTES, seconds=10)
    fast = fetched(20 * MIN_SEGMENT_BYTES, 140 * MIN_SEGMENT_BYTES, read_position=120 * MIN_SEGMENT_BYTES, seconds=10)
    taken = split([fast, slow], rate=MIN_SEGMENT_BYTES, now=100)
    assert taken is not None
    assert taken.end == 11 * MIN_SEGMENT_BYTES


def test_a_stalled_segment_is_taken_over_completely() -> None:
    stalled = fetched(0, 2 * MIN_SEGMENT_BYTES, read_position=100, seconds=3)
    taken = split([stalled], rate=MIN_SEGMENT_BYTES, now=100)
    assert taken is not None
    assert (taken.start, taken.end, stalled.end) == (100, 2 * MIN_SEGMENT_BYTES, 100)


def test_few_bytes_are_taken_only_if_that_saves_time() -> None:
    slow = fetched(0, MIN_SEGMENT_BYTES, read_position=MIN_SEGMENT_BYTES // 2, seconds=10)
    assert split([slow], rate=MIN_SEGMENT_BYTES, now=100) is not None
    quick = fetched(0, 3 * MIN_SEGMENT_BYTES, read_position=5 * MIN_SEGMENT_BYTES // 2, seconds=2)
    assert split([quick], rate=2 * MIN_SEGMENT_BYTES, now=100) is None


def test_the_rate_of_a_new_segment_is_unknown() -> None:
    new = fetched(0, 4 * MIN_SEGMENT_BYTES, read_position=0, seconds=0.5)
    assert new.rate(100) is None
    taken = split([new], rate=100 * MIN_SEGMENT_BYTES, now=100)
    assert taken is not None
    assert taken.start == 2 * MIN_SEGMENT_BYTES
