"""`probe`: what a download of a URL would find, before it starts."""

from typing import Any, Final

import click
import msgspec
from rich.table import Table

from downloadd.cli import formatting
from downloadd.cli.request_options import pop_request_fields, request_options
from downloadd.cli.struct_options import given_values, struct_options
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client, ProbeBody, ProbeResponse
from downloadd.request_fields import RequestFields

_OTHER_OPTIONS: Final = frozenset({"url", *RequestFields.__struct_fields__})
"""Fields that are an argument, or have options of their own."""


@click.command()
@click.argument("url", metavar="URL")
@struct_options(ProbeBody, exclude=_OTHER_OPTIONS)
@request_options
@daemon_command
async def probe(client: Client, terminal: Terminal, /, *, url: str, **parameters: Any) -> None:
    """Show what a download of a URL would find: name, size, type, and if it can be resumed. Nothing is saved.

    The origin receives a GET for the first byte of the file. A link that works once may be used up by it.

    \b
    Examples:
      downloadctl probe https://www.rfc-editor.org/rfc/rfc9110.txt
      downloadctl probe --user alice https://…/report.pdf && downloadctl add --user alice https://…/report.pdf
    """
    fields = pop_request_fields(parameters, [url])
    found = await client.files.downloads.probe(
        msgspec.convert({"url": url, **given_values(parameters), **fields}, ProbeBody)
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in list_facts(found):
        table.add_row(name, formatting.replace_unprintable(value))
    terminal.write_result(found, table)


def list_facts(found: ProbeResponse) -> list[tuple[str, str]]:
    """Return name and value of each fact that is known."""
    rows = [
        ("file", found.filename),
        ("size", "unknown" if found.size is None else f"{formatting.format_size(found.size)} ({found.size} B)"),
        ("type", found.content_type or ""),
        ("from", found.url),
        ("redirects", str(found.redirects or "")),
        ("ranges", "yes" if found.ranges else "no"),
        ("resume", "possible" if found.resumable else "not possible: a download that breaks off starts over"),
        ("entity tag", found.etag or ""),
        ("modified", "" if found.last_modified is None else formatting.format_time(found.last_modified)),
        ("checksum", found.checksum or ""),
        ("warning", found.warning or ""),
    ]
    return [(name, value) for name, value in rows if value]
