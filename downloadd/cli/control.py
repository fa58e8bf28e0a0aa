"""Commands that do something to downloads: `pause`, `resume`, `retry`, `cancel` and `set`."""

from collections.abc import Awaitable, Callable
from typing import Any

import click
import msgspec

from downloadd.cli import completion, formatting
from downloadd.cli.download_ids import resolve_ids, shorten_id
from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus
from downloadd.cli.follow import MAX_ACTIVE
from downloadd.cli.parameters import SIZE
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import ActiveEntry, ApiError, Client, HistoryEntry, State
from downloadd.client.downloads import Downloads
from downloadd.fronts.rest.schemas import ActiveEntryResponse, HistoryEntryResponse

ControlResponse = ActiveEntryResponse | HistoryEntryResponse
Action = Callable[[Downloads, str], Awaitable[ControlResponse]]


class ControlResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each download that was named."""

    downloads: list[ControlResponse | ErrorReport]
    success: bool


def _build_command(name: str, action: Action, *, all_states: frozenset[State] | None, help_text: str) -> click.Command:
    """A command that does one thing to each download that is named, or to all in these states."""
    what = "ended" if all_states is None else "active"

    @daemon_command
    async def run_control(
        client: Client, terminal: Terminal, *, downloads: tuple[str, ...], everything: bool = False
    ) -> None:
        if bool(downloads) is everything:
            raise click.UsageError("name downloads, or all of them with --all" if all_states else "name downloads")
        if everything:
            listing = await client.files.downloads.list_global(limit=MAX_ACTIVE)
            ids = [entry.id for entry in listing.downloads if all_states is not None and entry.status in all_states]
        else:
            ids = await resolve_ids(client, downloads, HistoryEntry if all_states is None else ActiveEntry)
        await _apply_to_each(client, terminal, ids, action)

    run_control.__doc__ = help_text
    complete = completion.ended_downloads if all_states is None else completion.active_downloads
    run_control = click.argument("downloads", metavar="[DOWNLOAD…]", nargs=-1, shell_complete=complete)(run_control)
    if all_states is not None:
        run_control = click.option("--all", "everything", is_flag=True, help=f"Do it to all {what} downloads.")(
            run_control
        )
    return click.command(name)(run_control)


async def _apply_to_each(client: Client, terminal: Terminal, ids: list[str], action: Action) -> None:
    results: list[ControlResponse | ErrorReport] = []
    refused: list[str] = []
    for id in ids:
        try:
            answer = await action(client.files.downloads, id)
        except ApiError as error:
            if error.status == 401:
                raise
            results.append(ErrorReport(error=error.code, detail=error.detail))
            refused.append(f"{shorten_id(id)}: {' '.join(formatting.format_api_error(error))}")
            continue
        results.append(answer)
        if isinstance(answer, ActiveEntry | HistoryEntry):
            terminal.write_text(f"{answer.message}: {formatting.format_name(answer)}")
    if terminal.as_json:
        terminal.write_json(ControlResult(downloads=results, success=not refused))
    elif not ids:
        terminal.write_text("There is nothing to do.")
    if refused:
        raise CommandError(ExitStatus.FAILED, *refused)


_PAUSABLE_STATES = frozenset({State.QUEUED, State.STARTING, State.DOWNLOADING, State.RETRYING, State.VERIFYING})

pause = _build_command(
    "pause",
    Downloads.pause,
    all_states=_PAUSABLE_STATES,
    help_text="""Hold downloads until they are resumed; what has come is kept.

    \b
    Examples:
      downloadctl pause debian.iso
      downloadctl pause --all
    """,
)
resume = _build_command(
    "resume",
    Downloads.resume,
    all_states=frozenset({State.PAUSED}),
    help_text="""Let paused downloads go on where they were.

    \b
    Example:
      downloadctl resume --all
    """,
)
retry = _build_command(
    "retry",
    Downloads.retry,
    all_states=None,
    help_text="""Try downloads again that have failed, or were cancelled or skipped.

    \b
    Examples:
      downloadctl retry 44979deb2644
      downloadctl history --status failed --json | jq -r '.history[].id' | xargs downloadctl retry
    """,
)
cancel = _build_command(
    "cancel",
    Downloads.cancel,
    all_states=frozenset({*_PAUSABLE_STATES, State.PAUSED}),
    help_text="""End downloads and remove what has come of them.

    \b
    Example:
      downloadctl cancel debian.iso
    """,
)


@click.command("set")
@click.argument("download", shell_complete=completion.active_downloads)
@click.option("-p", "--priority", type=int, help="Higher starts first.")
@click.option("-l", "--limit", "speed_limit", type=SIZE, help="Bytes a second, such as '2 MiB'; 0 for no limit.")
@click.option("-u", "--from", "url", metavar="URL", help="Go on from this address; the file must be the same.")
@daemon_command
async def set_(client: Client, terminal: Terminal, /, *, download: str, **changes: Any) -> None:
    """Change a download that has not ended.

    \b
    Examples:
      downloadctl set debian.iso --limit '500 KiB'
      downloadctl set debian.iso --priority 10
    """
    if all(value is None for value in changes.values()):
        raise click.UsageError("say what to change: --priority, --limit or --from")
    [id] = await resolve_ids(client, (download,))
    answer = await client.files.downloads.change(id, **changes)
    terminal.write_result(answer, f"{answer.message}: {formatting.format_name(answer)}")
