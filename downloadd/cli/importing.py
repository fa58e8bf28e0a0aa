"""`import`: an export in, every file that it names fetched."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import click

from downloadd.api.import_bodies import Counted
from downloadd.cli import words
from downloadd.cli.links import guess_kind
from downloadd.cli.outcome import Ending, Exit, Problem
from downloadd.cli.parameters import one_of
from downloadd.cli.terminal import Terminal, asks
from downloadd.client import Client, FileDataAnswer, OperationEntry, Progress, Waiting
from downloadd.operation import OVER, Kind, Status

CHUNK: Final = 1 << 20
"""Bytes of an upload that are read at once."""
POLL: Final = 0.5
"""Seconds between two looks at an import."""


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--kind",
    type=one_of((Kind.SLACK, Kind.CSV, Kind.URLS, Kind.METALINK)),
    help="What the file is; found out from its name and first bytes by default.",
)
@click.option("--channel", "channels", metavar="NAME", multiple=True, help="Only files of this channel; repeatable.")
@click.option("--avatars", is_flag=True, help="Fetch the pictures of users, too.")
@click.option("--look", is_flag=True, help="Only tell what is in it.")
@click.option("-w", "--watch", is_flag=True, help="Stay until it is done; fails when a file has failed.")
@asks
async def import_(
    client: Client,
    terminal: Terminal,
    *,
    file: Path,
    kind: str | None,
    channels: tuple[str, ...],
    avatars: bool,
    look: bool,
    watch: bool,
) -> None:
    """Upload an export (Slack, CSV, a list of URLs, Metalink) and fetch every file that it names.

    \b
    Examples:
      downloadctl import "Acme Slack export.zip" --look
      downloadctl import "Acme Slack export.zip" --channel general --channel design --watch
      downloadctl import links.txt --kind urls
    """
    with file.open("rb") as stream:
        found = guess_kind(file.name, stream.read(4096))
    chosen = Kind(kind) if kind is not None else found
    if chosen is None:
        raise click.UsageError(f"{file} is no list that can be imported; if it is one after all, say what with --kind")
    await client.imports.upload(importer_key=chosen, file_name=file.name, file=_chunks(file))
    data = await _read(client)
    if look:
        terminal.show(data, _contents(data))
        return
    known = {channel.name: channel.channel_id for channel in data.channels}
    unknown = [name for name in channels if name not in known]
    if unknown:
        raise click.UsageError(
            f"there is no channel {', '.join(unknown)}; there are {', '.join(sorted(known)) or 'none'}"
        )
    selection = {"list": [known[name] for name in channels]} if channels else {"all": True}
    await client.imports.start(users={"all": True}, channels=selection)
    terminal.say(_contents(data))
    count = await client.imports.download_files()
    if avatars:
        count += await client.imports.download_avatars()
    if not watch:
        terminal.show(Counted(success=True, count=count), f"{words.count(count, 'file')} to be fetched.")
        return
    operation, progress = await _until_done(client, terminal)
    tally = progress.count
    terminal.show(progress, f"{tally.completed} of {tally.total} files are there, {tally.error} have failed.")
    if operation.status is not Status.DONE or tally.error:
        why = operation.reason if isinstance(operation.reason, str) else "some files have failed"
        hint = "See downloadctl history --status failed; downloadctl retry tries one again."
        raise Ending(Exit.FAILED, f"The import is not complete: {words.printable(why)}.", hint)


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    stream = await asyncio.to_thread(file.open, "rb")
    with stream:
        while chunk := await asyncio.to_thread(stream.read, CHUNK):
            yield chunk


async def _read(client: Client) -> FileDataAnswer:
    while True:
        data = await client.imports.data()
        if not isinstance(data, Waiting):
            return data
        await asyncio.sleep(POLL)


def _contents(data: FileDataAnswer) -> str:
    names = ", ".join(words.printable(channel.name) for channel in data.channels)
    parts = (
        words.count(len(data.users), "user"),
        words.count(data.message_count, "message"),
        words.count(len(data.channels), "channel"),
    )
    return f"{', '.join(parts)}: {names}"


async def _until_done(client: Client, terminal: Terminal) -> tuple[OperationEntry, Progress]:
    said = -1
    while True:
        operation, progress = await client.imports.current(), await client.imports.progress()
        if operation is None:
            problem = Problem(error="NOT_FOUND", detail="the import is gone")
            raise Ending(Exit.FAILED, "The import is gone.", problem=problem)
        if operation.status in OVER:
            return operation, progress
        if progress.count.completed != said and not terminal.as_json:
            said = progress.count.completed
            click.echo(f"{said} of {progress.count.total} files", err=True)
        await asyncio.sleep(POLL)
