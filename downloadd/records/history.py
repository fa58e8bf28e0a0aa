"""Filters of listings and of history pages, turned into SQL.

Pure: no I/O and no clock.
"""

from typing import Any, Final

import msgspec

from downloadd.records.columns import COLUMNS, names
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.records.rows import bindable

FOLDED_CONTAINS: Final = "folded_contains"
"""Name of the SQL function that calls `folded_contains`; every connection that runs a search has it."""

# Put together from our own names only.
_LONGEST_PATTERN: Final = 10_000


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A statement and the values of its parameters."""

    sql: str
    """Gives rows of `COLUMNS`."""
    seqs: str
    """Gives the `seq` of the same rows alone, with the same parameters."""
    parameters: tuple[Any, ...]


def active_query(wanted: ActiveFilter) -> Query:
    """Selects a listing, oldest first."""
    index = "downloads_active" if wanted.directory is None else "downloads_active_directory"
    terms = ["ended_seq IS NULL", "seq > ?"]
    parameters: list[Any] = [wanted.after_seq]
    if wanted.directory is not None:
        terms.append("directory = ?")
        parameters.append(wanted.directory)
    if wanted.states:
        terms.append(f"state IN ({', '.join('?' * len(wanted.states))})")
        parameters.extend(state.value for state in wanted.states)
    limit = 0 if wanted.states is not None and not wanted.states else wanted.limit
    return _query(index, terms, parameters, "seq", limit)


def history_query(wanted: HistoryFilter) -> Query:
    """Selects a page of history, newest end first, or oldest first with `after_ended_seq`."""
    index = "downloads_ended"
    terms = ["ended_seq IS NOT NULL"]
    parameters: list[Any] = []
    if wanted.before_ended_seq is not None:
        terms.append("ended_seq < ?")
        parameters.append(wanted.before_ended_seq)
    if wanted.after_ended_seq is not None:
        terms.append("ended_seq > ?")
        parameters.append(wanted.after_ended_seq)
    if wanted.state is not None:
        index = "downloads_ended_state"
        terms.append("state = ?")
        parameters.append(wanted.state.value)
    if wanted.directory is not None:
        # Of the two, the directory leaves fewer rows: most downloads complete.
        index = "downloads_ended_directory"
        terms.append("directory = ?")
        parameters.append(wanted.directory)
    if wanted.contains:
        if wanted.contains.isascii() and len(wanted.contains) <= _LONGEST_PATTERN:
            terms.append("(shown_url LIKE ? ESCAPE '\\' OR filename LIKE ? ESCAPE '\\')")
            needle = f"%{escape_like(wanted.contains)}%"
        else:
            # LIKE folds the case of ASCII letters only, and its patterns have a longest length.
            terms.append(f"({FOLDED_CONTAINS}(shown_url, ?) OR {FOLDED_CONTAINS}(filename, ?))")
            needle = wanted.contains.lower()
        parameters += [needle, needle]
    order = "ended_seq DESC" if wanted.after_ended_seq is None else "ended_seq"
    return _query(index, terms, parameters, order, wanted.limit)


def escape_like(text: str) -> str:
    r"""The pattern that matches `text` itself in a LIKE with ESCAPE '\'."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def folded_contains(text: str | bytes | None, needle: str | bytes | None) -> bool:
    """Whether `text` contains the lower-case `needle` when its letters are made lower-case, all of Unicode's."""
    return isinstance(text, str) and isinstance(needle, str) and needle in text.lower()


def _query(index: str, terms: list[str], parameters: list[Any], order: str, limit: int) -> Query:
    # The index is named, so that no statistics can talk the planner into sorting a million rows for one page.
    rest = f"FROM downloads INDEXED BY {index} WHERE {' AND '.join(terms)} ORDER BY {order} LIMIT ?"
    return Query(
        sql=f"SELECT {names(COLUMNS)} {rest}",
        seqs=f"SELECT seq {rest}",
        parameters=bindable([*parameters, max(limit, 0)]),
    )
