"""`pause`, `resume`, `retry`, `cancel`, `move` and `set`, in this process."""

import json

import pytest
import structlog
from cli.conftest import Command
from support.sample_downloads import sample_download
from support.served_api import ServedApi

from downloadd.cli.errors import CommandError
from downloadd.download_request import RequestFieldParameters
from downloadd.manager.protocol import DownloadChange
from downloadd.states import State

ACTIVE_STATES = {State.QUEUED, State.STARTING, State.DOWNLOADING, State.RETRYING, State.VERIFYING, State.PAUSED}


def add_one_of_each_state(api: ServedApi) -> dict[str, State]:
    return {api.manager.add(sample_download(number, state=state)).id: state for number, state in enumerate(State)}


async def test_all_active_downloads_are_cancelled(api: ServedApi, command: Command) -> None:
    states = add_one_of_each_state(api)
    changed = json.loads((await command("cancel", "--all", "--json")).output)["downloads"]
    assert {states[entry["id"]] for entry in changed} == ACTIVE_STATES


@pytest.mark.parametrize(
    ("verb", "affected", "after"),
    [("pause", ACTIVE_STATES - {State.PAUSED}, State.PAUSED), ("resume", {State.PAUSED}, State.QUEUED)],
)
async def test_all_downloads_that_allow_it_are_changed_by_one_call(
    api: ServedApi, command: Command, verb: str, affected: set[State], after: State
) -> None:
    states = add_one_of_each_state(api)
    with structlog.testing.capture_logs() as lines:
        result = await command(verb, "--all", "--json")
    paths = [line["path"] for line in lines if line["event"] == "request" and line["method"] == "POST"]
    assert paths == [f"/api/v1/downloads/{verb}"]
    assert json.loads(result.output)["changed"] == len(affected)
    changed = {state for id, state in states.items() if api.manager.downloads[id].state is not state}
    assert changed == affected
    assert {api.manager.downloads[id].state for id, state in states.items() if state in affected} == {after}


async def test_the_number_of_changed_downloads_is_shown(api: ServedApi, command: Command) -> None:
    assert (await command("pause", "--all")).output == "No download to change.\n"
    api.manager.add(sample_download(1))
    assert (await command("pause", "--all")).output == "Downloads paused: 1\n"
    assert (await command("resume", "--all")).output == "Downloads resumed: 1\n"


async def test_a_retry_takes_names_only(api: ServedApi, command: Command) -> None:
    id = api.manager.add(sample_download(1, state=State.FAILED)).id
    assert (await command("retry", id)).output == "Download will be tried again: a\n"
    assert api.manager.downloads[id].state is State.QUEUED
    assert "No such option" in str((await command("retry", "--all")).exception)


async def test_a_retry_may_have_a_new_url(api: ServedApi, command: Command) -> None:
    ids = [api.manager.add(sample_download(number, state=State.FAILED)).id for number in range(2)]
    await command("retry", ids[0], "--from", "https://b.example/new")
    assert [change.url for change in api.manager.applied_changes] == ["https://b.example/new"]
    assert "name one download" in str((await command("retry", *ids, "--from", "https://b.example/new")).exception)


async def test_a_refused_download_does_not_stop_the_others(api: ServedApi, command: Command) -> None:
    ended, active = (
        api.manager.add(sample_download(number, state=state)).id
        for number, state in enumerate((State.FAILED, State.QUEUED))
    )
    result = await command("pause", ended, active, "--json")
    assert isinstance(result.exception, CommandError)
    answer = json.loads(result.output)
    assert (answer["success"], answer["downloads"][0]["error"]) == (False, "INVALID_STATE")
    assert api.manager.downloads[active].state is State.PAUSED


async def test_several_downloads_are_changed_by_one_call(api: ServedApi, command: Command) -> None:
    ids = [api.manager.add(sample_download(number, state=State.FAILED)).id for number in range(3)]
    with structlog.testing.capture_logs() as lines:
        result = await command("retry", *ids, ids[0])
    assert result.output == "Download will be tried again: a\n" * 3
    paths = [line["path"] for line in lines if line["event"] == "request" and line["method"] == "POST"]
    assert paths == ["/api/v1/downloads/actions"]
    assert {download.state for download in api.manager.downloads.values()} == {State.QUEUED}
    # The result of a program is that of single calls.
    answer = json.loads((await command("cancel", *ids, "--json")).output)
    assert [(one["id"], one["status"], one["message"]) for one in answer["downloads"]] == [
        (id, "cancelled", "Download cancelled") for id in ids
    ]


async def test_a_control_command_without_a_matching_download_reports_it(command: Command) -> None:
    assert (await command("pause", "--all")).output == "No download to change.\n"


async def test_a_download_is_moved_and_gets_other_request_fields(api: ServedApi, command: Command) -> None:
    id = api.manager.add(sample_download(1)).id
    await command(
        "set", id, "--dir", "e", "--name", "n", "-m", "https://m/", "--header", "X-Key: k", "--max-retries", "0"
    )
    [change] = api.manager.applied_changes
    assert change == DownloadChange(
        directory="e",
        filename="n",
        mirrors=["https://m/"],
        fields=RequestFieldParameters(headers={"X-Key": "k"}),
        max_retries=0,
    )


async def test_only_given_values_are_changed(api: ServedApi, command: Command) -> None:
    id = api.manager.add(sample_download(1)).id
    assert (await command("set", id, "--limit", "1 KiB")).output.startswith("Download changed")
    [change] = api.manager.applied_changes
    assert (change.priority, change.speed_limit, change.url) == (None, 1024, None)
    assert "name a change" in str((await command("set", id)).exception)


@pytest.mark.parametrize(("place", "index"), [("top", 0), ("up", 1), ("down", 3), ("bottom", 3), ("1", 1), ("9", 3)])
async def test_a_download_is_moved_to_a_place(api: ServedApi, command: Command, place: str, index: int) -> None:
    ids = [api.manager.add(sample_download(number)).id for number in range(4)]
    assert (await command("move", ids[2], place)).output == f"Download moved to index {index}: a\n"
    assert json.loads((await command("move", ids[2], str(index), "--json")).output)["position"] == index


async def test_a_place_is_a_word_or_an_index(api: ServedApi, command: Command) -> None:
    id = api.manager.add(sample_download(1)).id
    for place in ("first", "-1", "1.5", "9" * 20):
        assert "expected top, up, down, bottom, or an index" in str((await command("move", "--", id, place)).exception)
    api.manager.add(sample_download(2, state=State.DOWNLOADING))
    refused = (await command("move", sample_download(2).id, "top")).exception
    assert isinstance(refused, CommandError)
    assert "only a queued or paused one can be moved" in str(refused.lines)
