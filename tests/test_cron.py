"""Cron expressions, with daylight saving."""

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from downloadd.cron import latest_time, next_time, parse_cron

BERLIN = "Europe/Berlin"


def at(text: str, *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN), fold=fold).timestamp()


def test_an_expression_has_five_fields() -> None:
    assert parse_cron("  30 2   * * mon-fri ") == "30 2 * * mon-fri"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected minute, hour"),
        ("@daily", "expected minute, hour"),
        ("0 30 2 * * *", "expected minute, hour"),
        ("60 2 * * *", "bad minute; expected"),
        ("0 2 * * funday", "bad day-of-week; expected"),
        ("\u0660 2 * * *", "expected minute, hour"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 2 * * *" + " " * 300, "expected minute, hour"),
    ],
)
def test_a_malformed_expression_is_refused_in_words(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_cron(text)


def test_the_next_and_the_latest_time_are_those_of_the_time_zone() -> None:
    cron, noon = "30 2 * * *", at("2026-12-01 12:00")
    assert next_time(cron, BERLIN, noon) == at("2026-12-02 02:30")
    assert latest_time(cron, BERLIN, noon) == at("2026-12-01 02:30")


def test_a_time_is_its_own_latest_and_not_its_next() -> None:
    due = at("2026-12-01 02:30")
    assert latest_time("30 2 * * *", BERLIN, due) == due
    assert latest_time("30 2 * * *", BERLIN, due + 0.5) == due
    assert next_time("30 2 * * *", BERLIN, due) == at("2026-12-02 02:30")
    assert next_time("30 2 * * *", BERLIN, due - 0.5) == due


def test_a_time_that_no_clock_shows_occurs_when_clocks_are_set_forward() -> None:
    assert next_time("30 2 * * *", BERLIN, at("2026-03-29 00:00")) == at("2026-03-29 03:00")


def test_a_time_that_clocks_show_twice_occurs_once() -> None:
    first = next_time("30 2 * * *", BERLIN, at("2026-10-25 00:00"))
    assert first == at("2026-10-25 02:30")
    assert next_time("30 2 * * *", BERLIN, first) == at("2026-10-26 02:30")


def test_an_expression_for_each_hour_follows_the_clock() -> None:
    times = [at("2026-10-25 01:00")]
    for _ in range(3):
        following = next_time("0 * * * *", BERLIN, times[-1])
        assert following is not None
        times.append(following)
    assert [later - earlier for earlier, later in pairwise(times)] == [3600] * 3
