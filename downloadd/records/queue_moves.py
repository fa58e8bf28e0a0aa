"""Moves in the waiting list, run in the transaction of a cursor."""

import sqlite3
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Final

import msgspec

from downloadd.download import Download
from downloadd.queue_move import QueueMove, QueueOrigin
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.download_queries import DownloadQueries, last_used_seq
from downloadd.records.queue_places import Neighbours, QueueEntry, place_between
from downloadd.records.rows import Row, corrupt_row_error
from downloadd.records.writer import Rejection

MAX_POSITION: Final = 10_000
"""Greatest index at which downloads are accepted; finding one takes time in proportion to it, for each of a batch."""

# The SQL is composed of constants of this module only.
_IS_LISTED: Final = "{0}ended_seq IS NULL AND ({0}state IN ('queued', 'paused') OR {0}desired = 'pause')"
LISTED: Final = f"FROM downloads INDEXED BY downloads_queue WHERE {_IS_LISTED.format('')}"
"""Clause that selects the waiting list; the condition is literally that of the index, so that it reads no rows."""
IN_ORDER: Final = "ORDER BY -priority, coalesce(place, seq), seq"
"""Clause for the order of starting."""
FROM_THE_END: Final = "ORDER BY -priority DESC, coalesce(place, seq) DESC, seq DESC"
"""Clause for the opposite order."""
_ENTRIES: Final = f"SELECT seq, priority, place {LISTED} AND seq <> ? {IN_ORDER} LIMIT ? OFFSET ?"
_LAST_ENTRIES: Final = f"SELECT seq, priority, place {LISTED} AND seq <> ? {FROM_THE_END} LIMIT ? OFFSET ?"
_LENGTH: Final = f"SELECT count(*) {LISTED}"
_INDEX: Final = (
    f"SELECT (SELECT count(*) {LISTED} AND -priority < :rank)"
    f" + (SELECT count(*) {LISTED} AND -priority = :rank AND coalesce(place, seq) < :position)"
    f" + (SELECT count(*) {LISTED} AND -priority = :rank AND coalesce(place, seq) = :position AND seq < :seq)"
)
_SET_PLACE: Final = "UPDATE downloads SET priority = ?, place = ? WHERE seq = ?"


class MovedDownload(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a move."""

    before: Download
    after: Download
    index: int
    """The index in the waiting list, from 0."""
    changed: Sequence[QueueEntry]
    """All downloads whose priority or place has changed; those around the new position may be among them."""
    neighbours: Sequence[Download]
    """The rows of those around the new position."""


class MoveTarget(msgspec.Struct, frozen=True, kw_only=True):
    """The position that a download moves to."""

    index: int
    """Index in the waiting list without the download; it may be greater than that of the end."""
    length: int | None = None
    """Length of the list with the download, for an index that is counted from the end."""


class QueueMoves:
    """Moves of downloads in the waiting list. For the writing thread only: each call may be repeated."""

    def __init__(self, queries: DownloadQueries) -> None:
        self._queries = queries
        self._row_reader = RowReader()

    def move(
        self, cursor: sqlite3.Cursor, id: str, move: QueueMove, check: Callable[[Download], None]
    ) -> MovedDownload | Rejection | None:
        """Move a download; see `QueueRecords.move`."""
        try:
            before = self._queries.by_id(cursor.connection, id)
            if before is None:
                return None
            check(before)
        except Exception as error:
            # Raised in the task of the caller.
            return Rejection(error)
        entry = QueueEntry(before.seq, before.control.priority, before.control.place)
        target = _target_of(cursor, entry, move)
        changed, is_end = self._place(cursor, entry, target, end=last_used_seq(cursor.connection) + 1)
        now = changed[0] if changed else entry
        neighbours = [one.seq for one in changed[1:]]
        return MovedDownload(
            before=before,
            after=before.with_control(priority=now.priority, place=now.place),
            # Counting takes some time in a long list.
            index=_length(cursor) - 1 if is_end and target.length is None else target.index,
            changed=changed,
            neighbours=self._queries.by_seqs(cursor.connection, neighbours) if neighbours else (),
        )

    def make_room(self, cursor: sqlite3.Cursor, entry: QueueEntry, position: int) -> list[QueueEntry]:
        """Return a download that is about to be inserted with its place for an index, and others that have changed."""
        changed, _ = self._place(cursor, entry, MoveTarget(index=position), end=entry.seq + 1)
        return changed or [entry]

    def _place(
        self, cursor: sqlite3.Cursor, entry: QueueEntry, target: MoveTarget, *, end: int
    ) -> tuple[list[QueueEntry], bool]:
        """Write the places with which a download stands at an index.

        Return the entries that have changed, and True if the index is the end of the list or beyond.
        """
        size = 1
        while True:
            neighbours = self._read_neighbours(cursor, entry.seq, target, size)
            changed = place_between(entry, neighbours, end=end)
            if changed is not None:
                break
            size *= 8
        cursor.executemany(_SET_PLACE, [(one.priority, one.place, one.seq) for one in changed])
        return changed, not neighbours.after

    def _read_neighbours(self, cursor: sqlite3.Cursor, seq: int, target: MoveTarget, size: int) -> Neighbours:
        """Return up to `size` downloads before and after an index of the waiting list without `seq`."""
        index, first = target.index, max(0, target.index - size)
        count = index - first + size
        if target.length is None:
            rows = self._read(cursor, _ENTRIES, (seq, count, first))
        else:
            # The list is read from its nearer end: to skip entries takes time too.
            others = target.length - 1
            count = min(count, others - first)
            rows = self._read(cursor, _LAST_ENTRIES, (seq, count, others - first - count))[::-1]
        if len(rows) < index - first:
            # The list is shorter: the index is its end.
            last = self._read(cursor, _LAST_ENTRIES, (seq, size, 0))[::-1]
            return Neighbours(before=last, after=(), has_all_before=len(last) < size, has_all_after=True)
        return Neighbours(
            before=rows[: index - first],
            after=rows[index - first :],
            has_all_before=first == 0,
            has_all_after=len(rows) < index - first + size,
        )

    def _read(self, cursor: sqlite3.Cursor, sql: str, parameters: tuple[int, ...]) -> list[QueueEntry]:
        return self._row_reader.rows(cursor.connection, sql, parameters, _decode_entry)


def is_listed(row: str) -> str:
    """Return the condition that a row is in the waiting list; `row` is its name, such as `old` in a trigger."""
    return f"({_IS_LISTED.format(f'{row}.')})"


def _target_of(cursor: sqlite3.Cursor, entry: QueueEntry, move: QueueMove) -> MoveTarget:
    match move.origin:
        case QueueOrigin.START:
            return MoveTarget(index=max(0, move.offset))
        case QueueOrigin.CURRENT:
            return MoveTarget(index=max(0, _index(cursor, entry) + move.offset))
        case QueueOrigin.END:
            length = _length(cursor)
            return MoveTarget(index=max(0, length - 1 + min(0, move.offset)), length=length)


def _length(cursor: sqlite3.Cursor) -> int:
    length: int = cursor.execute(_LENGTH).fetchone()[0]
    return length


def _index(cursor: sqlite3.Cursor, entry: QueueEntry) -> int:
    parameters = {"rank": -entry.priority, "position": entry.position, "seq": entry.seq}
    index: int = cursor.execute(_INDEX, parameters).fetchone()[0]
    return index


def _decode_entry(row: Row) -> QueueEntry:
    seq, priority, place = row
    if type(priority) is not int or type(place) not in {float, int, NoneType}:
        raise corrupt_row_error("waiting download no.", seq, "its priority or place has another type")
    return QueueEntry(seq, priority, place)
