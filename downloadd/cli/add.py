"""`add`: start downloads, and optionally wait until they have ended."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

import click
import msgspec
from rich.text import Text

from downloadd.cli import completion, formatting
from downloadd.cli.download_ids import shorten_id
from downloadd.cli.errors import CommandError, ExitStatus
from downloadd.cli.follow import follow
from downloadd.cli.links import find_links
from downloadd.cli.request_options import pop_request_fields, request_options
from downloadd.cli.struct_options import given_values, struct_options
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import BatchItem, BatchResponse, Client, HistoryEntry, StartResponse
from downloadd.download_request import StartParameters
from downloadd.errors import ERRORS
from downloadd.fronts.rest.schemas import MAX_ITEMS
from downloadd.states import UNSUCCESSFUL

SINGLE_FILE_PARAMETERS: Final = ("filename", "mirrors", "checksum")
"""Parameters that make sense for one file only."""


class WatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of the history of the downloads that were watched."""

    history: list[HistoryEntry]
    success: bool


@click.command()
@click.argument("urls", metavar="URL…", nargs=-1)
@click.option(
    "-i",
    "--input",
    "lists",
    metavar="FILE",
    multiple=True,
    type=click.File(encoding="utf-8", errors="replace"),
    help="Download all links of a text as well; - is standard input.",
)
@click.option(
    "-d", "--dir", "directory", default="", shell_complete=completion.directories,
    help="Destination below the storage root; the root itself if it is not given.",
)  # fmt: skip
@click.option("-m", "--mirror", "mirrors", multiple=True, metavar="URL", help="Another URL of the same file.")
@struct_options(StartParameters)
@request_options
@click.option("-w", "--watch", is_flag=True, help="Wait until all have ended; fail if one failed.")
@daemon_command
async def add(
    client: Client,
    terminal: Terminal,
    /,
    *,
    urls: tuple[str, ...],
    lists: Sequence[TextIO],
    watch: bool,
    **parameters: Any,
) -> None:
    """Start downloads.

    \b
    Examples:
      downloadctl add https://www.rfc-editor.org/rfc/rfc9110.txt
      downloadctl add --dir iso --watch --checksum sha-256=… https://…/debian.iso
      downloadctl add --input links.txt --limit '2 MiB'
      downloadctl add --user alice --referer https://…/ https://…/report.pdf
      xclip -o | downloadctl add -i -
    """
    requested_urls = [*urls, *_read_links(lists)]
    fields = pop_request_fields(parameters, requested_urls)
    items = make_items(requested_urls, parameters | fields)
    results: list[StartResponse] = []
    for first in range(0, len(items), MAX_ITEMS):
        results += (await client.files.downloads.batch(items[first : first + MAX_ITEMS])).downloads
    for url, result in zip(requested_urls, results, strict=True):
        _write_start(terminal, url, result)
    if watch:
        await _watch(client, terminal, results)
    else:
        _report_starts(terminal, results)


def make_items(urls: Sequence[str], parameters: Mapping[str, Any]) -> list[BatchItem]:
    """Return a batch item with the given parameters for each URL.

    Raises:
        click.UsageError: There is no URL, or there are several with a parameter for one file.
    """
    if not urls:
        raise click.UsageError("name at least one URL, or a text with --input")
    if len(urls) > 1 and any(parameters.get(name) for name in SINGLE_FILE_PARAMETERS):
        raise click.UsageError("--name, --mirror and --checksum are for one file; name one URL")
    # Without an answer that waits, nothing else should end a download that goes on.
    given = {"timeout": 0, **given_values(parameters)}
    return [msgspec.convert({"url": url, **given}, BatchItem) for url in urls]


def _read_links(lists: Sequence[TextIO]) -> list[str]:
    urls: list[str] = []
    for text in lists:
        found = find_links(text)
        if not found:
            raise click.UsageError(f"there is no link in {text.name}; links begin with http:// or https://")
        urls += found
    return urls


def _report_starts(terminal: Terminal, results: list[StartResponse]) -> None:
    refused = [result for result in results if not result.success]
    if terminal.as_json:
        terminal.write_json(BatchResponse(downloads=results, success=not refused))
    if refused:
        raise CommandError(ExitStatus.FAILED, _format_failures(len(refused), len(results), "refused"))


async def _watch(client: Client, terminal: Terminal, results: list[StartResponse]) -> None:
    refused = [result for result in results if not result.success]
    ended = await _follow(client, terminal, [result.download_id for result in results if result.success])
    failed = [entry for entry in ended if entry.status in UNSUCCESSFUL]
    if terminal.as_json:
        stored = [await client.files.downloads.get(result.download_id) for result in refused]
        entries = [*ended, *(entry for entry in stored if isinstance(entry, HistoryEntry))]
        terminal.write_json(WatchResult(history=entries, success=not failed and not refused))
    if failed or refused:
        codes = dict.fromkeys(entry.error for entry in failed if entry.error is not None)
        advice = [f"{ERRORS[code].resolution}." for code in codes]
        summary = _format_failures(len(failed) + len(refused), len(results), "not completed")
        raise CommandError(ExitStatus.FAILED, summary, *advice)


async def _follow(client: Client, terminal: Terminal, ids: list[str]) -> list[HistoryEntry]:
    if terminal.as_json:
        ended = await follow(client, ids, lambda event: None)
    else:
        with terminal.progress_display() as display:
            ended = await follow(client, ids, display.handle_event)
    return [ended[id] for id in ids]


def _write_start(terminal: Terminal, url: str, result: StartResponse) -> None:
    if result.success:
        line = Text(f"{shorten_id(result.download_id)}  {formatting.replace_unprintable(result.path or url)}")
        line.stylize("cyan", 0, len(shorten_id(result.download_id)))
        terminal.write_text(line)
    elif not terminal.as_json:
        detail = result.detail if isinstance(result.detail, str) else None
        code = result.error or "INTERNAL_ERROR"
        click.echo(formatting.replace_unprintable(f"{url}: {formatting.format_error(code, detail)}"), err=True)
        if (resolution := formatting.get_resolution(code)) is not None:
            click.echo(f"  {resolution}.", err=True)


def _format_failures(failures: int, total: int, outcome: str) -> str:
    if total == 1:
        return f"The download was {outcome}."
    return f"{failures} of {total} downloads were {outcome}."
