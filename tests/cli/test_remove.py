"""`remove`, in this process."""

import json

import pytest
from cli.conftest import Command
from support.sample_downloads import sample_download
from support.served_api import ServedApi

from downloadd.cli.errors import CommandError
from downloadd.clock import SystemClock
from downloadd.states import State


async def test_a_named_download_is_removed_with_its_file_on_request(api: ServedApi, command: Command) -> None:
    first, second = (api.manager.add(sample_download(number, state=State.COMPLETED)).id for number in (1, 2))
    assert (await command("remove", first)).output == "Removed from the history: a\n"
    assert api.history.removed_files == []
    assert (await command("remove", second, "--file")).output == "Removed from the history, with its file: a\n"
    assert api.history.removed_files == [second]


async def test_a_refused_removal_is_reported(api: ServedApi, command: Command) -> None:
    active = api.manager.add(sample_download(1)).id
    changed = api.manager.add(sample_download(2, state=State.COMPLETED)).id
    api.history.changed_files.add(changed)
    result = await command("remove", active, changed, "--file", "--json")
    assert isinstance(result.exception, CommandError)
    assert [entry["error"] for entry in json.loads(result.output)["downloads"]] == ["INVALID_STATE", "FILE_CHANGED"]
    assert len(api.manager.downloads) == 2


async def test_entries_are_removed_by_filters(api: ServedApi, command: Command) -> None:
    for number, state in enumerate((State.FAILED, State.COMPLETED)):
        api.manager.add(sample_download(number, state=state))
    now = SystemClock().wall()
    result = await command("remove", "--status", "failed", "--older-than", "2h")
    assert result.output == "1 removed from the history.\n"
    [criteria] = api.history.filters
    assert criteria.state is State.FAILED
    assert criteria.ended_before is not None
    assert now - 7201 <= criteria.ended_before <= SystemClock().wall() - 7199
    assert (await command("remove", "--all")).output == "1 removed from the history.\n"
    await command("remove", "--kept")
    assert [each.has_part for each in api.history.filters] == [None, None, True]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("x", "--all"),
        ("x", "--status", "failed"),
        ("x", "--kept"),
        ("--all", "--search", "x"),
        ("--all", "--file"),
        ("--older-than", "7"),
        ("--older-than", "7y"),
    ],
)
async def test_what_is_not_clear_removes_nothing(api: ServedApi, command: Command, arguments: tuple[str, ...]) -> None:
    api.manager.add(sample_download(1, state=State.FAILED))
    assert (await command("remove", *arguments)).exception is not None
    assert len(api.manager.downloads) == 1
