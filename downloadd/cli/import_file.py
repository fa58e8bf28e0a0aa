"""`import`: upload an export and download the files that it lists."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from downloadd.cli import formatting
from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus
from downloadd.cli.parameters import INSTANT, INSTANT_HELP
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client, FileDataResponse, ImportProgress, OperationEntry, WaitingResponse
from downloadd.fronts.rocketchat.schemas import CountResponse, SkippedItem
from downloadd.fronts.rocketchat.statuses import FINISHED_STATUSES, ImportStatus
from downloadd.imports.importers import IMPORTERS, guess_importer

UPLOAD_CHUNK_BYTES: Final = 1 << 20
"""Bytes of an upload that one read takes."""
POLL_SECONDS: Final = 0.5
"""Seconds between two queries of the progress."""
MAX_REPORTED: Final = 20
"""Parts of a file that are left out and have a line on the terminal."""

PAGE_ENTRIES: Final = 1000
"""Skipped entries that one request fetches for `--json`."""


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--kind",
    type=click.Choice(list(IMPORTERS)),
    help="Importer of the file; by default chosen by its name and first bytes.",
)
@click.option(
    "--channel",
    "channels",
    metavar="NAME",
    multiple=True,
    help="Only files of the channels with this name or id; repeatable.",
)
@click.option("--avatars", is_flag=True, help="Download avatars of users as well.")
@click.option("--look", is_flag=True, help="Show the contents, and download nothing.")
@click.option("--at", "--not-before", "not_before", type=INSTANT, metavar="TIME", help=INSTANT_HELP)
@click.option("-w", "--watch", is_flag=True, help="Wait until the import is done; fail if a file failed.")
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
    not_before: float | None,
    watch: bool,
) -> None:
    """Upload an export or a list and download the files that it names.

    Only files of this import are downloaded. Exit code 5 says that parts of the file were left out.

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
        raise click.UsageError(f"{file} does not look like a list or an export; name its format with --kind")
    await client.imports.upload(importer_key=kind, file_name=file.name, file=_read_chunks(file))
    data = await _poll_data(client)
    if look:
        await _show_contents(client, terminal, data)
        return
    await client.imports.start(users={"all": True}, channels=select_channels(data, channels))
    terminal.write_text(_format_contents(data))
    started = require_current(await client.imports.current())
    left_out = started.count.skipped
    if not terminal.as_json:
        await _report_left_out(client, started)
    fetches = [client.imports.download_files, *([client.imports.download_avatars] if avatars else [])]
    if watch:
        failure: CommandError | None = None
        for fetch in fetches:
            # One after the other: the progress is that of the newest operation.
            await fetch(operation=started.id, not_before=not_before)
            try:
                left_out = await follow_run(client, terminal, reported=left_out)
            except CommandError as error:
                # The avatars do not depend on the files.
                failure = failure or error
        if failure is not None:
            raise failure
    else:
        count = sum([await fetch(operation=started.id, not_before=not_before) for fetch in fetches])
        terminal.write_result(
            _add_skipped(
                CountResponse(success=True, count=count),
                await _fetch_skipped(client, started) if terminal.as_json else None,
            ),
            f"{formatting.format_count(count, 'file')} to download.",
        )
    if left_out:
        raise CommandError(
            ExitStatus.INCOMPLETE,
            f"{formatting.format_count(left_out, 'part')} of {file.name} left out.",
            "The manifest of the import lists all of them.",
        )


async def follow_run(client: Client, terminal: Terminal, *, reported: int | None = None) -> int:
    """Wait for the end of the newest run, and write its result; return the number of parts that are left out.

    Args:
        client: the daemon.
        terminal: where the result is written.
        reported: number of such parts that the user knows; None to list none. The run may have found more, in lists of
            checksums.

    Raises:
        CommandError: It was cancelled or failed, or a file failed.
    """
    operation, progress = await _wait_until_finished(client, terminal)
    counts = progress.count
    left_out = f", {counts.skipped} left out" if counts.skipped else ""
    lists_skipped = terminal.as_json and reported is not None
    terminal.write_result(
        _add_skipped(progress, await _fetch_skipped(client, operation) if lists_skipped else None),
        f"{counts.completed} of {counts.total} files completed, {counts.error} failed{left_out}.",
    )
    if reported is not None and not terminal.as_json:
        await _report_left_out(client, operation, reported)
    if operation.status is not ImportStatus.DONE or counts.error:
        reason = operation.reason if isinstance(operation.reason, str) else "some files failed"
        hint = (
            f"downloadctl import-retry {operation.id} tries them again, "
            f"downloadctl import-end {operation.id} --give-up gives them up; see downloadctl history --status failed."
        )
        raise CommandError(
            ExitStatus.FAILED, f"The import is not complete: {formatting.replace_unprintable(reason)}.", hint
        )
    return counts.skipped


def require_current(operation: OperationEntry | None) -> OperationEntry:
    """Return the newest operation.

    Raises:
        CommandError: There is none: it was removed meanwhile.
    """
    if operation is None:
        report = ErrorReport(error="NOT_FOUND", detail="the import was removed")
        raise CommandError(ExitStatus.FAILED, "The import was removed.", report=report)
    return operation


def format_left_out(item: SkippedItem) -> str:
    """Return one line about a part of the file that is left out."""
    if item.entry is None:
        # The detail may begin with the line.
        line = "" if item.line is None else f"line {item.line}"
        place = "" if item.detail.startswith(f"{line}:") else line
    else:
        place = item.entry if item.line is None else f"{item.entry}:{item.line}"
    return formatting.replace_unprintable(": ".join(part for part in (place, item.detail, item.reason) if part))


def select_channels(data: FileDataResponse, names: Sequence[str]) -> dict[str, Any]:
    """Return the selection of all channels with these names or ids; without names, of all channels.

    Teams of one export may have channels of the same name.

    Raises:
        click.UsageError: The export has no channel with one of the names or ids.
    """
    if not names:
        return {"all": True}
    ids: dict[str, dict[str, None]] = {}
    for channel in data.channels:
        for text in (channel.name, channel.channel_id):
            ids.setdefault(text, {})[channel.channel_id] = None
    unknown = [name for name in names if name not in ids]
    if unknown:
        known = ", ".join(sorted(_name_channels(data))) or "none"
        raise click.UsageError(f"there is no channel {', '.join(unknown)}; there are {known}")
    return {"list": list(dict.fromkeys(id for name in names for id in ids[name]))}


def _name_channels(data: FileDataResponse) -> list[str]:
    """Return the names of the channels; those that several channels have with the ids."""
    counts = Counter(channel.name for channel in data.channels)
    return [
        formatting.replace_unprintable(
            channel.name if counts[channel.name] == 1 else f"{channel.name} ({channel.channel_id})"
        )
        for channel in data.channels
    ]


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


async def _show_contents(client: Client, terminal: Terminal, data: FileDataResponse) -> None:
    """Show the contents of a file of which nothing is downloaded, and the parts that would be left out."""
    operation = require_current(await client.imports.current())
    skipped = await _fetch_skipped(client, operation) if terminal.as_json else None
    terminal.write_result(_add_skipped(data, skipped), _format_contents(data))
    if not terminal.as_json:
        await _report_left_out(client, operation)


def _format_contents(data: FileDataResponse) -> str:
    parts = (
        formatting.format_count(len(data.users), "user"),
        formatting.format_count(data.message_count, "message"),
        formatting.format_count(len(data.channels), "channel"),
    )
    return f"{', '.join(parts)}: {', '.join(_name_channels(data))}"


async def _wait_until_finished(client: Client, terminal: Terminal) -> tuple[OperationEntry, ImportProgress]:
    reported = -1
    while True:
        operation, progress = require_current(await client.imports.current()), await client.imports.progress()
        if operation.status in FINISHED_STATUSES:
            return operation, progress
        if progress.count.completed != reported and not terminal.as_json:
            reported = progress.count.completed
            click.echo(f"{reported} of {progress.count.total} files", err=True)
        await asyncio.sleep(POLL_SECONDS)


def _add_skipped(
    result: CountResponse | ImportProgress | FileDataResponse, skipped: Sequence[SkippedItem] | None
) -> object:
    """Return a result with the list `skipped`, as JSON has it."""
    return result if skipped is None else {**msgspec.to_builtins(result), "skipped": skipped}


async def _fetch_skipped(client: Client, operation: OperationEntry) -> list[SkippedItem]:
    """Return all skipped entries of an operation."""
    items: list[SkippedItem] = []
    cursor: str | None = None
    while True:
        page = await client.imports.skipped(operation.id, limit=PAGE_ENTRIES, cursor=cursor)
        items += page.skipped
        cursor = page.next
        if cursor is None:
            return items


async def _report_left_out(client: Client, operation: OperationEntry, reported: int = 0) -> None:
    """Write a line for each of the first parts that are left out, without those that were reported already."""
    count = operation.count.skipped - reported
    if count <= 0:
        return
    if reported:
        items = (await _fetch_skipped(client, operation))[reported:][:MAX_REPORTED]
    else:
        items = (await client.imports.skipped(operation.id, limit=MAX_REPORTED)).skipped
    for item in items:
        click.echo(f"left out: {format_left_out(item)}", err=True)
    if count > len(items):
        click.echo(f"left out: {count - len(items)} more", err=True)
