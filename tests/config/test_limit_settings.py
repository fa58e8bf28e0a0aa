"""Settings of limits in hours of the week."""

from pathlib import Path

import pytest
from support.config_files import load, load_issues

from downloadd.config import LimitConfig


def test_limits_are_read_in_order(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [[limits]]
        hours = "8:00-18:00"
        days = ["mon", "tue"]
        time_zone = "Europe/Berlin"
        speed_limit = "2 MiB"

        [[limits]]
        allow_starts = false
        """,
    )
    first, second = config.limits
    assert (first.hours, first.speed_limit, second.hours, second.time_zone) == (
        "08:00-18:00",
        2 << 20,
        "00:00-24:00",
        "UTC",
    )


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ('hours = "8-18"\nmax_concurrent = 1', "limits[0].hours: expected hours such as"),
        ('days = ["monday"]\nmax_concurrent = 1', "limits[0].days: "),
        ("days = []\nmax_concurrent = 1", "limits[0].days: "),
        ('time_zone = "Berlin"\nmax_concurrent = 1', "limits[0].time_zone: expected the name of a time zone"),
        ("max_concurrent = 0", "limits[0].max_concurrent: "),
        ('speed_limit = "fast"', "limits[0].speed_limit: "),
        ("speed = 1", "limits[0].speed: "),
        ('hours = "08:00-18:00"', "limits[0]: has no limit"),
    ],
)
def test_each_wrong_setting_is_reported_by_its_key(tmp_path: Path, toml: str, problem: str) -> None:
    issues = load_issues(tmp_path, f"[[limits]]\n{toml}")
    assert problem in issues[0]


def test_the_hours_are_shown_on_one_line() -> None:
    assert str(LimitConfig(hours="08:00-18:00", days=("mon", "fri"))) == "mon, fri 08:00-18:00 UTC"
    assert str(LimitConfig(hours="08:00-18:00")) == "08:00-18:00 UTC"
