"""Terminal of a command: the daemon that it calls, and the output of results and errors."""

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
"""Columns without a terminal; programs need whole lines."""


class Terminal:
    """Standard output and standard error. With `as_json`, only JSON is written to standard output."""

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self.environment = environment
        self.daemon_location = DaemonLocation(url=DEFAULT_URL, token=None, ca_file=None)
        self.as_json = False
        self._clock = clock
        self.out = _make_console(stderr=False)
        self.err = _make_console(stderr=True)

    def write_result(self, value: object, text: RenderableType) -> None:
        """Write a result: `value` as JSON, or `text` for people."""
        if self.as_json:
            self.write_json(value)
        else:
            self.write_text(text)

    def write_json(self, value: object) -> None:
        """Write one line of JSON."""
        sys.stdout.write(f"{msgspec.json.encode(value).decode()}\n")
        sys.stdout.flush()

    def write_text(self, text: RenderableType) -> None:
        """Write a text for people; omitted with `--json`."""
        if self.as_json:
            return
        if self.out.is_terminal:
            self.out.print(text, soft_wrap=not isinstance(text, Table))
            return
        with self.out.capture() as capture:
            self.out.print(text, soft_wrap=not isinstance(text, Table))
        # rich pads the last column of a table with spaces.
        click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))

    def progress_display(self) -> ProgressDisplay:
        """Return the display of progress for this terminal."""
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
    """Make a command that calls the daemon, with the option `--json`."""

    @click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")
    @click.pass_obj
    @functools.wraps(function)
    def command(terminal: Terminal, /, *, as_json: bool, **options: Any) -> None:
        terminal.as_json = as_json

        async def call() -> None:
            try:
                async with terminal.daemon_location.client() as client:
                    await function(client, terminal, **options)
            except ClientError as error:
                raise to_command_error(error, terminal.daemon_location) from None

        asyncio.run(call())

    return command


def write_error(terminal: Terminal, error: CommandError) -> None:
    """Write the error that ends the command: as JSON with `--json`, and as text to standard error."""
    if terminal.as_json and error.report is not None:
        terminal.write_json(error.report)
    for line in error.lines:
        click.echo(f"downloadctl: {line}" if line is error.lines[0] else f"  {line}", err=True)
