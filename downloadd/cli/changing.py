"""Commands that do something to downloads: `pause`, `resume`, `retry`, `cancel` and `set`."""

from collections.abc import Awaitable, Callable
from typing import Any

import click
import msgspec

from downloadd.api.bodies import ActiveAnswer, PastAnswer
from downloadd.cli import completion, words
from downloadd.cli.following import MOST_ACTIVE
from downloadd.cli.names import find_ids, tail_of
from downloadd.cli.outcome import Ending, Exit, Problem
from downloadd.cli.parameters import SIZE
from downloadd.cli.terminal import Terminal, asks
from downloadd.client import ActiveEntry, ApiError, Client, PastEntry, State
from downloadd.client.downloads import Downloads

Answer = ActiveAnswer | PastAnswer
Verb = Callable[[Downloads, str], Awaitable[Answer]]


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each download that was named."""

    downloads: list[Answer | Problem]
    success: bool


def _verb(name: str, do: Verb, *, all_of: frozenset[State] | None, explanation: str) -> click.Command:
    """A command that does one thing to each download that is named, or to all in these states."""
    what = "ended" if all_of is None else "active"

    @asks
    async def change(
        client: Client, terminal: Terminal, *, downloads: tuple[str, ...], everything: bool = False
    ) -> None:
        if bool(downloads) is everything:
            raise click.UsageError("name downloads, or all of them with --all" if all_of else "name downloads")
        if everything:
            listing = await client.files.downloads.list_global(limit=MOST_ACTIVE)
            ids = [entry.id for entry in listing.downloads if all_of is not None and entry.status in all_of]
        else:
            ids = await find_ids(client, downloads, PastEntry if all_of is None else ActiveEntry)
        await _do_to_each(client, terminal, ids, do)

    change.__doc__ = explanation
    complete = completion.ended_downloads if all_of is None else completion.active_downloads
    change = click.argument("downloads", metavar="[DOWNLOAD…]", nargs=-1, shell_complete=complete)(change)
    if all_of is not None:
        change = click.option("--all", "everything", is_flag=True, help=f"Do it to all {what} downloads.")(change)
    return click.command(name)(change)


async def _do_to_each(client: Client, terminal: Terminal, ids: list[str], do: Verb) -> None:
    results: list[Answer | Problem] = []
    refused: list[str] = []
    for id in ids:
        try:
            answer = await do(client.files.downloads, id)
        except ApiError as error:
            if error.status == 401:
                raise
            results.append(Problem(error=error.code, detail=error.detail))
            refused.append(f"{tail_of(id)}: {' '.join(words.refusal(error))}")
            continue
        results.append(answer)
        if isinstance(answer, ActiveEntry | PastEntry):
            terminal.say(f"{answer.message}: {words.name_of(answer)}")
    if terminal.as_json:
        terminal.write_json(Changed(downloads=results, success=not refused))
    elif not ids:
        terminal.say("There is nothing to do.")
    if refused:
        raise Ending(Exit.FAILED, *refused)


_GOING = frozenset({State.QUEUED, State.STARTING, State.DOWNLOADING, State.RETRYING, State.VERIFYING})

pause = _verb(
    "pause",
    Downloads.pause,
    all_of=_GOING,
    explanation="""Hold downloads until they are resumed; what has come is kept.

    \b
    Examples:
      downloadctl pause debian.iso
      downloadctl pause --all
    """,
)
resume = _verb(
    "resume",
    Downloads.resume,
    all_of=frozenset({State.PAUSED}),
    explanation="""Let paused downloads go on where they were.

    \b
    Example:
      downloadctl resume --all
    """,
)
retry = _verb(
    "retry",
    Downloads.retry,
    all_of=None,
    explanation="""Try downloads again that have failed, or were cancelled or skipped.

    \b
    Examples:
      downloadctl retry 44979deb2644
      downloadctl history --status failed --json | jq -r '.history[].id' | xargs downloadctl retry
    """,
)
cancel = _verb(
    "cancel",
    Downloads.cancel,
    all_of=frozenset({*_GOING, State.PAUSED}),
    explanation="""End downloads and remove what has come of them.

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
@asks
async def set_(client: Client, terminal: Terminal, /, *, download: str, **changes: Any) -> None:
    """Change a download that has not ended.

    \b
    Examples:
      downloadctl set debian.iso --limit '500 KiB'
      downloadctl set debian.iso --priority 10
    """
    if all(value is None for value in changes.values()):
        raise click.UsageError("say what to change: --priority, --limit or --from")
    [id] = await find_ids(client, (download,))
    answer = await client.files.downloads.change(id, **changes)
    terminal.show(answer, f"{answer.message}: {words.name_of(answer)}")
