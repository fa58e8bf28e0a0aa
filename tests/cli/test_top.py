"""`top`, in this process; the keys of a terminal are in `test_downloadctl.py`."""

import json
from collections.abc import Iterable

import pytest
from cli.conftest import Command
from rich.console import Console
from support.sample_downloads import sample_download
from support.served_api import TOKEN, ServedApi

from downloadd.cli.top import TopScreen, apply_event, handle_keys
from downloadd.cli.top_model import SortKey, TopModel
from downloadd.client import Client, Disconnected, Event
from downloadd.download import Snapshot
from downloadd.fronts.rest.entries import make_active_entry, make_history_entry
from downloadd.states import State


@pytest.fixture
def model() -> TopModel:
    return TopModel()


async def press(model: TopModel, keys: Iterable[str], api: ServedApi) -> None:
    queue = iter((*keys, "q"))

    async def next_key() -> str:
        return next(queue)

    async with Client(f"http://{api.server.host}:{api.server.port}", token=TOKEN) as client:
        await handle_keys(model, next_key, client)


async def test_without_a_terminal_the_downloads_are_printed_once_in_their_order(
    api: ServedApi, command: Command
) -> None:
    for number, name in enumerate("bac"):
        api.manager.add(sample_download(number, state=State.DOWNLOADING, filename=name))
    listing = json.loads((await command("top", "--sort", "name", "--json")).output)
    assert [entry["filename"] for entry in listing["downloads"]] == ["a", "b", "c"]
    assert (await command("top")).output.splitlines()[0].split()[:2] == ["id", "state"]


async def test_keys_pause_resume_and_cancel_the_selected_download(api: ServedApi, model: TopModel) -> None:
    download = api.manager.add(sample_download(1, state=State.DOWNLOADING))
    model.update(make_active_entry(Snapshot(download=download)))
    await press(model, "jp", api)
    assert model.message == "Download paused."
    model.update(make_active_entry(Snapshot(download=api.manager.downloads[download.id])))
    await press(model, "u", api)
    assert model.message == "Download resumed."
    model.update(make_active_entry(Snapshot(download=api.manager.downloads[download.id])))
    await press(model, "cy", api)
    assert model.message == "Download cancelled."


async def test_what_the_daemon_refuses_is_a_message(api: ServedApi, model: TopModel) -> None:
    model.update(make_active_entry(Snapshot(download=sample_download(9, state=State.DOWNLOADING))))
    await press(model, "jp", api)
    assert model.message.startswith("Not found: ")


def test_events_change_the_screen(model: TopModel) -> None:
    first = sample_download(1, state=State.DOWNLOADING, filename="f1", received=1024, total=4096)
    apply_event(model, Event(data=make_active_entry(Snapshot(download=first, speed=1024, eta=3)), id=""))
    model.press("j")
    console = Console(width=80, height=10, record=True, color_system=None)
    console.print(TopScreen(model))
    shown = console.export_text()
    assert "1 running, 0 waiting or paused, 1.00 KiB/s" in shown
    assert "1.00 KiB of 4.00 KiB 1.00 KiB/s 3 s" in " ".join(shown.split())
    assert f"{SortKey.SPEED.value} ▼" in shown
    apply_event(model, Event(data=make_history_entry(sample_download(1, state=State.COMPLETED, filename="f1")), id=""))
    assert (model.ordered(), model.message.endswith("f1: completed")) == ([], True)
    apply_event(model, Event(data=Disconnected(reason="gone"), id=""))
    assert model.message == "gone; reconnecting"
