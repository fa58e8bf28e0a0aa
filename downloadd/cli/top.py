"""The command `top`: active downloads on the whole terminal, which keys sort and change."""

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import click
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from downloadd.cli import formatting
from downloadd.cli.follow import MAX_ACTIVE, follow
from downloadd.cli.parameters import one_of
from downloadd.cli.query import build_listing
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.cli.top_model import HELP, Act, Quit, SortKey, TopModel, split_keys
from downloadd.client import ActiveEntry, ApiError, Client, Connected, Disconnected, Event, HistoryEntry, State
from downloadd.fronts.rest.queue_schemas import MoveTo
from downloadd.fronts.rest.schemas import Listing
from downloadd.states import RUNNING, Trigger

REFRESHES_PER_SECOND: Final = 4
MAX_KEY_BYTES: Final = 16
_COMMON_ROWS: Final = 4
"""Rows of heading, summary, message and help."""


@click.command()
@click.option("--sort", type=one_of(SortKey), default=SortKey.SPEED.value, show_default=True, help="First order.")
@daemon_command
async def top(client: Client, terminal: Terminal, *, sort: str) -> None:
    """Show active downloads on the whole terminal, and change them by keys.

    Keys: the arrows or j and k select; p pauses, u resumes, c cancels, t moves to the top of the queue; s sorts by the
    next column, r reverses, q quits. Without a terminal, or with --json, it prints the downloads once.

    \b
    Examples:
      downloadctl top
      downloadctl top --sort left
    """
    model = TopModel(SortKey(sort))
    for entry in (await client.files.downloads.list_global(limit=MAX_ACTIVE)).downloads:
        model.update(entry)
    if terminal.as_json or not (terminal.out.is_terminal and sys.stdin.isatty()):
        listing = Listing(downloads=model.ordered())
        terminal.write_result(
            listing, build_listing(listing, has_nodes=False) if listing.downloads else "No active downloads."
        )
        return
    keys: asyncio.Queue[str] = asyncio.Queue()
    with (
        _read_keys(keys),
        Live(TopScreen(model), console=terminal.out, screen=True, refresh_per_second=REFRESHES_PER_SECOND),
    ):
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follow(client, None, lambda event: apply_event(model, event)))
            try:
                await handle_keys(model, keys.get, client)
            finally:
                following.cancel()


def apply_event(model: TopModel, event: Event) -> None:
    """Show an event in the model."""
    match event.data:
        case ActiveEntry() as entry:
            model.update(entry)
        case HistoryEntry() as entry:
            model.remove(entry.id)
            model.message = f"{formatting.format_name(entry)}: {formatting.format_state(entry.status)}"
        case Connected():
            model.message = ""
        case Disconnected(reason=reason):
            model.message = f"{formatting.replace_unprintable(reason)}; reconnecting"
        case _:
            pass


async def handle_keys(model: TopModel, next_key: Callable[[], Awaitable[str]], client: Client) -> None:
    """Do what the keys request, until one requests the end."""
    while True:
        request = model.press(await next_key())
        if isinstance(request, Quit):
            return
        if isinstance(request, Act):
            try:
                model.message = await _act(request, client)
            except ApiError as error:
                model.message = " ".join(formatting.format_api_error(error))


async def _act(request: Act, client: Client) -> str:
    downloads = client.files.downloads
    match request.trigger:
        case Trigger.PAUSE:
            message = (await downloads.pause(request.id)).message
        case Trigger.RESUME:
            message = (await downloads.resume(request.id)).message
        case Trigger.CANCEL:
            message = (await downloads.cancel(request.id)).message
        case _:
            message = (await downloads.move(request.id, MoveTo.TOP)).message
    return f"{message}."


class TopScreen:
    """The model as a screen of the terminal."""

    def __init__(self, model: TopModel) -> None:
        self._model = model

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        model, entries = self._model, self._model.ordered()
        shown = model.visible(max(1, console.height - _COMMON_ROWS))
        table = Table(box=None, pad_edge=False, expand=True, header_style="bold", padding=(0, 2, 0, 0))
        for title, key in (
            ("state", SortKey.STATE),
            ("amount", SortKey.AMOUNT),
            ("speed", SortKey.SPEED),
            ("left", SortKey.LEFT),
        ):
            table.add_column(_mark(title, key, model), no_wrap=True)
        table.add_column(_mark("file", SortKey.NAME, model), no_wrap=True, overflow="ellipsis", ratio=1)
        for entry in shown:
            is_receiving = entry.status is State.DOWNLOADING
            table.add_row(
                formatting.format_state(entry.status),
                formatting.format_progress(entry),
                f"{formatting.format_size(entry.speed)}/s" if is_receiving and entry.speed is not None else "",
                formatting.format_duration(entry.eta) if is_receiving and entry.eta is not None else "",
                formatting.format_name(entry),
                style="reverse" if entry.id == model.selected else "",
            )
        running = sum(entry.status in RUNNING for entry in entries)
        speed = formatting.format_size(sum(entry.speed or 0 for entry in entries if entry.status in RUNNING))
        summary = Text(f"{running} running, {len(entries) - running} waiting or paused, {speed}/s", style="bold")
        yield Group(summary, table, Text(model.message, no_wrap=True), Text(HELP, style="dim", no_wrap=True))


def _mark(title: str, key: SortKey, model: TopModel) -> str:
    return f"{title} {'▲' if model.is_reversed else '▼'}" if key is model.sort else title


@contextlib.contextmanager
def _read_keys(keys: "asyncio.Queue[str]") -> Iterator[None]:
    """Put each key of the terminal into the queue, without waiting for the end of a line."""
    descriptor, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)

    def read() -> None:
        pressed = os.read(descriptor, MAX_KEY_BYTES)
        # The end of the input is a request to quit.
        for key in split_keys(pressed.decode("utf-8", "replace") or "q"):
            keys.put_nowait(key)
        if not pressed:
            loop.remove_reader(descriptor)

    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
