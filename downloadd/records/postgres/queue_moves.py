"""Moves in the waiting list, run in the transaction of a connection."""

from collections.abc import Callable
from typing import Final

import asyncpg

from downloadd.download import Download
from downloadd.errors import StorageError
from downloadd.queue_move import QueueMove, QueueOrigin
from downloadd.records.postgres.download_queries import DownloadQueries, last_used_seq
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.queue_moves import MovedDownload, MoveTarget
from downloadd.records.queue_places import Neighbours, QueueEntry, place_between
from downloadd.records.rows import Row
from downloadd.records.writer import Rejection

# The SQL is composed of constants of this module only.
LISTED: Final = "FROM downloads WHERE ended_seq IS NULL AND (state IN ('queued', 'paused') OR desired = 'pause')"
"""Clause that selects the waiting list; the condition is literally that of its index."""
_POSITION: Final = "coalesce(place, seq::double precision)"
IN_ORDER: Final = f"ORDER BY priority DESC, {_POSITION}, seq"
"""Clause for the order of starting."""
FROM_THE_END: Final = f"ORDER BY priority, {_POSITION} DESC, seq DESC"
"""Clause for the opposite order."""
_ENTRIES: Final = f"SELECT seq, priority, place {LISTED} AND seq <> $1 {IN_ORDER} LIMIT $2 OFFSET $3"
_LAST_ENTRIES: Final = f"SELECT seq, priority, place {LISTED} AND seq <> $1 {FROM_THE_END} LIMIT $2 OFFSET $3"
_LENGTH: Final = f"SELECT count(*) {LISTED}"
_INDEX: Final = (
    f"SELECT (SELECT count(*) {LISTED} AND priority > $1)"
    f" + (SELECT count(*) {LISTED} AND priority = $1 AND ({_POSITION}, seq) < ($2::double precision, $3::bigint))"
)
_SET_PLACE: Final = "UPDATE downloads SET priority = $1, place = $2 WHERE seq = $3"


class QueueMoves:
    """Moves of downloads in the waiting list. Each call may be repeated after a rollback."""

    def __init__(self, queries: DownloadQueries) -> None:
        self._queries = queries
        self._row_reader = RowReader()

    async def move(
        self, connection: asyncpg.Connection, id: str, move: QueueMove, check: Callable[[Download], None]
    ) -> MovedDownload | Rejection | None:
        """Move a download; see `QueueRecords.move`."""
        # Raised in the task of the caller: a damaged row, and what its function raises.
        try:
            before = await self._queries.by_id(connection, id, for_update=True)
        except StorageError as error:
            return Rejection(error)
        if before is None:
            return None
        try:
            check(before)
        except Exception as error:
            return Rejection(error)
        entry = QueueEntry(before.seq, before.control.priority, before.control.place)
        target = await _target_of(connection, entry, move)
        changed, is_end = await self._place(connection, entry, target, end=await last_used_seq(connection) + 1)
        now = changed[0] if changed else entry
        neighbours = [one.seq for one in changed[1:]]
        return MovedDownload(
            before=before,
            after=before.with_control(priority=now.priority, place=now.place),
            # Counting takes some time in a long list.
            index=await _length(connection) - 1 if is_end and target.length is None else target.index,
            changed=changed,
            neighbours=await self._queries.by_seqs(connection, neighbours) if neighbours else (),
        )

    async def make_room(self, connection: asyncpg.Connection, entry: QueueEntry, position: int) -> list[QueueEntry]:
        """Return a download that is about to be inserted with its place for an index, and others that have changed."""
        changed, _ = await self._place(connection, entry, MoveTarget(index=position), end=entry.seq + 1)
        return changed or [entry]

    async def _place(
        self, connection: asyncpg.Connection, entry: QueueEntry, target: MoveTarget, *, end: int
    ) -> tuple[list[QueueEntry], bool]:
        """Write the places with which a download stands at an index.

        Return the entries that have changed, and True if the index is the end of the list or beyond.
        """
        size = 1
        while True:
            neighbours = await self._read_neighbours(connection, entry.seq, target, size)
            changed = place_between(entry, neighbours, end=end)
            if changed is not None:
                break
            size *= 8
        if changed:
            in_order = sorted(changed, key=lambda one: one.seq)
            await connection.executemany(_SET_PLACE, [(one.priority, one.place, one.seq) for one in in_order])
        return changed, not neighbours.after

    async def _read_neighbours(
        self, connection: asyncpg.Connection, seq: int, target: MoveTarget, size: int
    ) -> Neighbours:
        """Return up to `size` downloads before and after an index of the waiting list without `seq`."""
        index, first = target.index, max(0, target.index - size)
        count = index - first + size
        if target.length is None:
            rows = await self._read(connection, _ENTRIES, (seq, count, first))
        else:
            # The list is read from its nearer end: to skip entries takes time too.
            others = target.length - 1
            count = min(count, others - first)
            rows = (await self._read(connection, _LAST_ENTRIES, (seq, count, others - first - count)))[::-1]
        if len(rows) < index - first:
            # The list is shorter: the index is its end.
            last = (await self._read(connection, _LAST_ENTRIES, (seq, size, 0)))[::-1]
            return Neighbours(before=last, after=(), has_all_before=len(last) < size, has_all_after=True)
        return Neighbours(
            before=rows[: index - first],
            after=rows[index - first :],
            has_all_before=first == 0,
            has_all_after=len(rows) < index - first + size,
        )

    async def _read(self, connection: asyncpg.Connection, sql: str, parameters: tuple[int, ...]) -> list[QueueEntry]:
        return await self._row_reader.rows(connection, sql, parameters, _decode_entry)


async def _target_of(connection: asyncpg.Connection, entry: QueueEntry, move: QueueMove) -> MoveTarget:
    match move.origin:
        case QueueOrigin.START:
            return MoveTarget(index=max(0, move.offset))
        case QueueOrigin.CURRENT:
            return MoveTarget(index=max(0, await _index(connection, entry) + move.offset))
        case QueueOrigin.END:
            length = await _length(connection)
            return MoveTarget(index=max(0, length - 1 + min(0, move.offset)), length=length)


async def _length(connection: asyncpg.Connection) -> int:
    length: int = await connection.fetchval(_LENGTH)
    return length


async def _index(connection: asyncpg.Connection, entry: QueueEntry) -> int:
    index: int = await connection.fetchval(_INDEX, entry.priority, float(entry.position), entry.seq)
    return index


def _decode_entry(row: Row) -> QueueEntry:
    seq, priority, place = row
    return QueueEntry(seq, priority, place)
