"""`settings`, in this process."""

import json

import pytest
from cli.conftest import Command
from support.served_api import ServedApi

from downloadd.cli.errors import CommandError
from downloadd.config import DownloadsConfig, LimitConfig
from downloadd.runtime_settings import RuntimeSettings


async def test_the_limits_are_shown(command: Command) -> None:
    assert (await command("settings")).output.splitlines() == [
        "downloads at once  64",
        "from one host      16",
        "speed together     no limit",
    ]
    shown = json.loads((await command("settings", "--json")).output)
    assert (shown["max_concurrent"], shown["max_per_host"], shown["speed_limit"]) == (64, 16, 0)


async def test_hours_and_starts_are_shown(api: ServedApi, command: Command) -> None:
    api.clock.now = 3600.0
    entry = LimitConfig(hours="00:00-12:00", days=("thu", "fri"), allow_starts=False)
    api.hours.configure([entry], DownloadsConfig())
    lines = (await command("settings")).output.splitlines()
    assert lines[3:5] == ["starts             none", "by the hours       00:00-12:00 UTC, thu, fri"]
    assert lines[5].startswith("other hours from   1970-01-0")
    assert (
        "No download starts: allow_starts of the settings is off (00:00-12:00 UTC, thu, fri)."
        in (await command("status")).output
    )
    assert "starts" not in "".join((await command("settings", "--allow-starts")).output.splitlines()[1:4])
    assert api.limits.settings.allow_starts
    await command("settings", "--no-allow-starts")
    assert not api.limits.settings.allow_starts


async def test_given_limits_are_changed(api: ServedApi, command: Command) -> None:
    result = await command("settings", "--max-concurrent", "4", "--speed-limit", "1MiB")
    assert result.output.splitlines() == [
        "Settings changed until the next restart or reload:",
        "downloads at once  4",
        "from one host      16",
        "speed together     1.00 MiB/s",
    ]
    result = await command("settings", "--max-per-host", "2", "--speed-limit", "0", "--json")
    assert json.loads(result.output)["speed_limit"] == 0
    assert api.limits.settings == RuntimeSettings(max_concurrent=4, max_per_host=2, speed_limit=0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--max-concurrent", "0"), "not in the range"),
        (("--speed-limit", "fast"), "expected a size"),
        (("--max-retries", "1"), "No such option"),
    ],
)
async def test_invalid_values_are_refused_before_they_are_sent(
    api: ServedApi, command: Command, arguments: tuple[str, str], problem: str
) -> None:
    before = api.limits.settings
    assert problem in str((await command("settings", *arguments)).exception)
    assert api.limits.settings == before


async def test_a_refusal_of_the_daemon_is_explained(command: Command) -> None:
    error = (await command("settings", "--max-concurrent", "501")).exception
    assert isinstance(error, CommandError)
    assert "must be at most 500" in error.lines[0]
