"""The command `wait`: waits for the end of downloads without showing their progress."""

import asyncio

import click

from downloadd.cli import completion
from downloadd.cli.add import WatchResult
from downloadd.cli.download_ids import resolve_ids
from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus
from downloadd.cli.follow import MAX_ACTIVE, follow
from downloadd.cli.progress_display import format_finished
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client
from downloadd.states import UNSUCCESSFUL


@click.command()
@click.argument("downloads", metavar="[DOWNLOAD…]", nargs=-1, shell_complete=completion.active_downloads)
@click.option("-t", "--timeout", type=click.FloatRange(0), metavar="SECONDS", help="Wait no longer; then fail.")
@daemon_command
async def wait(client: Client, terminal: Terminal, *, downloads: tuple[str, ...], timeout: float | None) -> None:
    """Wait until downloads have ended; without names, until all that are active now have. Fail if one failed.

    \b
    Examples:
      downloadctl wait debian.iso && echo completed
      downloadctl wait --timeout 3600
    """
    if downloads:
        ids = await resolve_ids(client, downloads)
    else:
        ids = [entry.id for entry in (await client.files.downloads.list_global(limit=MAX_ACTIVE)).downloads]
    try:
        async with asyncio.timeout(timeout):
            ended = await follow(client, ids, lambda event: None)
    except TimeoutError:
        detail = f"not all downloads ended within {timeout:g} s"
        raise CommandError(
            ExitStatus.FAILED,
            f"{detail[:1].upper()}{detail[1:]}; they continue.",
            report=ErrorReport(error="DOWNLOAD_TIMEOUT", detail=detail),
        ) from None
    entries = [ended[id] for id in dict.fromkeys(ids)]
    failed = [entry for entry in entries if entry.status in UNSUCCESSFUL]
    for entry in entries:
        terminal.write_text(format_finished(entry))
    if terminal.as_json:
        terminal.write_json(WatchResult(history=entries, success=not failed))
    if failed:
        raise CommandError(ExitStatus.FAILED, f"{len(failed)} of {len(entries)} downloads were not completed.")
