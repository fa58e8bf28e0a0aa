"""Which download is meant: by its id, the end of its id, or the name of its file."""

import re
from typing import Final

from downloadd.cli import words
from downloadd.cli.following import MOST_ACTIVE
from downloadd.cli.outcome import Ending, Exit, Problem
from downloadd.client import ActiveEntry, Client, ErrorCode, PastEntry

TAIL: Final = 12
"""Characters of an id that listings show: as many as tell downloads apart."""
LATEST: Final = 1000
"""Ended downloads among which one is looked for."""
SHORTEST_TAIL: Final = 4
"""Fewer characters are a name: files are called f and a, too."""
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def tail_of(id: str) -> str:
    """What a listing shows of an id."""
    return id[-TAIL:]


Entry = ActiveEntry | PastEntry


async def find_ids(client: Client, wanted: tuple[str, ...], likely: type[Entry] = ActiveEntry) -> list[str]:
    """The whole ids of these downloads; where several have a name, a `likely` one is meant.

    Raises:
        Ending: there is none, or several are meant.
    """
    if all(_ID.fullmatch(word) for word in wanted):
        return list(wanted)
    downloads = client.files.downloads
    known: list[Entry] = [*(await downloads.list_global(limit=MOST_ACTIVE)).downloads]
    known += (await downloads.get_history(limit=LATEST)).history
    return [_meant(word, known, likely) for word in wanted]


def _meant(word: str, known: list[Entry], likely: type[Entry]) -> str:
    if _ID.fullmatch(word):
        return word
    is_tail = len(word) >= SHORTEST_TAIL
    found = {entry.id: entry for entry in known if is_tail and entry.id.endswith(word)}
    found = found or {entry.id: entry for entry in known if word in {entry.filename, entry.file_path}}
    if len(found) > 1:
        found = {id: entry for id, entry in found.items() if isinstance(entry, likely)} or found
    if len(found) == 1:
        return next(iter(found))
    if not found:
        detail = f"no download is called {word}"
        advice = "See downloadctl list and downloadctl history; older ones need their whole id."
        raise Ending(
            Exit.FAILED,
            f"{words.printable(detail[:1].upper() + detail[1:])}.",
            advice,
            problem=Problem(error=ErrorCode.NOT_FOUND, detail=detail),
        )
    choices = [f"{tail_of(entry.id)}  {words.STATES[entry.status]}  {words.name_of(entry)}" for entry in found.values()]
    raise Ending(
        Exit.FAILED,
        f"{len(found)} downloads are called {words.printable(word)}; name one by its id:",
        *choices[:10],
        problem=Problem(error=ErrorCode.INVALID_PARAMETER, detail=f"{len(found)} downloads are called {word}"),
    )
