"""The command `remove`: takes finished downloads out of the history."""

from functools import partial

import click

from downloadd.bulk_actions import BulkAction
from downloadd.cli import completion
from downloadd.cli.control import apply_to_each
from downloadd.cli.download_ids import resolve_ids
from downloadd.cli.parameters import DURATION, one_of
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client, HistoryEntry
from downloadd.client.downloads import Downloads
from downloadd.clock import SystemClock
from downloadd.states import FINISHED


@click.command()
@click.argument("downloads", metavar="[DOWNLOAD…]", nargs=-1, shell_complete=completion.ended_downloads)
@click.option("--file", "with_file", is_flag=True, help="Remove the files of the named downloads too.")
@click.option("-q", "--search", "q", metavar="TEXT", help="All downloads whose URL or name contains this.")
@click.option("--status", type=one_of(sorted(FINISHED)), help="All downloads that ended in this state.")
@click.option(
    "-d", "--dir", "directory", shell_complete=completion.directories, help="All downloads to this directory."
)
@click.option("--older-than", type=DURATION, help="All downloads that ended longer ago, such as 30d or 12h.")
@click.option("--kept", is_flag=True, default=None, help="All downloads whose part file is kept for a retry.")
@click.option("--all", "everything", is_flag=True, help="All finished downloads.")
@daemon_command
async def remove(
    client: Client,
    terminal: Terminal,
    *,
    downloads: tuple[str, ...],
    with_file: bool,
    q: str | None,
    status: str | None,
    directory: str | None,
    older_than: int | None,
    kept: bool | None,
    everything: bool,
) -> None:
    """Remove finished downloads from the history, by name or by filters.

    Files stay, unless --file removes those of the named downloads. A file that was changed since stays with its entry.

    \b
    Examples:
      downloadctl remove debian.iso --file
      downloadctl remove --status failed --older-than 30d
    """
    has_filter = any(value is not None for value in (q, status, directory, older_than, kept))
    if [bool(downloads), has_filter, everything].count(True) != 1:
        raise click.UsageError("name downloads, or filters, or all of them with --all")
    if with_file and not downloads:
        raise click.UsageError("--file needs the names of the downloads")
    files = client.files.downloads
    if downloads:
        ids = await resolve_ids(client, downloads, HistoryEntry)
        one = partial(Downloads.remove, file=with_file)
        await apply_to_each(client, terminal, ids, BulkAction.REMOVE, one=one, file=with_file)
        return
    ended_before = None if older_than is None else int(SystemClock().wall()) - older_than
    filters = {"q": q, "status": status, "directory": directory}
    result = await files.remove_history(**filters, ended_before=ended_before, kept=kept)
    terminal.write_result(result, f"{result.message[:1].upper()}{result.message[1:]}.")
