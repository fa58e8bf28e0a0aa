"""Records of the waiting list in PostgreSQL: its pages, moves in it, and changes of many downloads at once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import asyncpg
from msgspec.structs import replace

from downloadd.download import Desired, Download
from downloadd.queue_move import QueueMove
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.download_queries import COLUMN_LIST, DownloadQueries, last_used_seq
from downloadd.records.postgres.queue_moves import FROM_THE_END, IN_ORDER, LISTED, QueueMoves
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.queue_moves import MovedDownload
from downloadd.records.rows import Row, decode
from downloadd.records.waiting_list import (
    CHUNK_ROWS,
    ChangedDownload,
    ChunkRequest,
    QueueChunk,
    decode_chosen,
)
from downloadd.records.writer import Rejection
from downloadd.states import RUNNING, WAITING, State

# The SQL is composed of the names in the table of columns and in that of the states only.
# ruff: noqa: S608
_PAGE: Final = f"SELECT {COLUMN_LIST} {LISTED} {IN_ORDER} OFFSET $1 LIMIT $2"
_PAGE_FROM_THE_END: Final = f"SELECT {COLUMN_LIST} {LISTED} {FROM_THE_END} OFFSET $1 LIMIT $2"
_CANDIDATES: Final = (
    "SELECT seq, directory FROM downloads "
    "WHERE ended_seq IS NULL AND seq > $1 AND seq <= $2 AND state = ANY($3::text[]) ORDER BY seq LIMIT $4"
)
_CHOSEN: Final = (
    'SELECT seq, origin, "user", priority, not_before, place, start_after, state, desired FROM downloads '
    "WHERE seq = ANY($1::bigint[]) AND ended_seq IS NULL ORDER BY seq FOR UPDATE"
)
# What `lifecycle.pause` and `lifecycle.resume` do to one row: a million rows are not read and written whole.
_PAUSE_WAITING: Final = (
    f"UPDATE downloads SET state = '{State.PAUSED}', desired = '{Desired.PAUSE}', not_before = NULL "
    "WHERE seq = ANY($1::bigint[])"
)
_PAUSE_RUNNING: Final = f"UPDATE downloads SET desired = '{Desired.PAUSE}' WHERE seq = ANY($1::bigint[])"
_RESUME: Final = (
    f"UPDATE downloads SET state = '{State.QUEUED}', desired = '{Desired.RUN}', not_before = NULL, error = NULL, "
    "detail = NULL WHERE seq = ANY($1::bigint[])"
)

_Change = Callable[[asyncpg.Connection, Sequence[int]], Awaitable[list[ChangedDownload]]]


class PostgresQueue:
    """`QueueRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess, queries: DownloadQueries, read_revision: Callable[[], int]) -> None:
        self._access = access
        self._read_revision = read_revision
        self._queries = queries
        self._moves = QueueMoves(queries)
        self._row_reader = RowReader()

    async def revision(self) -> int:
        """See `QueueRecords.revision`."""
        return self._read_revision()

    async def move(self, id: str, move: QueueMove, check: Callable[[Download], None]) -> MovedDownload | None:
        """See `QueueRecords.move`."""

        async def write(connection: asyncpg.Connection) -> MovedDownload | Rejection | None:
            return await self._moves.move(connection, id, move, check)

        return await self._access.write(write)

    async def page(self, offset: int, limit: int) -> list[Download]:
        """See `QueueRecords.page`."""
        sql, skipped = (_PAGE, offset) if offset >= 0 else (_PAGE_FROM_THE_END, -1 - offset)
        return await self._access.read(
            lambda connection: self._row_reader.page(connection, sql, (skipped, max(0, limit)), decode)
        )

    async def last_seq(self) -> int:
        """See `QueueRecords.last_seq`."""
        return await self._access.read(last_used_seq)

    async def pause_chunk(self, chunk: ChunkRequest, can_use: Callable[[str], bool]) -> QueueChunk:
        """See `QueueRecords.pause_chunk`."""
        return await self._change_chunk(chunk, can_use, states=WAITING | RUNNING, change=self._pause)

    async def resume_chunk(self, chunk: ChunkRequest, can_use: Callable[[str], bool]) -> QueueChunk:
        """See `QueueRecords.resume_chunk`."""
        return await self._change_chunk(chunk, can_use, states=frozenset({State.PAUSED}), change=self._resume)

    async def _change_chunk(
        self, chunk: ChunkRequest, can_use: Callable[[str], bool], *, states: frozenset[State], change: _Change
    ) -> QueueChunk:
        """Find some downloads in these states, and change those that may be changed; they may have moved on since."""
        parameters = (chunk.after, chunk.until, [state.value for state in states], CHUNK_ROWS)
        found = await self._access.read(
            lambda connection: self._row_reader.page(connection, _CANDIDATES, parameters, _decode_candidate)
        )
        chosen = [seq for seq, directory in found if can_use(directory)]

        async def write(connection: asyncpg.Connection) -> list[ChangedDownload]:
            changed = await change(connection, chosen)
            shown = [one.waiting.seq for one in changed if chunk.with_rows or one.before in RUNNING]
            rows = {row.seq: row for row in await self._queries.by_seqs(connection, shown)} if shown else {}
            return [replace(one, row=rows.get(one.waiting.seq)) for one in changed] if rows else changed

        return QueueChunk(
            changed=await self._access.write(write, rows=len(found)) if found else (),
            last_seq=found[-1][0] if len(found) == CHUNK_ROWS else None,
        )

    async def _pause(self, connection: asyncpg.Connection, chosen: Sequence[int]) -> list[ChangedDownload]:
        rows = await self._row_reader.rows(connection, _CHOSEN, (chosen,), decode_chosen)
        waiting = [one for one, desired in rows if one.before in WAITING and desired is not Desired.CANCEL]
        running = [one for one, desired in rows if one.before in RUNNING and desired is Desired.RUN]
        await connection.execute(_PAUSE_WAITING, _seqs_of(waiting))
        await connection.execute(_PAUSE_RUNNING, _seqs_of(running))
        return [*waiting, *running]

    async def _resume(self, connection: asyncpg.Connection, chosen: Sequence[int]) -> list[ChangedDownload]:
        rows = await self._row_reader.rows(connection, _CHOSEN, (chosen,), decode_chosen)
        paused = [one for one, _ in rows if one.before is State.PAUSED]
        await connection.execute(_RESUME, _seqs_of(paused))
        return [replace(one, waiting=replace(one.waiting, not_before=None)) for one in paused]


def _seqs_of(downloads: Sequence[ChangedDownload]) -> list[int]:
    return [one.waiting.seq for one in downloads]


def _decode_candidate(row: Row) -> tuple[int, str]:
    seq, directory = row
    return seq, directory
