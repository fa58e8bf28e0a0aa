"""Records of the waiting list: its pages, moves in it, and changes of many downloads at once."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from downloadd.download import Desired, Download
from downloadd.queue_move import QueueMove
from downloadd.records.access import DatabaseAccess
from downloadd.records.columns import COLUMNS, STATES, names
from downloadd.records.corrupt_rows import RowReader
from downloadd.records.download_queries import DownloadQueries, decode_waiting, last_used_seq
from downloadd.records.known_rows import KnownRows
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_moves import FROM_THE_END, IN_ORDER, LISTED, MovedDownload, QueueMoves
from downloadd.records.revisions import Revisions
from downloadd.records.rows import Row, corrupt_row_error, decode, decode_texts
from downloadd.records.writer import Rejection
from downloadd.states import RUNNING, WAITING, State

CHUNK_ROWS: Final = 500
"""Downloads that one transaction pauses or resumes."""


def _words(states: frozenset[State]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


_PAUSED: Final = frozenset({State.PAUSED})
_PAUSABLE: Final = WAITING | RUNNING
_DESIRED: Final = {member.value: member for member in Desired}

# The SQL is composed of the names in the table of columns and in that of the states only.
# ruff: noqa: S608
_WINDOW: Final = f"{LISTED} {IN_ORDER} LIMIT ?2 OFFSET ?1"
_WINDOW_FROM_THE_END: Final = f"{LISTED} {FROM_THE_END} LIMIT ?2 OFFSET ?1"
_CANDIDATES: Final = (
    "SELECT seq, directory FROM downloads INDEXED BY downloads_active "
    "WHERE ended_seq IS NULL AND seq > ? AND seq <= ? AND state IN ({states}) ORDER BY seq LIMIT ?"
)
_CHOSEN: Final = (
    "SELECT seq, origin, user, priority, not_before, place, start_after, state, desired FROM downloads "
    "WHERE seq IN (SELECT value FROM json_each(?)) AND ended_seq IS NULL"
)
# What `lifecycle.pause` and `lifecycle.resume` do to one row: a million rows are not read and written whole.
_PAUSE_WAITING: Final = (
    f"UPDATE downloads SET state = '{State.PAUSED}', desired = '{Desired.PAUSE}', not_before = NULL "
    "WHERE seq IN (SELECT value FROM json_each(?))"
)
_PAUSE_RUNNING: Final = (
    f"UPDATE downloads SET desired = '{Desired.PAUSE}' WHERE seq IN (SELECT value FROM json_each(?))"
)
_RESUME: Final = (
    f"UPDATE downloads SET state = '{State.QUEUED}', desired = '{Desired.RUN}', not_before = NULL, error = NULL, "
    "detail = NULL WHERE seq IN (SELECT value FROM json_each(?))"
)


class ChunkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Range of downloads of which some are changed together."""

    after: int
    """Only downloads with a greater `seq`."""
    until: int
    """Only downloads with this `seq` or a smaller one."""
    with_rows: bool
    """The rows are returned too."""


class ChangedDownload(msgspec.Struct, frozen=True, kw_only=True):
    """A download that was paused or resumed together with others."""

    waiting: WaitingDownload
    """As it waits, or would wait, for a run."""
    before: State
    """The state that it had."""
    row: Download | None = None
    """The row after the change, if it was asked for, or if the download runs."""


class QueueChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the change of some downloads, in one transaction."""

    changed: Sequence[ChangedDownload]
    last_seq: int | None
    """The next chunk begins after this `seq`; None if this is the last one."""


class QueueRecords(Protocol):
    """Queries and changes of the waiting list, for all downloads together. Every change is durable on return."""

    async def move(self, id: str, move: QueueMove, check: Callable[[Download], None]) -> MovedDownload | None:
        """Move a download in one transaction; return None if the id is unknown.

        `check` is called with the row in another thread; if it raises, nothing is written and the exception is raised
        here.
        """
        ...

    async def page(self, offset: int, limit: int) -> list[Download]:
        """Return the waiting list from `offset` on; from the end backwards if it is negative, -1 for the last one."""
        ...

    async def revision(self) -> int:
        """Return a number that grows with each durable change of the order or a row of the list.

        A page that is read afterwards is of this revision or a newer one.
        """
        ...

    async def last_seq(self) -> int:
        """Return the greatest `seq` that was ever assigned."""
        ...

    async def pause_chunk(self, chunk: ChunkRequest, can_use: Callable[[str], bool]) -> QueueChunk:
        """Pause some downloads as `lifecycle.pause` does, in one transaction.

        Downloads in directories for which `can_use` returns False stay as they are. A running one gets the desired
        state only.
        """
        ...

    async def resume_chunk(self, chunk: ChunkRequest, can_use: Callable[[str], bool]) -> QueueChunk:
        """Resume some paused downloads as `lifecycle.resume` does; see `pause_chunk`."""
        ...


class SqliteQueue:
    """`QueueRecords` in the database of the records."""

    def __init__(
        self, access: DatabaseAccess, queries: DownloadQueries, revisions: Revisions, known_rows: KnownRows
    ) -> None:
        self._access = access
        self._queries = queries
        self._revisions = revisions
        self._known_rows = known_rows
        self._moves = QueueMoves(queries)
        self._row_reader = RowReader()

    async def move(self, id: str, move: QueueMove, check: Callable[[Download], None]) -> MovedDownload | None:
        """See `QueueRecords.move`."""

        def write(cursor: sqlite3.Cursor) -> MovedDownload | Rejection | None:
            return self._moves.move(cursor, id, move, check)

        return await self._access.write(write)

    async def page(self, offset: int, limit: int) -> list[Download]:
        """See `QueueRecords.page`."""
        window, skipped = (_WINDOW, offset) if offset >= 0 else (_WINDOW_FROM_THE_END, -1 - offset)
        parameters = (skipped, max(0, limit))

        def find(connection: sqlite3.Connection) -> list[int]:
            return [seq for (seq,) in connection.execute(f"SELECT seq {window}", parameters)]

        page = await self._known_rows.page(self._access, find)
        if page is not None:
            return page
        # The next row takes a damaged row's place.
        sql = f"SELECT {names(COLUMNS)} {window}"
        return await self._access.read(lambda connection: self._row_reader.page(connection, sql, parameters, decode))

    async def revision(self) -> int:
        """See `QueueRecords.revision`."""
        return self._revisions.waiting

    async def last_seq(self) -> int:
        """See `QueueRecords.last_seq`."""
        return await self._access.read(last_used_seq)

    async def pause_chunk(self, chunk: ChunkRequest, can_use: Callable[[str], bool]) -> QueueChunk:
        """See `QueueRecords.pause_chunk`."""
        return await self._change_chunk(chunk, can_use, states=_PAUSABLE, change=self._pause)

    async def resume_chunk(self, chunk: ChunkRequest, can_use: Callable[[str], bool]) -> QueueChunk:
        """See `QueueRecords.resume_chunk`."""
        return await self._change_chunk(chunk, can_use, states=_PAUSED, change=self._resume)

    async def _change_chunk(
        self,
        chunk: ChunkRequest,
        can_use: Callable[[str], bool],
        *,
        states: frozenset[State],
        change: Callable[[sqlite3.Cursor, str], list[ChangedDownload]],
    ) -> QueueChunk:
        """Find some downloads in these states, and change those that may be changed; they may have moved on since."""
        sql, parameters = _CANDIDATES.format(states=_words(states)), (chunk.after, chunk.until, CHUNK_ROWS)
        found = await self._access.read(
            lambda connection: self._row_reader.page(connection, sql, parameters, _decode_candidate)
        )
        chosen = msgspec.json.encode([seq for seq, directory in found if can_use(directory)]).decode()

        def write(cursor: sqlite3.Cursor) -> list[ChangedDownload]:
            changed = change(cursor, chosen)
            shown = [one.waiting.seq for one in changed if chunk.with_rows or one.before in RUNNING]
            rows = {row.seq: row for row in self._queries.by_seqs(cursor.connection, shown)} if shown else {}
            return [replace(one, row=rows.get(one.waiting.seq)) for one in changed] if rows else changed

        return QueueChunk(
            changed=await self._access.write(write, rows=len(found)) if found else (),
            last_seq=found[-1][0] if len(found) == CHUNK_ROWS else None,
        )

    def _pause(self, cursor: sqlite3.Cursor, chosen: str) -> list[ChangedDownload]:
        rows = self._row_reader.rows(cursor.connection, _CHOSEN, (chosen,), decode_chosen)
        waiting = [one for one, desired in rows if one.before in WAITING and desired is not Desired.CANCEL]
        running = [one for one, desired in rows if one.before in RUNNING and desired is Desired.RUN]
        cursor.execute(_PAUSE_WAITING, (_seqs_of(waiting),))
        cursor.execute(_PAUSE_RUNNING, (_seqs_of(running),))
        return [*waiting, *running]

    def _resume(self, cursor: sqlite3.Cursor, chosen: str) -> list[ChangedDownload]:
        rows = self._row_reader.rows(cursor.connection, _CHOSEN, (chosen,), decode_chosen)
        paused = [one for one, _ in rows if one.before is State.PAUSED]
        cursor.execute(_RESUME, (_seqs_of(paused),))
        return [replace(one, waiting=replace(one.waiting, not_before=None)) for one in paused]


def _seqs_of(downloads: Sequence[ChangedDownload]) -> str:
    return msgspec.json.encode([one.waiting.seq for one in downloads]).decode()


def _decode_candidate(row: Row) -> tuple[int, str]:
    seq, directory = decode_texts(row, 0, "waiting download no.")
    return seq, directory


def decode_chosen(row: Row) -> tuple[ChangedDownload, Desired]:
    """Return a download that may be paused or resumed, and its desired state.

    The row has the columns of `decode_waiting`, the state and the desired state.

    Raises:
        StorageError: the row is damaged.
    """
    *fields, state, desired = decode_texts(row, 0, "waiting download no.")
    if state not in STATES or desired not in _DESIRED:
        raise corrupt_row_error("waiting download no.", row[0], "its state is unknown")
    return ChangedDownload(waiting=decode_waiting(tuple(fields)), before=STATES[state]), _DESIRED[desired]
