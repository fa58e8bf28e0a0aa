"""`wait`, in this process."""

import json

from cli.conftest import Command
from support.sample_downloads import sample_download
from support.served_api import ServedApi

from downloadd.cli.errors import CommandError, ExitStatus
from downloadd.states import State


async def test_what_has_ended_is_not_waited_for_and_a_failure_is_an_exit_code(api: ServedApi, command: Command) -> None:
    done = api.manager.add(sample_download(1, state=State.COMPLETED, filename="f"))
    failed = api.manager.add(sample_download(2, state=State.FAILED, error="NETWORK_ERROR"))
    result = await command("wait", done.id)
    assert (result.exit_code, "f: completed" in result.output) == (0, True)
    result = await command("wait", done.id, failed.id, "--json")
    assert isinstance(result.exception, CommandError)
    assert result.exception.lines == ("1 of 2 downloads were not completed.",)
    assert [entry["status"] for entry in json.loads(result.output)["history"]] == ["completed", "failed"]


async def test_without_active_downloads_it_ends_at_once(command: Command) -> None:
    assert (await command("wait")).output == ""


async def test_after_the_timeout_it_fails(api: ServedApi, command: Command) -> None:
    api.manager.add(sample_download(1, state=State.PAUSED))
    error = (await command("wait", "--timeout", "0.1")).exception
    assert isinstance(error, CommandError)
    assert (error.status, error.lines) == (ExitStatus.FAILED, ("Not all downloads ended within 0.1 s; they continue.",))
