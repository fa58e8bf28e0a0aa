"""`add`: starts downloads, and stays until they have ended if that is asked for."""

from collections.abc import Sequence
from typing import Final, TextIO

import click
import msgspec
from rich.text import Text

from downloadd.cli import completion, formatting
from downloadd.cli.download_ids import shorten_id
from downloadd.cli.errors import CommandError, ExitStatus
from downloadd.cli.follow import follow
from downloadd.cli.links import find_links
from downloadd.cli.parameters import SIZE, one_of
from downloadd.cli.progress_display import SUCCESSFUL_STATES
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import BatchItem, BatchResponse, Client, HistoryEntry, StartResponse
from downloadd.download import Conflict
from downloadd.errors import ERRORS

MAX_BATCH_ITEMS: Final = 10_000
"""Downloads of one batch."""


class WatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """How downloads that were watched have ended, as the history has them."""

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
    help="Take every link of a text, too; - is standard input.",
)
@click.option(
    "-d", "--dir", "directory", default="Downloads", show_default=True, shell_complete=completion.directories,
    help="Destination below the storage root.",
)  # fmt: skip
@click.option("-n", "--name", help="Name for the file, in place of the one that its origin gives it.")
@click.option("-m", "--mirror", "mirrors", multiple=True, metavar="URL", help="Another address of the same file.")
@click.option("-p", "--priority", type=int, default=0, help="Higher starts first.")
@click.option("-l", "--limit", "speed_limit", type=SIZE, default=0, help="Bytes a second, such as '2 MiB'.")
@click.option("-c", "--checksum", help="What the file must be, such as sha-256=<hex>.")
@click.option("-s", "--segments", type=click.IntRange(1, 16), help="Parallel connections.")
@click.option("-t", "--timeout", type=click.IntRange(0), metavar="SECONDS", help="For the whole download.")
@click.option("--conflict", type=one_of(Conflict), help="What to do when the name is taken.")
@click.option("-w", "--watch", is_flag=True, help="Stay until all have ended; fails when one has failed.")
@daemon_command
async def add(
    client: Client,
    terminal: Terminal,
    *,
    urls: tuple[str, ...],
    lists: Sequence[TextIO],
    directory: str,
    name: str | None,
    mirrors: tuple[str, ...],
    watch: bool,
    priority: int,
    speed_limit: int,
    checksum: str | None,
    segments: int | None,
    timeout: int | None,
    conflict: str | None,
) -> None:
    """Start downloads.

    \b
    Examples:
      downloadctl add https://www.rfc-editor.org/rfc/rfc9110.txt
      downloadctl add --dir iso --watch --checksum sha-256=… https://…/debian.iso
      downloadctl add --input links.txt --limit '2 MiB'
      xclip -o | downloadctl add -i -
    """
    requested_urls = [*urls]
    for text in lists:
        found = find_links(text)
        if not found:
            raise click.UsageError(f"there is no link in {text.name}; links begin with http:// or https://")
        requested_urls += found
    if not requested_urls:
        raise click.UsageError("name at least one URL, or a text with --input")
    if (name or mirrors or checksum) and len(requested_urls) > 1:
        raise click.UsageError("--name, --mirror and --checksum are about one file; name one URL")
    items = [
        BatchItem(
            url=url,
            mirrors=list(mirrors),
            directory=directory,
            filename=name,
            timeout=timeout,
            segments=segments,
            checksum=checksum,
            conflict=None if conflict is None else Conflict(conflict),
            priority=priority,
            speed_limit=speed_limit,
        )
        for url in requested_urls
    ]
    answers: list[StartResponse] = []
    for first in range(0, len(items), MAX_BATCH_ITEMS):
        answers += (await client.files.downloads.batch(items[first : first + MAX_BATCH_ITEMS])).downloads
    refused = [answer for answer in answers if not answer.success]
    for url, answer in zip(requested_urls, answers, strict=True):
        _write_start(terminal, url, answer)
    if not watch:
        if terminal.as_json:
            terminal.write_json(BatchResponse(downloads=answers, success=not refused))
        if refused:
            raise CommandError(ExitStatus.FAILED, _format_failures(len(refused), len(answers), "refused"))
        return
    ended = await _follow(client, terminal, [answer.download_id for answer in answers if answer.success])
    failed = [entry for entry in ended if entry.status not in SUCCESSFUL_STATES]
    if terminal.as_json:
        past = [await client.files.downloads.get(answer.download_id) for answer in refused]
        entries = [*ended, *(entry for entry in past if isinstance(entry, HistoryEntry))]
        terminal.write_json(WatchResult(history=entries, success=not failed and not refused))
    if failed or refused:
        codes = dict.fromkeys(entry.error for entry in failed if entry.error is not None)
        advice = [f"{ERRORS[code].resolution}." for code in codes]
        raise CommandError(
            ExitStatus.FAILED, _format_failures(len(failed) + len(refused), len(answers), "not completed"), *advice
        )


def _write_start(terminal: Terminal, url: str, answer: StartResponse) -> None:
    if answer.success:
        line = Text(f"{shorten_id(answer.download_id)}  {formatting.replace_unprintable(answer.path or url)}")
        line.stylize("cyan", 0, len(shorten_id(answer.download_id)))
        terminal.write_text(line)
    elif not terminal.as_json:
        detail = answer.detail if isinstance(answer.detail, str) else None
        code = answer.error or "INTERNAL_ERROR"
        click.echo(
            f"{formatting.replace_unprintable(url)}: {formatting.replace_unprintable(formatting.format_error(code, detail))}",
            err=True,
        )
        if (what_to_do := formatting.get_resolution(code)) is not None:
            click.echo(f"  {what_to_do}.", err=True)


def _format_failures(bad: int, all: int, became: str) -> str:
    return f"The download was {became}." if all == 1 else f"{bad} of {all} downloads were {became}."


async def _follow(client: Client, terminal: Terminal, ids: list[str]) -> list[HistoryEntry]:
    if terminal.as_json:
        ended = await follow(client, ids, lambda event: None)
    else:
        with terminal.progress_display() as display:
            ended = await follow(client, ids, display.handle_event)
    return [ended[id] for id in ids]
