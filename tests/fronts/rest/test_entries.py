"""Answers made from downloads."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sample_downloads import sample_download

from downloadd.download import Snapshot
from downloadd.errors import ErrorCode
from downloadd.fronts.rest.entries import (
    compute_percentage,
    make_active_entry,
    make_start_response,
)
from downloadd.states import State


@pytest.mark.parametrize(
    ("current", "expected", "shown"),
    [
        (0, None, None),
        (7, None, None),
        (0, 0, 100.0),
        (0, 3, 0.0),
        (1, 3, 33.33),
        (2, 3, 66.66),
        (99_999_999, 100_000_000, 99.99),
        (3, 3, 100.0),
        (4, 3, 100.0),
    ],
)
def test_progress_is_never_rounded_up(current: int, expected: int | None, shown: float | None) -> None:
    assert compute_percentage(current, expected) == shown


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_only_the_last_byte_makes_a_hundred_percent(current: int, expected: int) -> None:
    shown = compute_percentage(current, expected)
    assert shown is not None
    assert 0 <= shown <= 100
    if expected < 10**15:
        assert (shown == 100) == (current >= expected)


@pytest.mark.parametrize("eta", [math.inf, math.nan])
def test_a_time_that_is_no_number_is_unknown(eta: float) -> None:
    assert make_active_entry(Snapshot(download=sample_download(), eta=eta)).eta is None


@given(st.sampled_from(State), st.sampled_from([None, *ErrorCode]))
def test_an_answer_has_an_error_exactly_when_it_is_no_success(state: State, error: ErrorCode | None) -> None:
    answer = make_start_response(sample_download(state=state, error=error))
    assert answer.success is (answer.error is None)
    assert answer.success is (state not in {State.FAILED, State.CANCELLED})
