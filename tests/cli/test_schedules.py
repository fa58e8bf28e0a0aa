"""`schedules`, in this process."""

import json

from cli.conftest import Command
from support.served_api import ServedApi

from downloadd.cli.errors import CommandError
from downloadd.states import State

ADD = ("schedules", "add", "prices", "0 * * * *", "https://files.example.com/prices.csv")


async def test_a_schedule_is_added_listed_shown_run_paused_and_removed(api: ServedApi, command: Command) -> None:
    added = (await command(*ADD, "--keep", "3", "--time-zone", "Europe/Berlin")).output.splitlines()
    assert added[0] == "Schedule added: prices"
    assert "times     0 * * * * Europe/Berlin" in added
    assert "prices.csv" in (await command("schedules", "show", "prices")).output
    listed = json.loads((await command("schedules", "list", "--json")).output)
    assert [(one["name"], one["keep"]) for one in listed] == [("prices", 3)]
    assert "Run started: prices" in (await command("schedules", "run", "prices")).output
    assert "waiting" in (await command("schedules", "list")).output
    await api.manager.set_state(api.manager.requests[0].id or "", State.SKIPPED, error="UNCHANGED")
    assert "unchanged" in (await command("schedules", "list")).output
    assert "paused" in (await command("schedules", "pause", "prices")).output
    assert "paused" not in (await command("schedules", "resume", "prices")).output
    assert "Schedule removed: prices" in (await command("schedules", "remove", "prices")).output
    assert (await command("schedules", "list")).output.strip() == "No schedules."


async def test_a_refusal_of_the_daemon_is_explained(command: Command) -> None:
    error = (await command("schedules", "add", "a", "daily", "https://files.example.com/f")).exception
    assert isinstance(error, CommandError)
    assert "cron: expected minute, hour" in error.lines[0]
