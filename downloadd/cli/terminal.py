"""What every command stands on: the daemon that is asked, and where answers and problems are written."""

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import click
import msgspec
from rich.console import Console, RenderableType
from rich.table import Table

from downloadd.cli.daemon_location import DEFAULT_URL, DaemonLocation
from downloadd.cli.errors import CommandError, to_command_error
from downloadd.cli.progress_display import LiveProgressDisplay, PlainProgressDisplay, ProgressDisplay
from downloadd.client import ClientError
from downloadd.clock import Clock

NON_TERMINAL_COLUMNS: Final = 1000
"""Columns where there is no terminal: programs want lines whole."""


class Terminal:
    """The two streams; with `as_json`, JSON is written and nothing else. The daemon is known once flags are read."""

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self.environment = environment
        self.daemon_location = DaemonLocation(url=DEFAULT_URL, token=None, ca_file=None)
        self.as_json = False
        self._clock = clock
        self.out = _make_console(stderr=False)
        self.err = _make_console(stderr=True)

    def write_result(self, value: object, text: RenderableType) -> None:
        """Writes an answer: as JSON, or for people."""
        if self.as_json:
            self.write_json(value)
        else:
            self.write_text(text)

    def write_json(self, value: object) -> None:
        """Writes one line of JSON."""
        sys.stdout.write(f"{msgspec.json.encode(value).decode()}\n")
        sys.stdout.flush()

    def write_text(self, text: RenderableType) -> None:
        """Tells people something; programs not."""
        if self.as_json:
            return
        if self.out.is_terminal:
            self.out.print(text, soft_wrap=not isinstance(text, Table))
            return
        with self.out.capture() as written:
            self.out.print(text, soft_wrap=not isinstance(text, Table))
        # A table fills its last column with spaces.
        click.echo("\n".join(line.rstrip() for line in written.get().splitlines()))

    def progress_display(self) -> ProgressDisplay:
        """What shows downloads while they are followed."""
        return LiveProgressDisplay(self.out) if self.out.is_terminal else PlainProgressDisplay(self.out, self._clock)


def _make_console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    return (
        console
        if console.is_terminal
        else Console(
            stderr=stderr, markup=False, highlight=False, emoji=False, width=NON_TERMINAL_COLUMNS, color_system=None
        )
    )


def daemon_command(function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A command that asks the daemon, and takes `--json`."""

    @click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")
    @click.pass_obj
    @functools.wraps(function)
    def command(terminal: Terminal, /, *, as_json: bool, **options: Any) -> None:
        terminal.as_json = as_json

        async def run_query() -> None:
            try:
                async with terminal.daemon_location.client() as client:
                    await function(client, terminal, **options)
            except ClientError as error:
                raise to_command_error(error, url=terminal.daemon_location.url) from None

        asyncio.run(run_query())

    return command


def write_error(terminal: Terminal, error: CommandError) -> None:
    """Writes why the command ends: as JSON where that was asked for, and in words besides."""
    if terminal.as_json and error.report is not None:
        terminal.write_json(error.report)
    for line in error.lines:
        click.echo(f"downloadctl: {line}" if line is error.lines[0] else f"  {line}", err=True)
