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

from downloadd.cli.board import Board, LiveBoard, PlainBoard
from downloadd.cli.outcome import Ending, ending_of
from downloadd.cli.whereabouts import DEFAULT_URL, Whereabouts
from downloadd.client import ClientError
from downloadd.clock import Clock

WIDE: Final = 1000
"""Columns where there is no terminal: programs want lines whole."""


class Terminal:
    """The two streams; with `as_json`, JSON is written and nothing else. The daemon is known once flags are read."""

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self.environment = environment
        self.whereabouts = Whereabouts(url=DEFAULT_URL, token=None, ca_file=None)
        self.as_json = False
        self._clock = clock
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)

    def show(self, value: object, text: RenderableType) -> None:
        """Writes an answer: as JSON, or for people."""
        if self.as_json:
            self.write_json(value)
        else:
            self.say(text)

    def write_json(self, value: object) -> None:
        """Writes one line of JSON."""
        sys.stdout.write(f"{msgspec.json.encode(value).decode()}\n")
        sys.stdout.flush()

    def say(self, text: RenderableType) -> None:
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

    def board(self) -> Board:
        """What shows downloads while they are followed."""
        return LiveBoard(self.out) if self.out.is_terminal else PlainBoard(self.out, self._clock)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    return (
        console
        if console.is_terminal
        else Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=WIDE, color_system=None)
    )


def asks(function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A command that asks the daemon, and takes `--json`."""

    @click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")
    @click.pass_obj
    @functools.wraps(function)
    def command(terminal: Terminal, /, *, as_json: bool, **options: Any) -> None:
        terminal.as_json = as_json

        async def ask() -> None:
            try:
                async with terminal.whereabouts.client() as client:
                    await function(client, terminal, **options)
            except ClientError as error:
                raise ending_of(error, url=terminal.whereabouts.url) from None

        asyncio.run(ask())

    return command


def complain(terminal: Terminal, ending: Ending) -> None:
    """Writes why the command ends: as JSON where that was asked for, and in words besides."""
    if terminal.as_json and ending.problem is not None:
        terminal.write_json(ending.problem)
    for line in ending.lines:
        click.echo(f"downloadctl: {line}" if line is ending.lines[0] else f"  {line}", err=True)
