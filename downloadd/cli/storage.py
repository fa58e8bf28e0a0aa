"""The command `storage`: shows the space of the storage root, and confirms a change of it."""

import re
from typing import Final

import click
import msgspec
from rich.table import Table

from downloadd.cli import formatting
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import Client

_SAMPLE: Final = re.compile(
    r'^(downloadd_(?:storage|quota)_\w+_bytes)(?:\{directory="((?:[^"\\]|\\.)*)"\})? (\S+)$', re.MULTILINE
)
"""Line of the metrics about space (Prometheus text format)."""


class QuotaEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A directory with a quota; bytes."""

    directory: str
    used: int
    limit: int


class StorageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The space of the storage root; bytes."""

    storage: str
    """`ok`, or the reason why no download starts."""
    free: int
    size: int
    reserved: int
    """Bytes that stay free (`storage.min_free`)."""
    quotas: list[QuotaEntry]


def parse_space(metrics: str, *, storage: str) -> StorageEntry:
    """Return the space in the metrics of the daemon; 0 for what they leave out."""
    found = {(name, _unescape(directory)): round(float(value)) for name, directory, value in _SAMPLE.findall(metrics)}
    directories = [directory for name, directory in found if name == "downloadd_quota_limit_bytes"]
    return StorageEntry(
        storage=storage,
        free=found.get(("downloadd_storage_free_bytes", ""), 0),
        size=found.get(("downloadd_storage_size_bytes", ""), 0),
        reserved=found.get(("downloadd_storage_reserved_bytes", ""), 0),
        quotas=[
            QuotaEntry(
                directory=directory,
                used=found.get(("downloadd_quota_used_bytes", directory), 0),
                limit=found["downloadd_quota_limit_bytes", directory],
            )
            for directory in directories
        ],
    )


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda escaped: "\n" if escaped[1] == "n" else escaped[1], text)


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")
@click.pass_context
def storage(context: click.Context, *, as_json: bool) -> None:
    """Show the space of the storage root, or confirm a change of it.

    \b
    Examples:
      downloadctl storage
      downloadctl storage accept
    """
    if context.invoked_subcommand is None:
        context.invoke(show, as_json=as_json)


@storage.command()
@daemon_command
async def show(client: Client, terminal: Terminal) -> None:
    """Show free space, the space that stays free, and quotas.

    \b
    Example:
      downloadctl storage show
    """
    health = await client.health()
    entry = parse_space(await client.metrics(), storage=health.storage)
    table = Table.grid(padding=(0, 2))
    table.add_row("state", entry.storage)
    table.add_row("free", f"{formatting.format_size(entry.free)} of {formatting.format_size(entry.size)}")
    table.add_row("stays free", f"{formatting.format_size(entry.reserved)} (storage.min_free)")
    for quota in entry.quotas:
        used = f"{formatting.format_size(quota.used)} of {formatting.format_size(quota.limit)}"
        table.add_row("quota", f"{used} in {formatting.replace_unprintable(quota.directory or 'the storage root')}")
    terminal.write_result(entry, table)


@storage.command()
@daemon_command
async def accept(client: Client, terminal: Terminal) -> None:
    """Use the storage root that is there now, though another one was used before.

    Until then no download starts. If only a disk is not mounted, mount it instead: the queue goes on by itself.

    \b
    Example:
      downloadctl storage accept
    """
    response = await client.accept_storage()
    terminal.write_result(response, f"{response.message} ({response.filesystem}, device {response.device}).")
