"""Commands for finished files: `get` and `open`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from downloadd.cli import completion, formatting
from downloadd.cli.download_ids import resolve_ids
from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client, HistoryEntry

PART_SUFFIX = ".downloadctl-part"
"""End of the name of a file that is not complete."""


class ReceivedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was copied to this machine."""

    path: str
    size: int
    success: bool = True


class OpenedLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that was opened."""

    url: str
    success: bool = True


@click.command()
@click.argument("download", shell_complete=completion.ended_downloads)
@click.option("-o", "--output", metavar="FILE", help="File or directory to write; - is standard output.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@daemon_command
async def get(client: Client, terminal: Terminal, *, download: str, output: str | None, force: bool) -> None:
    """Copy the file of a completed download to this machine.

    A copy that was interrupted continues when the command is repeated. It needs the permission read-files.

    \b
    Examples:
      downloadctl get debian.iso
      downloadctl get report.csv -o - | head
    """
    [id] = await resolve_ids(client, (download,), HistoryEntry)
    if output == "-":
        async with client.files.downloads.file(id) as content:
            async for piece in content.pieces():
                sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    entry = await client.files.downloads.get(id)
    target = _choose_target(entry.filename or id, output)
    if target.exists() and not force:
        detail = f"{target} exists"
        raise CommandError(
            ExitStatus.FAILED,
            f"{formatting.replace_unprintable(detail)}; name another file with --output, or replace it with --force.",
            report=ErrorReport(error="FILE_EXISTS", detail=detail),
        )
    size = await _receive(client, id, target)
    shown = formatting.replace_unprintable(str(target))
    terminal.write_result(ReceivedFile(path=str(target), size=size), f"{shown}: {formatting.format_size(size)}")


def _choose_target(name: str, output: str | None) -> Path:
    """Return the file to write; the name of a download has no slashes, and never leads elsewhere."""
    if output is None:
        return Path(Path(name).name)
    target = Path(output)
    return target / Path(name).name if target.is_dir() else target


async def _receive(client: Client, id: str, target: Path) -> int:
    """Write the file below another name, which says whose bytes they are, and rename it."""
    part = target.with_name(f".{target.name}.{id[-12:]}{PART_SUFFIX}")
    tag_file = part.with_suffix(".etag")
    with _reporting(target):
        tag = tag_file.read_text("utf-8") if part.exists() and tag_file.exists() else ""
        start = part.stat().st_size if tag else 0
    async with client.files.downloads.file(id, start=start, if_range=tag) as content:
        # An OSError of the file would be taken for one of the connection.
        with _reporting(target):
            tag_file.write_text(content.entity_tag, "utf-8")
            stream = part.open("r+b" if content.start else "wb")
        with stream:
            with _reporting(target):
                stream.seek(content.start)
                stream.truncate()
            async for piece in content.pieces():
                with _reporting(target):
                    stream.write(piece)
            with _reporting(target):
                stream.flush()
                os.fsync(stream.fileno())
    with _reporting(target):
        part.replace(target)
        tag_file.unlink()
    return content.size


@contextmanager
def _reporting(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        detail = f"{target} cannot be written: {error.strerror or error}"
        raise CommandError(
            ExitStatus.FAILED,
            f"{formatting.replace_unprintable(detail)}.",
            report=ErrorReport(error="STORAGE_ERROR", detail=detail),
        ) from None


@click.command("open")
@click.argument("download", required=False, shell_complete=completion.ended_downloads)
@click.option("--print", "is_printed", is_flag=True, help="Print the link, and open nothing.")
@daemon_command
async def open_(client: Client, terminal: Terminal, *, download: str | None, is_printed: bool) -> None:
    """Open the file of a completed download in the browser, or the web page of the daemon.

    The link to a file works for some hours without a token.

    \b
    Examples:
      downloadctl open
      downloadctl open report.pdf
      downloadctl open debian.iso --print
    """
    url = client.base_url
    if download is not None:
        [id] = await resolve_ids(client, (download,), HistoryEntry)
        # The path of the link begins with the base path of the daemon.
        link = (await client.files.downloads.link(id)).url
        url = f"{client.origin}{link}"
    if not is_printed and click.launch(url) != 0:
        raise CommandError(
            ExitStatus.FAILED,
            f"No browser could be started; open {url}.",
            report=ErrorReport(error="INTERNAL_ERROR", detail="no browser could be started"),
        )
    terminal.write_result(OpenedLink(url=url), url)
