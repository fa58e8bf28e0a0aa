"""Selection of downloads by id, by the end of the id, or by file name."""

import re
from typing import Final

from downloadd.cli import formatting
from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus
from downloadd.cli.follow import MAX_ACTIVE
from downloadd.client import ActiveEntry, Client, ErrorCode, HistoryEntry

SHORT_ID_CHARACTERS: Final = 12
"""Characters of an id that listings show; its random end."""
MAX_HISTORY_SEARCHED: Final = 1000
"""Finished downloads that are searched."""
MIN_SHORT_ID_CHARACTERS: Final = 4
"""Shortest end of an id; a shorter word is only a file name."""
MAX_CHOICES: Final = 10
"""Downloads that the message about an ambiguous name lists."""
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def shorten_id(id: str) -> str:
    """Return the part of an id that listings show."""
    return id[-SHORT_ID_CHARACTERS:]


Entry = ActiveEntry | HistoryEntry


async def resolve_ids(client: Client, names: tuple[str, ...], preferred: type[Entry] = ActiveEntry) -> list[str]:
    """Return the whole ids of these downloads; a `preferred` entry wins if several match.

    Raises:
        CommandError: No download matches, or several do.
    """
    if all(_ID.fullmatch(name) for name in names):
        return list(names)
    downloads = client.files.downloads
    entries: list[Entry] = [*(await downloads.list_global(limit=MAX_ACTIVE)).downloads]
    entries += (await downloads.get_history(limit=MAX_HISTORY_SEARCHED)).history
    return [select_id(name, entries, preferred) for name in names]


def select_id(name: str, entries: list[Entry], preferred: type[Entry] = ActiveEntry) -> str:
    """Return the id of the one entry that `name` selects.

    Raises:
        CommandError: No entry matches, or several do.
    """
    if _ID.fullmatch(name):
        return name
    may_be_short_id = len(name) >= MIN_SHORT_ID_CHARACTERS
    found = {entry.id: entry for entry in entries if may_be_short_id and entry.id.endswith(name)}
    found = found or {entry.id: entry for entry in entries if name in {entry.filename, entry.file_path}}
    if len(found) > 1:
        found = {id: entry for id, entry in found.items() if isinstance(entry, preferred)} or found
    if len(found) == 1:
        return next(iter(found))
    raise _ambiguous_error(name, [*found.values()]) if found else _not_found_error(name)


def _not_found_error(name: str) -> CommandError:
    return CommandError(
        ExitStatus.FAILED,
        f"No download has the name {formatting.replace_unprintable(name)}.",
        "See downloadctl list and downloadctl history; an older download needs its whole id.",
        report=ErrorReport(error=ErrorCode.NOT_FOUND, detail=f"no download has the name {name}"),
    )


def _ambiguous_error(name: str, entries: list[Entry]) -> CommandError:
    choices = [
        f"{shorten_id(entry.id)}  {formatting.format_state(entry.status)}  {formatting.format_name(entry)}"
        for entry in entries
    ]
    return CommandError(
        ExitStatus.FAILED,
        f"{len(entries)} downloads have the name {formatting.replace_unprintable(name)}; select one by its id:",
        *choices[:MAX_CHOICES],
        report=ErrorReport(error=ErrorCode.INVALID_PARAMETER, detail=f"{len(entries)} downloads have the name {name}"),
    )
