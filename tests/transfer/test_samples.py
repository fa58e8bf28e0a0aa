from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.transfer.samples import (
    MAX_CANDIDATES,
    SAMPLE_BYTES,
    SAMPLE_COUNT,
    Place,
    is_distinctive,
    propose_places,
    select_places,
)

RANDOM = st.lists(st.floats(0, 1, exclude_max=True), min_size=MAX_CANDIDATES, max_size=MAX_CANDIDATES)


@given(end=st.integers(1, 1 << 40), random=RANDOM)
def test_places_are_disjoint_and_inside(end: int, random: list[float]) -> None:
    places = propose_places(end, random)
    assert 1 <= len(places) <= MAX_CANDIDATES
    position = 0
    for start, stop in places:
        assert position <= start < stop <= end
        assert stop - start <= SAMPLE_BYTES
        position = stop


@given(end=st.integers(1, SAMPLE_COUNT * SAMPLE_BYTES), random=RANDOM)
def test_few_bytes_are_compared_completely(end: int, random: list[float]) -> None:
    places = propose_places(end, random)
    assert sum(stop - start for start, stop in places) == end
    # Then it does not matter what they are.
    assert select_places(end, places, []) == places


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(SAMPLE_BYTES), False),
        (b"\xff" * SAMPLE_BYTES, False),
        (bytes(SAMPLE_BYTES - 4) + b"data", False),
        (bytes(range(256)) * (SAMPLE_BYTES // 256), False),
        (b"0123456789abcdef\n" * (SAMPLE_BYTES // 17), False),
        (Random(1).randbytes(SAMPLE_BYTES), True),
        (bytes(SAMPLE_BYTES // 2) + Random(1).randbytes(SAMPLE_BYTES // 2), True),
        ("".join(f"{number}: {number * number}\n" for number in range(1500)).encode(), True),
    ],
)
def test_bytes_that_repeat_prove_nothing(data: bytes, expected: bool) -> None:
    assert is_distinctive(data) is expected


def test_the_selected_places_are_far_from_each_other() -> None:
    end = 100 * SAMPLE_BYTES
    places = propose_places(end, [0.5] * MAX_CANDIDATES)
    assert select_places(end, places, places) == [places[0], places[12], places[-1]]
    some: list[Place] = places[4:7]
    assert select_places(end, places, some) == some
    assert select_places(end, places, some[1:]) is None
