"""Settings of schedules."""

from pathlib import Path

import pytest
from support.config_files import load, load_issues, user

from downloadd.config import ScheduleConfig

GOOD = {"name": '"prices"', "cron": '" 30 2 * * mon-fri"', "url": '"https://u:p@a.example/prices.csv"'}


def table(**changes: str) -> str:
    return "[[schedules]]\n" + "\n".join(f"{key} = {value}" for key, value in {**GOOD, **changes}.items()) + "\n"


def test_a_schedule_has_defaults(tmp_path: Path) -> None:
    [schedule] = load(tmp_path, table()).schedules
    assert (schedule.cron, schedule.time_zone, schedule.keep) == ("30 2 * * mon-fri", "UTC", 1)
    assert "u:p" not in repr(schedule)
    assert dict(schedule.__rich_repr__()) == {"name": "prices", "cron": "30 2 * * mon-fri"}
    assert isinstance(schedule, ScheduleConfig)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": '"a b"'}, "schedules[0].name: "),
        ({"cron": '"@daily"'}, "schedules[0].cron: expected minute, hour"),
        ({"time_zone": '"Berlin"'}, "schedules[0].time_zone: expected the name of a time zone"),
        ({"url": '"ftp://a/f"'}, "schedules[0].url: expected an http:// or https:// URL"),
        ({"url": '"https://a.example/"'}, "schedules[0].filename: is missing"),
        ({"filename": '"a/b"'}, "schedules[0].filename: "),
        ({"directory": '"../x"'}, "schedules[0].directory: "),
        ({"keep": "0"}, "schedules[0].keep: "),
        ({"every": "1"}, "schedules[0].every: "),
    ],
)
def test_each_wrong_setting_is_reported_by_its_key(tmp_path: Path, changes: dict[str, str], problem: str) -> None:
    issues = load_issues(tmp_path, table(**changes))
    assert problem in issues[0]
    assert "u:p" not in str(issues)


def test_a_name_is_taken_once_and_a_user_may_be_made_later(tmp_path: Path) -> None:
    issues = load_issues(tmp_path, table() + table(user='"bob"') + user(id="ann"))
    assert any("schedules[1].name" in issue for issue in issues)
    assert not any("user" in issue for issue in issues)
