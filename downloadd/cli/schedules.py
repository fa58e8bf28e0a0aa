"""The commands `schedules …`: URLs that are fetched again and again."""

from collections.abc import Awaitable, Callable
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from downloadd.cli import completion, formatting
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client, ScheduleBody, ScheduleChange, ScheduleEntry, ScheduleResponse


@click.group()
def schedules() -> None:
    """List, add and change schedules, which fetch a URL again and again, if it has changed.

    \b
    Examples:
      downloadctl schedules add prices '30 2 * * mon-fri' https://…/prices.csv --time-zone Europe/Berlin
      downloadctl schedules list
      downloadctl schedules run prices
    """


@schedules.command("list")
@daemon_command
async def list_(client: Client, terminal: Terminal) -> None:
    """List all schedules with the outcome of their last runs."""
    found = await client.schedules.list()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("name", "times", "next run", "last run", "outcome"):
        table.add_column(heading, no_wrap=heading != "outcome")
    for entry in found:
        times = f"{entry.cron} {entry.time_zone}"
        table.add_row(entry.name, times, _next_run(entry), _time(entry.last_run), _outcome(entry))
    terminal.write_result(found, table if found else "No schedules.")


@schedules.command("add")
@click.argument("name")
@click.argument("cron", metavar="TIMES")
@click.argument("url")
@click.option(
    "-d", "--dir", "directory", default="Downloads", show_default=True, shell_complete=completion.directories,
    help="Destination below the storage root.",
)  # fmt: skip
@click.option("-n", "--name", "filename", default="", help="Name of the file instead of that of the URL.")
@click.option("--time-zone", default="UTC", show_default=True, metavar="ZONE", help="Time zone, such as Europe/Berlin.")
@click.option(
    "--keep", type=click.IntRange(1, 1000), default=1, show_default=True,
    help="Versions that stay; with more than 1, each has the time of its run in its name.",
)  # fmt: skip
@click.option("--paused", is_flag=True, help="Start no runs yet.")
@daemon_command
async def add(client: Client, terminal: Terminal, /, name: str, **options: Any) -> None:
    """Fetch URL at the TIMES of a cron expression: minute, hour, day, month, day of the week.

    \b
    Example:
      downloadctl schedules add prices '30 2 * * mon-fri' https://…/prices.csv --keep 7
    """
    _write(terminal, await client.schedules.add(ScheduleBody(name=name, **options)))


@schedules.command()
@click.argument("name")
@daemon_command
async def show(client: Client, terminal: Terminal, *, name: str) -> None:
    """Show a schedule."""
    entry = await client.schedules.get(name)
    terminal.write_result(entry, _describe(entry))


def _action(name: str, help_text: str, call: Callable[[Client, str], Awaitable[ScheduleResponse]]) -> None:
    """Add a command that applies a call to a schedule."""

    @daemon_command
    async def run(client: Client, terminal: Terminal, *, schedule: str) -> None:
        _write(terminal, await call(client, schedule))

    command = click.argument("schedule", metavar="NAME")(run)
    schedules.command(name, help=help_text)(command)


_action("run", "Start a run now.", lambda client, name: client.schedules.run(name))
_action("remove", "Remove a schedule; its files stay.", lambda client, name: client.schedules.remove(name))
_action(
    "pause", "Start no further runs.", lambda client, name: client.schedules.change(name, ScheduleChange(paused=True))
)
_action(
    "resume",
    "Start runs again.",
    lambda client, name: client.schedules.change(name, ScheduleChange(paused=False)),
)


def _write(terminal: Terminal, response: ScheduleResponse) -> None:
    terminal.write_text(f"{response.message}: {response.name}")
    terminal.write_result(response, _describe(response))


def _describe(entry: ScheduleEntry) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    path = f"{entry.directory}/{entry.filename}" if entry.directory else entry.filename
    for label, value in (
        ("times", f"{entry.cron} {entry.time_zone}"),
        ("url", formatting.replace_unprintable(entry.url)),
        ("file", formatting.replace_unprintable(path)),
        ("versions", f"{entry.versions} of {entry.keep}"),
        ("from", entry.source),
        ("user", formatting.replace_unprintable(entry.user)),
        ("next run", _next_run(entry)),
        ("last run", _time(entry.last_run)),
        ("outcome", _outcome(entry)),
    ):
        table.add_row(label, value)
    return table


def _time(seconds: int | None) -> str:
    return "" if seconds is None else formatting.format_time(seconds)


def _next_run(entry: ScheduleEntry) -> str:
    return "paused" if entry.paused else _time(entry.next_run)


def _outcome(entry: ScheduleEntry) -> Text:
    if entry.problem is not None:
        return Text(formatting.replace_unprintable(entry.problem), style="red")
    if entry.last_status is None:
        return Text("removed" if entry.last_download is not None else "")
    if entry.last_error is None:
        return Text(formatting.format_state(entry.last_status))
    return Text("unchanged" if entry.last_error == "UNCHANGED" else f"{entry.last_status}: {entry.last_error}")
