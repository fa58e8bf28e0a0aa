"""Instants that clients state."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.instants import MAX_INSTANT, format_instant, parse_instant


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-12-24T18:00:00+01:00", 1_798_131_600),
        ("2026-12-24T17:00:00Z", 1_798_131_600),
        ("2026-12-24 17:00Z", 1_798_131_600),
        ("1798131600", 1_798_131_600),
        ("1798131600.5", 1_798_131_600.5),
        (1_798_131_600, 1_798_131_600),
        (0.5, 0.5),
    ],
)
def test_a_time_is_read(value: str | float, expected: float) -> None:
    assert parse_instant(value) == expected


@pytest.mark.parametrize("value", ["", "soon", "18:00", "2026-13-01T00:00Z", "1e9", "-5", "\u0661", "9" * 30])
def test_another_text_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="expected a time with its time zone"):
        parse_instant(value)


def test_a_time_without_a_time_zone_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="append Z for UTC"):
        parse_instant("2026-12-24T18:00")


@pytest.mark.parametrize("value", [-1, MAX_INSTANT + 1, math.inf, math.nan, "1950-01-01T00:00:00Z"])
def test_a_time_of_another_age_is_refused(value: str | float) -> None:
    with pytest.raises(ValueError, match="not in the years"):
        parse_instant(value)


@given(st.integers(0, MAX_INSTANT))
def test_a_time_that_is_shown_can_be_read(instant: int) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(st.text() | st.floats())
def test_each_value_is_read_or_refused(value: str | float) -> None:
    with suppress(ValueError):
        assert 0 <= parse_instant(value) <= MAX_INSTANT
