"""Windows of the lists of waiting and ended downloads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.fronts.aria2.methods.windows import MAX_ROWS, resolve_window


def select(rows: list[int], offset: int, num: int) -> list[int]:
    window = resolve_window(offset, num, len(rows))
    section = rows[window.start : window.start + window.count]
    return section[::-1] if window.is_backwards else section


@pytest.mark.parametrize(
    ("offset", "num", "expected"),
    [
        (0, 2, [0, 1]),
        (3, 10, [3, 4]),
        (5, 1, []),
        (0, 0, []),
        (-1, 3, [4, 3, 2]),
        (-2, 2, [3, 2]),
        (-5, 9, [0]),
        (-6, 9, []),
        (-1, 0, []),
        (-1, 1000, [4, 3, 2, 1, 0]),
    ],
)
def test_a_negative_offset_counts_from_the_end_and_goes_backwards(offset: int, num: int, expected: list[int]) -> None:
    assert select([0, 1, 2, 3, 4], offset, num) == expected


@given(total=st.integers(0, 30), offset=st.integers(-40, 40), num=st.integers(0, 40))
def test_a_window_is_that_of_a_walk_through_the_list(total: int, offset: int, num: int) -> None:
    rows = list(range(total))
    step, index = (1, offset) if offset >= 0 else (-1, total + offset)
    walked: list[int] = []
    while 0 <= index < total and len(walked) < num:
        walked.append(rows[index])
        index += step
    assert select(rows, offset, num) == walked


@given(offset=st.integers(-(2**62), 2**62), num=st.integers(0, 2**62), total=st.integers(0, 2**40))
def test_a_window_is_bounded(offset: int, num: int, total: int) -> None:
    window = resolve_window(offset, num, total)
    assert 0 <= window.count <= min(num, MAX_ROWS)
    assert window.start >= 0


def test_the_total_has_no_effect_on_an_offset_from_the_start() -> None:
    assert resolve_window(7, 5, 0) == resolve_window(7, 5, 100)
