"""Which download is meant: by its id, the end of its id, or the name of its file."""

import re
from typing import Final

from downloadd.cli import formatting
from downloadd.cli.errors import CommandError, ErrorReport, ExitStatus
from downloadd.cli.follow import MAX_ACTIVE
from downloadd.client import ActiveEntry, Client, ErrorCode, HistoryEntry

SHORT_ID_CHARACTERS: Final = 12
"""Characters of an id that listings show: as many as tell downloads apart."""
MAX_HISTORY_SEARCHED: Final = 1000
"""Ended downloads among which one is looked for."""
MIN_SHORT_ID_CHARACTERS: Final = 4
"""Fewer characters are a name: files are called f and a, too."""
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def shorten_id(id: str) -> str:
    """What a listing shows of an id."""
    return id[-SHORT_ID_CHARACTERS:]


Entry = ActiveEntry | HistoryEntry


async def resolve_ids(client: Client, names: tuple[str, ...], preferred: type[Entry] = ActiveEntry) -> list[str]:
    """The whole ids of these downloads; where several have a name, a `preferred` one is meant.

    Raises:
        CommandError: there is none, or several are meant.
    """
    if all(_ID.fullmatch(word) for word in names):
        return list(names)
    downloads = client.files.downloads
    known: list[Entry] = [*(await downloads.list_global(limit=MAX_ACTIVE)).downloads]
    known += (await downloads.get_history(limit=MAX_HISTORY_SEARCHED)).history
    return [_resolve_id(word, known, preferred) for word in names]


def _resolve_id(word: str, known: list[Entry], preferred: type[Entry]) -> str:
    if _ID.fullmatch(word):
        return word
    may_be_short_id = len(word) >= MIN_SHORT_ID_CHARACTERS
    found = {entry.id: entry for entry in known if may_be_short_id and entry.id.endswith(word)}
    found = found or {entry.id: entry for entry in known if word in {entry.filename, entry.file_path}}
    if len(found) > 1:
        found = {id: entry for id, entry in found.items() if isinstance(entry, preferred)} or found
    if len(found) == 1:
        return next(iter(found))
    if not found:
        detail = f"no download is called {word}"
        advice = "See downloadctl list and downloadctl history; older ones need their whole id."
        raise CommandError(
            ExitStatus.FAILED,
            f"{formatting.replace_unprintable(detail[:1].upper() + detail[1:])}.",
            advice,
            report=ErrorReport(error=ErrorCode.NOT_FOUND, detail=detail),
        )
    choices = [
        f"{shorten_id(entry.id)}  {formatting.STATE_LABELS[entry.status]}  {formatting.format_name(entry)}"
        for entry in found.values()
    ]
    raise CommandError(
        ExitStatus.FAILED,
        f"{len(found)} downloads are called {formatting.replace_unprintable(word)}; name one by its id:",
        *choices[:10],
        report=ErrorReport(error=ErrorCode.INVALID_PARAMETER, detail=f"{len(found)} downloads are called {word}"),
    )
