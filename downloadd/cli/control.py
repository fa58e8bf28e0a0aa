"""Commands that change downloads: `pause`, `resume`, `retry`, `cancel`, `move` and `set`."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import click
import msgspec
from msgspec import UNSET
from msgspec.structs import asdict

from downloadd.bulk_actions import BulkAction
from downloadd.cli import completion, formatting
from downloadd.cli.download_ids import resolve_ids, shorten_id
from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus
from downloadd.cli.follow import MAX_ACTIVE
from downloadd.cli.parameters import Place
from downloadd.cli.request_options import pop_request_fields, request_options
from downloadd.cli.struct_options import given_values, struct_options
from downloadd.cli.terminal import Terminal, daemon_command
from downloadd.client import ActiveEntry, ActiveEntryResponse, ApiError, Client, HistoryEntry, HistoryEntryResponse
from downloadd.client.downloads import Downloads
from downloadd.fronts.rest.bulk_schemas import MAX_BULK_IDS, BulkResult
from downloadd.fronts.rest.item_bodies import AmendBody
from downloadd.fronts.rest.queue_schemas import ChangeCountResponse, MoveTo
from downloadd.fronts.rest.schemas import RetryBody
from downloadd.request_fields import RequestFields
from downloadd.states import ACTIVE, Trigger, allowing

NOTHING_TO_CHANGE: Final = "No download to change."

ControlResponse = ActiveEntryResponse | HistoryEntryResponse
Action = Callable[..., Awaitable[ControlResponse]]
"""Action on the download with an id; further arguments are the options of the command."""


ActionOnAll = Callable[[Downloads], Awaitable[ChangeCountResponse]]
"""Action on all downloads that allow it."""


class ControlResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the action on each download."""

    downloads: list[ControlResponse | ErrorReport]
    success: bool


def _make_command(
    trigger: Trigger, action: Action, help_text: str, *, apply_to_all: ActionOnAll | None = None
) -> click.Command:
    """Return a command that applies an action to downloads; with `--all`, to all active ones that allow `trigger`.

    Args:
        trigger: what the action does to a download.
        action: the action on one.
        help_text: the help.
        apply_to_all: the action on all of them in one call; None if there is none.
    """
    states = allowing(trigger) & ACTIVE
    for_finished = trigger is Trigger.RETRY

    @daemon_command
    async def apply(
        client: Client, terminal: Terminal, *, downloads: tuple[str, ...], everything: bool = False, **options: Any
    ) -> None:
        given = given_values(options)
        if given and len(downloads) > 1:
            raise click.UsageError("name one download with --from")
        if bool(downloads) is everything:
            raise click.UsageError("name downloads" if for_finished else "name downloads, or all of them with --all")
        if everything and apply_to_all is not None:
            terminal.write_result(count := await apply_to_all(client.files.downloads), _format_count(count))
            return
        if everything:
            listing = await client.files.downloads.list_global(limit=MAX_ACTIVE)
            ids = [entry.id for entry in listing.downloads if entry.status in states]
        else:
            ids = await resolve_ids(client, downloads, HistoryEntry if for_finished else ActiveEntry)
        await apply_to_each(client, terminal, ids, BulkAction(trigger.value), one=partial(action, **given))

    apply.__doc__ = help_text
    complete = completion.ended_downloads if for_finished else completion.active_downloads
    apply = click.argument("downloads", metavar="[DOWNLOAD…]", nargs=-1, shell_complete=complete)(apply)
    if for_finished:
        apply = struct_options(RetryBody)(apply)
    else:
        apply = click.option("--all", "everything", is_flag=True, help="Apply to all active downloads.")(apply)
    return click.command(trigger.value)(apply)


def _format_count(response: ChangeCountResponse) -> str:
    return f"{response.message}: {response.changed}" if response.changed else NOTHING_TO_CHANGE


async def apply_to_each(
    client: Client, terminal: Terminal, ids: Sequence[str], action: BulkAction, *, one: Action, file: bool = False
) -> None:
    """Apply an action to each download, and report the results.

    Args:
        client: the client.
        terminal: where the results are written.
        ids: the downloads.
        action: the action on several of them, in one call for a thousand.
        one: the same on one of them, with its options.
        file: remove files too.

    Raises:
        CommandError: it was refused for some of them.
    """
    results: list[ControlResponse | ErrorReport] = []
    refused: list[str] = []
    calls, ids = client.files.downloads, list(dict.fromkeys(ids))
    outcomes: list[ControlResponse | ApiError] = []
    if len(ids) == 1:
        outcomes.append(await _capture(one(calls, ids[0])))
    else:
        for start in range(0, len(ids), MAX_BULK_IDS):
            answer = await calls.act(action, ids[start : start + MAX_BULK_IDS], file=file)
            outcomes += map(_read_result, answer.results)
    for id, outcome in zip(ids, outcomes, strict=True):
        if isinstance(outcome, ApiError):
            results.append(ErrorReport(error=outcome.code, detail=outcome.detail))
            refused.append(f"{shorten_id(id)}: {' '.join(formatting.format_api_error(outcome))}")
            continue
        results.append(outcome)
        terminal.write_text(f"{outcome.message}: {formatting.format_name(outcome)}")
    if terminal.as_json:
        terminal.write_json(ControlResult(downloads=results, success=not refused))
    elif not ids:
        terminal.write_text(NOTHING_TO_CHANGE)
    if refused:
        raise CommandError(ExitStatus.FAILED, *refused)


async def _capture(response: Awaitable[ControlResponse]) -> ControlResponse | ApiError:
    try:
        return await response
    except ApiError as error:
        if error.status == 401:
            raise
        return error


def _read_result(result: BulkResult) -> ControlResponse | ApiError:
    """Return what the action on this download alone would have returned or raised."""
    if result.active is not UNSET:
        return ActiveEntryResponse(**asdict(result.active), success=True, message=result.message)
    if result.ended is not UNSET:
        return HistoryEntryResponse(**asdict(result.ended), success=True, message=result.message)
    return ApiError(result.error or "", 409, detail=result.detail)


pause = _make_command(
    Trigger.PAUSE,
    Downloads.pause,
    """Pause downloads until they are resumed; their part files stay.

    \b
    Examples:
      downloadctl pause debian.iso
      downloadctl pause --all
    """,
    apply_to_all=Downloads.pause_all,
)
resume = _make_command(
    Trigger.RESUME,
    Downloads.resume,
    """Resume paused downloads.

    \b
    Example:
      downloadctl resume --all
    """,
    apply_to_all=Downloads.resume_all,
)
retry = _make_command(
    Trigger.RETRY,
    Downloads.retry,
    """Start failed, cancelled or skipped downloads again, from the bytes that were kept.

    \b
    Examples:
      downloadctl retry 44979deb2644
      downloadctl retry 44979deb2644 --from https://files.example.com/debian.iso?token=new
      downloadctl history --status failed --json | jq -r '.history[].id' | xargs downloadctl retry
    """,
)
cancel = _make_command(
    Trigger.CANCEL,
    Downloads.cancel,
    """Cancel downloads and remove their part files.

    \b
    Example:
      downloadctl cancel debian.iso
    """,
)


@click.command()
@click.argument("download", shell_complete=completion.active_downloads)
@click.argument("place", type=Place(MoveTo))
@daemon_command
async def move(client: Client, terminal: Terminal, /, *, download: str, place: str | int) -> None:
    """Move a queued or paused download to another PLACE.

    PLACE is top, up, down or bottom, or the index among the queued and paused downloads: 0 for the first, which starts
    next.

    \b
    Examples:
      downloadctl move debian.iso top
      downloadctl move debian.iso 3
    """
    [id] = await resolve_ids(client, (download,))
    response = await client.files.downloads.move(id, place)
    terminal.write_result(
        response, f"{response.message} to index {response.position}: {formatting.format_name(response)}"
    )


@click.command("set")
@click.argument("download", shell_complete=completion.active_downloads)
@struct_options(AmendBody, exclude=("mirrors", *RequestFields.__struct_fields__))
@click.option("-m", "--mirror", "mirrors", multiple=True, metavar="URL", help="Another URL of the same file.")
@request_options
@daemon_command
async def set_(client: Client, terminal: Terminal, /, *, download: str, **parameters: Any) -> None:
    """Change an active download, also while it runs.

    New URLs, mirrors and request fields (--header, --cookie and others, which replace all former ones) restart its
    transfer, which continues with the bytes that it has.

    \b
    Examples:
      downloadctl set debian.iso --limit '500 KiB'
      downloadctl set debian.iso --dir iso/2026 --name debian-13.iso
      downloadctl set debian.iso --max-retries 0
    """
    fields = pop_request_fields(parameters, ())
    changes = given_values(parameters | fields | {"mirrors": parameters["mirrors"] or None})
    if not changes:
        raise click.UsageError("name a change, such as --priority, --limit, --dir or --from; --help lists them")
    [id] = await resolve_ids(client, (download,))
    response = await client.files.downloads.change(id, **changes)
    terminal.write_result(response, f"{response.message}: {formatting.format_name(response)}")
