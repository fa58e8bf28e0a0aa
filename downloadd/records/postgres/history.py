"""SQL of listings and history pages, built from their filters.

Pure: no I/O and no clock.
"""

from typing import Any, Final

import msgspec

from downloadd.records.columns import COLUMNS, PART_DIRECTORY
from downloadd.records.postgres.statements import FOLDED, array_of_texts, names
from downloadd.records.protocol import ActiveFilter, EndedRow, HistoryFilter
from downloadd.records.rows import Row, corrupt_row_error, decode_struct

SUPERSEDED_NAME: Final = "superseded"
"""Column with the name of the superseded part file, which `superseded_name` reads."""
_END_TIME: Final = "coalesce(end_time, start_time)"
"""Time of the end; that of a refusal is its start."""
_ENDED_ROW: Final = f"seq, id, ended_seq, {_END_TIME}, directory, {PART_DIRECTORY}, part_name, {SUPERSEDED_NAME}"

# An entry of an index has 2704 bytes at most: the indexes have the beginnings of the directories.
_IN_DIRECTORY: Final = "left(directory, 200) = left(?, 200) AND directory = ?"


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Statement with the values of its parameters."""

    sql: str
    """Selects rows of `COLUMNS`."""
    seqs: str
    """Selects only the `seq` of the same rows, with the same parameters."""
    ended_rows: str
    """Selects what `decode_ended_row` takes, of the same rows, with the same parameters."""
    parameters: tuple[Any, ...]


class _Conditions:
    """Conditions with their parameters."""

    def __init__(self, *conditions: str) -> None:
        self.conditions = list(conditions)
        self.parameters: list[Any] = []

    def add(self, condition: str, value: Any) -> None:
        """Add a condition in which `?` stands for the value."""
        self.parameters.append(value)
        self.conditions.append(condition.replace("?", f"${len(self.parameters)}"))

    def query(self, order: str, limit: int) -> Query:
        """Return the query for the rows that meet all conditions."""
        where = " AND ".join(self.conditions)
        rest = f"FROM downloads WHERE {where} ORDER BY {order} LIMIT ${len(self.parameters) + 1}"
        # The SQL is composed of the names in the table of columns and of constants.
        return Query(
            sql=f"SELECT {names(COLUMNS)} {rest}",
            seqs=f"SELECT seq {rest}",
            ended_rows=f"SELECT {_ENDED_ROW} {rest}",
            parameters=(*self.parameters, max(limit, 0)),
        )


def active_query(criteria: ActiveFilter) -> Query:
    """Return the query of a listing, oldest first."""
    found = _Conditions("ended_seq IS NULL")
    found.add("seq > ?", criteria.after_seq)
    if criteria.directory is not None:
        found.add(_IN_DIRECTORY, criteria.directory)
    if criteria.states is not None:
        found.add("state = ANY(?::text[])", [state.value for state in sorted(criteria.states)])
    if criteria.ids is not None:
        found.add("id = ANY(?::text[])", array_of_texts(criteria.ids))
    return found.query("seq", criteria.limit)


def history_query(criteria: HistoryFilter) -> Query:
    """Return the query of a page of history, newest end first, or oldest first with `after_ended_seq`."""
    part = {None: (), True: ("part_name IS NOT NULL",), False: ("part_name IS NULL",)}[criteria.has_part]
    found = _Conditions("ended_seq IS NOT NULL", *part)
    if criteria.before_ended_seq is not None:
        found.add("ended_seq < ?", criteria.before_ended_seq)
    if criteria.after_ended_seq is not None:
        found.add("ended_seq > ?", criteria.after_ended_seq)
    if criteria.state is not None:
        found.add("state = ?", criteria.state.value)
    if criteria.directory is not None:
        found.add(_IN_DIRECTORY, criteria.directory)
    if criteria.ended_before is not None:
        found.add(f"{_END_TIME} < ?::double precision", criteria.ended_before)
    if criteria.contains:
        found.add(f"strpos({FOLDED}, ?) > 0", criteria.contains.lower())
    return found.query("ended_seq DESC" if criteria.after_ended_seq is None else "ended_seq", criteria.limit)


def decode_ended_row(row: Row) -> EndedRow:
    """Return the fields of a finished download.

    Raises:
        StorageError: the row is damaged.
    """
    *values, superseded = row
    return decode_struct((*values, superseded_name(superseded, row[1])), EndedRow, name=1, kind="download")


class _SupersededName(msgspec.Struct):
    part_name: str


def superseded_name(superseded: str | None, id: str) -> str | None:
    """Return the name of the part file in the column `superseded`.

    Raises:
        StorageError: the column is damaged; `id` names the download.
    """
    if superseded is None:
        return None
    try:
        return msgspec.json.decode(superseded, type=_SupersededName).part_name
    except msgspec.MsgspecError as error:
        raise corrupt_row_error("download", id, "the superseded part is malformed") from error
