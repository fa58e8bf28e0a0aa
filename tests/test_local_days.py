"""Days of a time zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from downloadd.local_days import LocalDay

HOUR = 3600


def instant(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("time", "zone", "hours"),
    [
        ("2026-12-01T12:00", "UTC", 24),
        ("2026-12-01T00:00", "Asia/Kolkata", 24),
        pytest.param("2026-03-29T12:00", "Europe/Berlin", 23, id="clocks are set forward"),
        pytest.param("2026-10-25T12:00", "Europe/Berlin", 25, id="clocks are set back"),
        pytest.param("2018-11-04T12:00", "America/Sao_Paulo", 23, id="clocks are set forward at midnight"),
        pytest.param("2018-02-17T12:00", "America/Sao_Paulo", 25, id="clocks are set back at midnight"),
    ],
)
def test_days_follow_each_other_without_a_gap(time: str, zone: str, hours: float) -> None:
    day = LocalDay.at(instant(time, zone), ZoneInfo(zone))
    assert (day.name, day.end - day.begin) == (time[:10], hours * HOUR)
    assert [day.has(one) for one in (day.begin - 1, day.begin, day.end - 1, day.end)] == [False, True, True, False]
    for edge in (day.begin, day.end):
        before, after = (LocalDay.at(one, ZoneInfo(zone)) for one in (edge - 1, edge))
        assert before.end == after.begin == edge


def test_a_day_begins_when_clocks_of_its_zone_show_midnight() -> None:
    midnight = instant("2026-12-02T00:00", "America/New_York")
    assert LocalDay.at(midnight - 1, ZoneInfo("America/New_York")).name == "2026-12-01"
    assert LocalDay.at(midnight, ZoneInfo("America/New_York")).name == "2026-12-02"
    assert LocalDay.at(midnight, ZoneInfo("UTC")).name == "2026-12-02"
