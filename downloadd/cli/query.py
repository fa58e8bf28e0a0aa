"""Commands that change nothing: `list`, `watch`, `history`, `show`, `status` and `health`."""

from collections import Counter
from typing import Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from downloadd.cli import completion, formatting
from downloadd.cli.download_ids import resolve_ids, shorten_id
from downloadd.cli.errors import CommandError, ExitStatus
from downloadd.cli.follow import MAX_ACTIVE, follow
from downloadd.cli.parameters import one_of
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import (
    ActiveEntry,
    ApiError,
    Client,
    Connected,
    CurrentSettings,
    Disconnected,
    Event,
    HistoryEntry,
    OperationEntry,
    State,
)
from downloadd.fronts.rest.event_types import TYPES_BY_ENTRY, EventEntry
from downloadd.fronts.rest.node_schemas import NodeEntry
from downloadd.fronts.rest.schemas import Listing
from downloadd.fronts.rocketchat.statuses import FINISHED_STATUSES
from downloadd.node import NodeState
from downloadd.states import ACTIVE, FINISHED, UNSUCCESSFUL


class StreamedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its name in the event stream."""

    event: str
    data: EventEntry


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Version and load of the daemon."""

    url: str
    version: str
    storage: str
    """`ok`, or the reason why no download starts."""
    active: dict[str, int]
    """Number of active downloads by state."""
    speed: int
    """Bytes a second of all downloads together."""
    settings: CurrentSettings
    """The limits on all downloads."""
    nodes: list[NodeEntry]
    operation: OperationEntry | None


@click.command("list")
@click.option("-d", "--dir", "directory", shell_complete=completion.directories, help="Only this directory.")
@click.option("--status", type=one_of(sorted(ACTIVE)), help="Only downloads in this state.")
@click.option("--limit", type=click.IntRange(1, MAX_ACTIVE), default=1000, show_default=True, help="Maximum number.")
@daemon_command
async def list_(client: Client, terminal: Terminal, *, directory: str | None, status: str | None, limit: int) -> None:
    """List active downloads, oldest first.

    \b
    Examples:
      downloadctl list
      downloadctl list --status retrying
      downloadctl list --json | jq -r '.downloads[] | select(.speed == 0).id'
    """
    downloads = client.files.downloads
    if directory is None:
        listing = await downloads.list_global(status=status, limit=limit)
    else:
        listing = await downloads.list_active(directory=directory, status=status, limit=limit)
    runs = any(entry.node is not None for entry in listing.downloads)
    has_nodes = runs and not terminal.as_json and len((await client.nodes()).nodes) > 1
    table = build_listing(listing, has_nodes=has_nodes)
    terminal.write_result(listing, table if listing.downloads else "No active downloads.")


def build_listing(listing: Listing, *, has_nodes: bool) -> Table:
    """Return the table of active downloads; with `has_nodes`, also their nodes."""
    table = _build_table("id", "state", "amount", ">speed", ">left", *(("node",) if has_nodes else ()), "file")
    for entry in listing.downloads:
        is_receiving = entry.status is State.DOWNLOADING
        speed = f"{formatting.format_size(entry.speed)}/s" if is_receiving and entry.speed is not None else ""
        left = formatting.format_duration(entry.eta) if is_receiving and entry.eta is not None else ""
        name = Text(formatting.format_name(entry))
        if reason := formatting.format_reason(entry):
            name.append(f"  {reason}", style="dim")
        table.add_row(
            shorten_id(entry.id),
            formatting.format_state(entry.status),
            formatting.format_progress(entry),
            speed,
            left,
            *((formatting.replace_unprintable(entry.node or ""),) if has_nodes else ()),
            name,
        )
    return table


@click.command()
@click.argument("downloads", metavar="[DOWNLOAD…]", nargs=-1, shell_complete=completion.active_downloads)
@daemon_command
async def watch(client: Client, terminal: Terminal, *, downloads: tuple[str, ...]) -> None:
    """Show the progress of the named downloads until they have ended, or of all until it is interrupted.

    On a terminal it shows bars; otherwise it prints a line for each change, or with --json each event.

    \b
    Examples:
      downloadctl watch
      downloadctl watch debian.iso && echo completed
    """
    ids = await resolve_ids(client, downloads) if downloads else None
    if terminal.as_json:
        ended = await follow(client, ids, lambda event: _write_event(terminal, event))
    else:
        with terminal.progress_display() as display:
            ended = await follow(client, ids, display.handle_event)
    failed = [entry for entry in ended.values() if entry.status in UNSUCCESSFUL]
    if failed:
        raise CommandError(ExitStatus.FAILED, f"{len(failed)} of {len(ended)} downloads were not completed.")


def _write_event(terminal: Terminal, event: Event) -> None:
    if not isinstance(event.data, Connected | Disconnected):
        terminal.write_json(StreamedEvent(event=TYPES_BY_ENTRY[type(event.data)].name, data=event.data))


@click.command()
@click.option("-q", "--search", "q", metavar="TEXT", help="Only downloads whose URL or name contains this.")
@click.option("--status", type=one_of(sorted(FINISHED)), help="Only downloads that ended in this state.")
@click.option("-d", "--dir", "directory", shell_complete=completion.directories, help="Only this directory.")
@click.option("--kept", is_flag=True, default=None, help="Only downloads whose part file is kept for a retry.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Maximum number.")
@daemon_command
async def history(client: Client, terminal: Terminal, /, **filters: Any) -> None:
    """List finished downloads, newest first.

    \b
    Examples:
      downloadctl history --status failed
      downloadctl history --search debian --limit 500
      downloadctl history --kept
    """
    page = await client.files.downloads.get_history(**filters)
    table = _build_table("id", "ended", "state", ">size", "file")
    for entry in page.history:
        name = Text(formatting.format_name(entry))
        if reason := formatting.format_reason(entry):
            name.append(f"  {reason}", style="dim")
        if entry.kept_bytes:
            name.append(f"  {formatting.format_kept(entry.kept_bytes)}", style="dim")
        size = "" if entry.total_bytes is None else formatting.format_size(entry.total_bytes)
        table.add_row(
            shorten_id(entry.id),
            formatting.format_time(entry.end_time),
            formatting.format_state(entry.status),
            size,
            name,
        )
    terminal.write_result(page, table if page.history else "No finished download matches.")
    if page.next is not None:
        terminal.write_text(Text("There are more; use --limit, --search or --status.", style="dim"))


@click.command()
@click.argument("download", shell_complete=completion.all_downloads)
@daemon_command
async def show(client: Client, terminal: Terminal, *, download: str) -> None:
    """Show all fields of one download.

    Name it by its id, the end of its id, or its file name.

    \b
    Example:
      downloadctl show debian.iso
    """
    [id] = await resolve_ids(client, (download,))
    entry = await client.files.downloads.get(id)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _list_details(entry):
        table.add_row(name, formatting.replace_unprintable(value))
    terminal.write_result(entry, table)


def _list_details(entry: ActiveEntry | HistoryEntry) -> list[tuple[str, str]]:
    rows = [
        ("id", entry.id),
        ("file", entry.file_path),
        ("from", entry.url),
        ("state", formatting.format_state(entry.status)),
        ("started", formatting.format_time(entry.start_time)),
    ]
    if isinstance(entry, ActiveEntry):
        rows += [
            ("amount", formatting.format_progress(entry)),
            ("speed", "" if entry.speed is None else f"{formatting.format_size(entry.speed)}/s"),
            ("left", "" if entry.eta is None else formatting.format_duration(entry.eta)),
            ("connections", str(entry.connections) if entry.connections > 1 else ""),
            ("attempt", str(entry.attempt)),
            ("priority", str(entry.priority)),
            ("limit", f"{formatting.format_size(entry.speed_limit)}/s" if entry.speed_limit else "none"),
            ("waits for", entry.reason or ""),
            ("node", entry.node or ""),
        ]
    else:
        rows += [
            ("ended", formatting.format_time(entry.end_time)),
            (
                "size",
                ""
                if entry.total_bytes is None
                else f"{formatting.format_size(entry.total_bytes)} ({entry.total_bytes} B)",
            ),
            ("part file", formatting.format_kept(entry.kept_bytes) if entry.kept_bytes else ""),
            ("checksum", entry.checksum or ""),
            ("type", entry.content_type or ""),
            ("resumed by", entry.resumed_by or ""),
            ("user", entry.user),
        ]
    if entry.error is not None:
        rows += [
            ("error", formatting.format_error(entry.error, entry.detail)),
            ("cause", entry.cause or ""),
            ("status of origin", "" if entry.origin_status is None else str(entry.origin_status)),
            ("resolution", formatting.get_resolution(entry.error) or ""),
        ]
    rows.append(("warning", entry.warning or ""))
    return [(name, value) for name, value in rows if value]


@click.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Maximum number.")
@daemon_command
async def hosts(client: Client, terminal: Terminal, *, limit: int) -> None:
    """List the hosts that downloads wait for, and their health.

    A host stands here with scheme and port. Hosts in trouble come first.

    \b
    Examples:
      downloadctl hosts
    """
    found = await client.hosts(limit=limit)
    table = _build_table("host", "state", ">running", ">waiting", "next attempt", "last error")
    for entry in found.hosts:
        table.add_row(
            entry.origin,
            entry.state.value,
            f"{entry.running} of {entry.slots}",
            str(entry.waiting),
            "" if entry.next_attempt is None else formatting.format_time(entry.next_attempt),
            formatting.replace_unprintable(entry.error or ""),
        )
    terminal.write_result(found, table if found.hosts else "No download waits or runs, and no host is in trouble.")
    if found.total > len(found.hosts):
        terminal.write_text(Text(f"There are {found.total}; use --limit.", style="dim"))


@click.command()
@daemon_command
async def status(client: Client, terminal: Terminal) -> None:
    """Check that the daemon answers, and count its downloads.

    \b
    Examples:
      downloadctl status
      downloadctl --url https://dl.example.com status
    """
    health = await client.health()
    active = (await client.files.downloads.list_global(limit=MAX_ACTIVE)).downloads
    try:
        operation = await client.imports.current()
    except ApiError as error:
        # The user lacks the permission to import.
        if error.status != 403:
            raise
        operation = None
    settings = await client.settings()
    counts = Counter(entry.status for entry in active)
    daemon_status = DaemonStatus(
        url=client.base_url,
        version=health.version,
        storage=health.storage,
        active={str(state): counts[state] for state in sorted(ACTIVE)},
        speed=sum(entry.speed or 0 for entry in active),
        settings=settings,
        nodes=(await client.nodes()).nodes,
        operation=operation,
    )
    lines = [f"downloadd {daemon_status.version} at {daemon_status.url}"]
    summary = ", ".join(f"{count} {formatting.format_state(state)}" for state, count in sorted(counts.items()))
    lines.append(f"{summary}; {formatting.format_size(daemon_status.speed)}/s" if summary else "No active downloads.")
    if health.storage != "ok":
        lines.append(f"No download starts: {health.storage}.")
    if not settings.allow_starts:
        by_hours = "" if settings.hours is None else f" ({formatting.format_hours(settings.hours)})"
        lines.append(f"No download starts: allow_starts of the settings is off{by_hours}.")
    if len(daemon_status.nodes) > 1:
        lines += [_format_node(node) for node in daemon_status.nodes]
    if operation is not None and operation.status not in FINISHED_STATUSES:
        file_counts = operation.count
        lines.append(
            f"Import ({operation.type}): {file_counts.completed} of {file_counts.total} files, "
            f"{file_counts.error} failed"
        )
    terminal.write_result(daemon_status, "\n".join(lines))


def _format_node(node: NodeEntry) -> str:
    line = f"Node {node.node} ({node.version}) at {node.url}: {node.state}"
    if node.state is not NodeState.GONE:
        line += f", {node.running} running, {formatting.format_size(node.speed)}/s"
    return line + (f"; differs in {', '.join(node.differs)}" if node.differs else "")


@click.command()
@daemon_command
async def health(client: Client, terminal: Terminal) -> None:
    """Check that the daemon answers; needs no token.

    \b
    Example:
      downloadctl health || systemctl status downloadd
    """
    answer = await client.health()
    terminal.write_result(answer, f"downloadd {answer.version} at {client.base_url}")


def _build_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        is_last = column == columns[-1]
        table.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            no_wrap=not is_last,
            overflow="fold" if is_last else "ellipsis",
        )
    return table
