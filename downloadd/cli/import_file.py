"""`import`: an export in, every file that it names fetched."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import click

from downloadd.cli import formatting
from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client, FileDataResponse, ImportProgress, OperationEntry, WaitingResponse
from downloadd.fronts.rocketchat.schemas import CountResponse
from downloadd.fronts.rocketchat.statuses import FINISHED_STATUSES, ImportStatus
from downloadd.imports.importers import IMPORTERS, guess_importer

UPLOAD_CHUNK_BYTES: Final = 1 << 20
"""Bytes of an upload that are read at once."""
POLL_SECONDS: Final = 0.5
"""Seconds between two looks at an import."""


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--kind",
    type=click.Choice(list(IMPORTERS)),
    help="What the file is; found out from its name and first bytes by default.",
)
@click.option("--channel", "channels", metavar="NAME", multiple=True, help="Only files of this channel; repeatable.")
@click.option("--avatars", is_flag=True, help="Fetch the pictures of users, too.")
@click.option("--look", is_flag=True, help="Only tell what is in it.")
@click.option("-w", "--watch", is_flag=True, help="Stay until it is done; fails when a file has failed.")
@daemon_command
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
        guessed = guess_importer(file.name, stream.read(4096))
    if kind is None and guessed is not None:
        kind = guessed.key
    if kind is None:
        raise click.UsageError(f"{file} is no list that can be imported; if it is one after all, say what with --kind")
    await client.imports.upload(importer_key=kind, file_name=file.name, file=_read_chunks(file))
    data = await _poll_data(client)
    if look:
        terminal.write_result(data, _format_contents(data))
        return
    known = {channel.name: channel.channel_id for channel in data.channels}
    unknown = [name for name in channels if name not in known]
    if unknown:
        raise click.UsageError(
            f"there is no channel {', '.join(unknown)}; there are {', '.join(sorted(known)) or 'none'}"
        )
    selection = {"list": [known[name] for name in channels]} if channels else {"all": True}
    await client.imports.start(users={"all": True}, channels=selection)
    terminal.write_text(_format_contents(data))
    count = await client.imports.download_files()
    if avatars:
        count += await client.imports.download_avatars()
    if not watch:
        terminal.write_result(
            CountResponse(success=True, count=count), f"{formatting.format_count(count, 'file')} to be fetched."
        )
        return
    operation, progress = await _wait_until_finished(client, terminal)
    file_counts = progress.count
    terminal.write_result(
        progress, f"{file_counts.completed} of {file_counts.total} files are there, {file_counts.error} have failed."
    )
    if operation.status is not ImportStatus.DONE or file_counts.error:
        why = operation.reason if isinstance(operation.reason, str) else "some files have failed"
        hint = "See downloadctl history --status failed; downloadctl retry tries one again."
        raise CommandError(
            ExitStatus.FAILED, f"The import is not complete: {formatting.replace_unprintable(why)}.", hint
        )


async def _read_chunks(file: Path) -> AsyncIterator[bytes]:
    stream = await asyncio.to_thread(file.open, "rb")
    with stream:
        while chunk := await asyncio.to_thread(stream.read, UPLOAD_CHUNK_BYTES):
            yield chunk


async def _poll_data(client: Client) -> FileDataResponse:
    while True:
        data = await client.imports.data()
        if not isinstance(data, WaitingResponse):
            return data
        await asyncio.sleep(POLL_SECONDS)


def _format_contents(data: FileDataResponse) -> str:
    names = ", ".join(formatting.replace_unprintable(channel.name) for channel in data.channels)
    parts = (
        formatting.format_count(len(data.users), "user"),
        formatting.format_count(data.message_count, "message"),
        formatting.format_count(len(data.channels), "channel"),
    )
    return f"{', '.join(parts)}: {names}"


async def _wait_until_finished(client: Client, terminal: Terminal) -> tuple[OperationEntry, ImportProgress]:
    said = -1
    while True:
        operation, progress = await client.imports.current(), await client.imports.progress()
        if operation is None:
            report = ErrorReport(error="NOT_FOUND", detail="the import is gone")
            raise CommandError(ExitStatus.FAILED, "The import is gone.", report=report)
        if operation.status in FINISHED_STATUSES:
            return operation, progress
        if progress.count.completed != said and not terminal.as_json:
            said = progress.count.completed
            click.echo(f"{said} of {progress.count.total} files", err=True)
        await asyncio.sleep(POLL_SECONDS)
