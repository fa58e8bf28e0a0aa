"""`settings`, in this process."""

import json

import pytest
from cli.conftest import Command
from support.served_api import ServedApi

from downloadd.cli.errors import CommandError
from downloadd.runtime_settings import RuntimeSettings


async def test_the_limits_are_shown(command: Command) -> None:
    assert (await command("settings")).output.splitlines() == [
        "downloads at once  64",
        "from one host      16",
        "speed together     no limit",
    ]
    shown = json.loads((await command("settings", "--json")).output)
    assert shown == {"max_concurrent": 64, "max_per_host": 16, "speed_limit": 0}


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
