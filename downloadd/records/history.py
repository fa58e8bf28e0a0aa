"""SQL of listings and history pages, built from their filters.

Pure: no I/O and no clock.
"""

from typing import Any, Final

import msgspec

from downloadd.records.columns import COLUMNS, PART_DIRECTORY, SUPERSEDED_PART_NAME, names
from downloadd.records.protocol import ActiveFilter, EndedRow, HistoryFilter
from downloadd.records.rows import Row, decode_struct, to_bindable

CONTAINS_FOLDED: Final = "contains_folded"
"""Name of the SQL function that calls `contains_folded`; every reading connection has it."""

UNIQUE_ID_INDEX: Final = "sqlite_autoindex_downloads_1"
"""The index that the column `id` has by its constraint."""
_MAX_LIKE_PATTERN_LENGTH: Final = 10_000
_END_TIME: Final = "coalesce(end_time, start_time)"
"""Time of the end; that of a refusal is its start."""
_ENDED_ROW: Final = f"seq, id, ended_seq, {_END_TIME}, directory, {PART_DIRECTORY}, part_name, {SUPERSEDED_PART_NAME}"


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Statement with the values of its parameters."""

    sql: str
    """Selects rows of `COLUMNS`."""
    seqs: str
    """Selects only the `seq` of the same rows, with the same parameters."""
    ended_rows: str
    """Selects the fields of `EndedRow`, in their order, of the same rows, with the same parameters."""
    parameters: tuple[Any, ...]


def active_query(criteria: ActiveFilter) -> Query:
    """Return the query of a listing, oldest first."""
    index = "downloads_active" if criteria.directory is None else "downloads_active_directory"
    conditions = ["ended_seq IS NULL", "seq > ?"]
    parameters: list[Any] = [criteria.after_seq]
    if criteria.directory is not None:
        conditions.append("directory = ?")
        parameters.append(criteria.directory)
    if criteria.states:
        conditions.append(f"state IN ({', '.join('?' * len(criteria.states))})")
        parameters.extend(state.value for state in criteria.states)
    if criteria.ids is not None:
        index = UNIQUE_ID_INDEX
        conditions.append("id IN (SELECT value FROM json_each(?))")
        parameters.append(msgspec.json.encode(criteria.ids).decode())
    limit = 0 if criteria.states is not None and not criteria.states else criteria.limit
    return _query(index, conditions, parameters, "seq", limit)


def history_query(criteria: HistoryFilter) -> Query:
    """Return the query of a page of history, newest end first, or oldest first with `after_ended_seq`."""
    index = "downloads_ended"
    conditions = ["ended_seq IS NOT NULL"]
    parameters: list[Any] = []
    if criteria.before_ended_seq is not None:
        conditions.append("ended_seq < ?")
        parameters.append(criteria.before_ended_seq)
    if criteria.after_ended_seq is not None:
        conditions.append("ended_seq > ?")
        parameters.append(criteria.after_ended_seq)
    if criteria.state is not None:
        index = "downloads_ended_state"
        conditions.append("state = ?")
        parameters.append(criteria.state.value)
    if criteria.directory is not None:
        # With both, the directory selects fewer rows: most downloads complete.
        index = "downloads_ended_directory"
        conditions.append("directory = ?")
        parameters.append(criteria.directory)
    if criteria.has_part is not None:
        if criteria.has_part:
            # The fewest rows of all.
            index = "downloads_kept"
        conditions.append(f"part_name IS {'NOT NULL' if criteria.has_part else 'NULL'}")
    if criteria.ended_before is not None:
        conditions.append(f"{_END_TIME} < ?")
        parameters.append(criteria.ended_before)
    if criteria.contains:
        condition, needle = _contains(criteria.contains)
        conditions.append(condition)
        parameters += [needle, needle]
    order = "ended_seq DESC" if criteria.after_ended_seq is None else "ended_seq"
    return _query(index, conditions, parameters, order, criteria.limit)


def decode_ended_row(row: Row) -> EndedRow:
    """Return the fields of a finished download.

    Raises:
        StorageError: the row is damaged.
    """
    return decode_struct(row, EndedRow, name=1, kind="download")


def escape_like(text: str) -> str:
    r"""Return the pattern that matches `text` itself in a LIKE with ESCAPE '\'."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def contains_folded(text: str | bytes | None, needle: str | bytes | None) -> bool:
    """Return True if `text`, converted to lower case by the rules of Unicode, contains the lower-case `needle`."""
    return isinstance(text, str) and isinstance(needle, str) and needle in text.lower()


def _contains(text: str) -> tuple[str, str]:
    """Return the condition of a case-insensitive search, and the value of both of its parameters."""
    if text.isascii() and len(text) <= _MAX_LIKE_PATTERN_LENGTH:
        return "(shown_url LIKE ? ESCAPE '\\' OR filename LIKE ? ESCAPE '\\')", f"%{escape_like(text)}%"
    # LIKE ignores the case of ASCII letters only, and SQLite limits the length of its patterns.
    return f"({CONTAINS_FOLDED}(shown_url, ?) OR {CONTAINS_FOLDED}(filename, ?))", text.lower()


def _query(index: str, conditions: list[str], parameters: list[Any], order: str, limit: int) -> Query:
    # The index is named, so that no statistics can make the planner sort a million rows for one page.
    rest = f"FROM downloads INDEXED BY {index} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?"
    return Query(
        sql=f"SELECT {names(COLUMNS)} {rest}",
        seqs=f"SELECT seq {rest}",
        ended_rows=f"SELECT {_ENDED_ROW} {rest}",
        parameters=to_bindable([*parameters, max(limit, 0)]),
    )
