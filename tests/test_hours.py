"""Hours of the week, with daylight saving."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downloadd.hours import DAYS, Hours, find_holding, next_change, parse_hours, parse_time_zone

BERLIN = ZoneInfo("Europe/Berlin")
WORK = Hours.parse("08:00-18:00", DAYS[:5], "Europe/Berlin")
NIGHT = Hours.parse("22:00-06:00", ("fri",), "Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN, *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("time", "holds"),
    [
        ("2026-12-01 08:00", True),
        ("2026-12-01 07:59:59", False),
        ("2026-12-01 17:59:59", True),
        ("2026-12-01 18:00", False),
        ("2026-12-05 12:00", False),
    ],
)
def test_the_begin_belongs_to_the_hours_and_the_end_does_not(time: str, holds: bool) -> None:
    assert WORK.hold(at(time)) is holds


@pytest.mark.parametrize(
    ("time", "holds"),
    [
        ("2026-12-04 21:59", False),
        ("2026-12-04 22:00", True),
        ("2026-12-05 05:59", True),
        ("2026-12-05 06:00", False),
        ("2026-12-04 05:00", False),
        ("2026-12-05 23:00", False),
    ],
)
def test_hours_over_midnight_belong_to_the_day_on_which_they_begin(time: str, holds: bool) -> None:
    assert NIGHT.hold(at(time)) is holds


def test_the_whole_day_has_no_end() -> None:
    assert next_change([Hours.parse("00:00-24:00")], at("2026-12-01 12:00")) is None
    assert next_change([], 0) is None


def test_hours_that_no_clock_shows_do_not_occur() -> None:
    # On 29 March 2026, clocks go from 02:00 to 03:00.
    missing = Hours.parse("02:10-02:50", DAYS, "Europe/Berlin")
    assert next_change([missing], at("2026-03-28 02:50")) == at("2026-03-30 02:10")
    partly = Hours.parse("02:30-03:30", DAYS, "Europe/Berlin")
    before = at("2026-03-29 01:59:59")
    assert not partly.hold(before)
    assert partly.hold(before + 1)
    assert next_change([partly], before) == before + 1
    assert next_change([partly], before + 1) == at("2026-03-29 03:30")


def test_hours_that_clocks_show_twice_hold_twice() -> None:
    # On 25 October 2026, clocks go from 03:00 back to 02:00.
    hours = [Hours.parse("02:10-02:50", DAYS, "Europe/Berlin")]
    times = [at("2026-10-25 02:00")]
    for _ in range(4):
        change = next_change(hours, times[-1])
        assert change is not None
        times.append(change)
    first, second = at("2026-10-25 02:10"), at("2026-10-25 02:10", fold=1)
    assert times[1:] == [first, first + 2400, second, second + 2400]
    assert second == first + 3600


def test_hours_through_the_double_hour_hold_once_and_longer() -> None:
    hours = [Hours.parse("01:00-04:00", DAYS, "Europe/Berlin")]
    begin = at("2026-10-25 01:00")
    assert next_change(hours, begin) == begin + 4 * 3600


def test_the_first_hours_that_hold_have_precedence() -> None:
    noon, whole = Hours.parse("12:00-13:00"), Hours.parse("00:00-24:00")
    assert [find_holding([noon, whole], hour * 3600) for hour in (11, 12, 13)] == [1, 0, 1]
    assert next_change([noon, whole], 11 * 3600) == 12 * 3600
    assert find_holding([noon], 0) is None


CLOCK_CHANGES = {"Europe/Berlin": "2026-10-25", "America/New_York": "2026-03-08", "Australia/Lord_Howe": "2026-04-05"}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1439),
            st.integers(1, 1440),
            st.sets(st.integers(0, 6), min_size=1),
            st.sampled_from(sorted(CLOCK_CHANGES)),
        ).filter(lambda one: one[0] != one[1]),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(sorted(CLOCK_CHANGES)),
    st.integers(-1440, 1440),
)
def test_the_next_change_is_the_one_that_a_look_at_each_minute_finds(
    windows: list[tuple[int, int, set[int], str]], zone: str, offset: int
) -> None:
    hours = [
        Hours(begin=begin, end=end, days=frozenset(days), zone=ZoneInfo(zone)) for begin, end, days, zone in windows
    ]
    start = at(f"{CLOCK_CHANGES[zone]} 02:00", ZoneInfo(zone)) + offset * 60
    change = next_change(hours, start)
    current = find_holding(hours, start)
    found = next(
        (time for minute in range(1, 1000) if find_holding(hours, time := start + minute * 60) != current), None
    )
    if found is not None:
        assert change == found
    else:
        assert change is None or change > start + 999 * 60


def test_hours_are_written_with_two_digits() -> None:
    assert parse_hours("8:05-24:00") == "08:05-24:00"


@pytest.mark.parametrize("text", ["", "8-18", "08:00", "08:00-18:00 ", "08:60-09:00", "24:00-08:00", "1:00-24:01"])
def test_malformed_hours_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_hours(text)


def test_empty_hours_are_refused() -> None:
    with pytest.raises(ValueError, match="begin and end are the same"):
        parse_hours("08:00-08:00")


@pytest.mark.parametrize("name", ["Berlin", "/etc/passwd", "../UTC", "", "Europe", "a\0b", "x" * 300])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected the name of a time zone"):
        parse_time_zone(name)
