"""Writing statements of the table `downloads`, run in the transaction of a connection.

An end gets its number last in the transaction: see `transaction`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from downloadd.download import Download
from downloadd.errors import StorageError
from downloadd.import_operation import Driver
from downloadd.records.columns import ENDING_COLUMNS, RUN_COLUMNS, USER_COLUMNS, WRITTEN_COLUMNS
from downloadd.records.ends import RecordedEnd
from downloadd.records.import_protocol import ImportFencedError
from downloadd.records.postgres.download_queries import DownloadQueries
from downloadd.records.postgres.import_fence import is_fenced
from downloadd.records.postgres.insertions import insert_downloads, next_seqs
from downloadd.records.postgres.operations import Outcome, UnnumberedEnds
from downloadd.records.postgres.queue_moves import QueueMoves
from downloadd.records.postgres.responses import store_response
from downloadd.records.postgres.run_statements import RUNNING_WORDS
from downloadd.records.postgres.statements import FOLDED, assignments, fold, names
from downloadd.records.postgres.user_days import write_notes
from downloadd.records.protocol import AcceptResult, EndedRow, StoredResponse
from downloadd.records.queue_places import QueueEntry
from downloadd.records.rows import Row, encode, encode_end, encode_run, with_user_columns
from downloadd.records.user_days import DayBytes
from downloadd.records.writer import Ending, Rejection
from downloadd.states import FINISHED

# The SQL is composed of the names in the table of columns and of those of the states only.
# ruff: noqa: S608
_FINISHED_WORDS: Final = ", ".join(f"'{state}'" for state in sorted(FINISHED))


def _save(columns: str, count: int) -> str:
    # An end has no number until the end of its transaction, so that its state counts.
    return (
        f"UPDATE downloads SET {columns} WHERE id = ${count + 1} AND epoch = ${count + 2} AND ended_seq IS NULL "
        f"AND state NOT IN ({_FINISHED_WORDS}) RETURNING id, epoch, seq, {names(USER_COLUMNS)}"
    )


# A run that is over has closed its part file.
_STATE_NUMBER: Final = next(number for number, column in enumerate(RUN_COLUMNS, 1) if column.name == "state")
_KEEP_SESSION: Final = f"session = CASE WHEN ${_STATE_NUMBER} IN ({RUNNING_WORDS}) THEN session END"
_SAVE: Final = _save(f"{assignments(RUN_COLUMNS)}, {_KEEP_SESSION}", len(RUN_COLUMNS))
_END: Final = _save(
    f"{assignments(ENDING_COLUMNS)}, {FOLDED} = ${len(ENDING_COLUMNS) + 1}, session = NULL", len(ENDING_COLUMNS) + 1
)
_UPDATE_ALL: Final = (
    f"UPDATE downloads SET {assignments(WRITTEN_COLUMNS, 2)}, {FOLDED} = ${len(WRITTEN_COLUMNS) + 2} WHERE seq = $1"
)
# A download that was retried and ended again has a greater number than all that were read before.
_LOCK_ENDED: Final = (
    "SELECT seq FROM downloads WHERE seq = ANY($1::bigint[]) AND ended_seq <= $2 ORDER BY seq FOR UPDATE"
)
_REMOVE: Final = "DELETE FROM downloads WHERE seq = ANY($1::bigint[])"

_Run = tuple[str, int]
"""Id of a download, and the epoch of its run."""
Change = Callable[[Download], Download]
EndRecorder = Callable[[asyncpg.Connection, Download], Awaitable[None]]


class AcceptItem(msgspec.Struct, frozen=True, kw_only=True):
    """Downloads to accept on a condition, with the response to their request, or at positions in the waiting list."""

    downloads: Sequence[Download]
    response: StoredResponse | None
    positions: Mapping[int, int]
    driver: Driver | None
    now: float
    """Unix time."""


class SaveItem(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of runs to save together, with what their users have received."""

    downloads: Sequence[Download]
    process: str
    """Name of this process in the records of days."""
    notes: Sequence[DayBytes] = ()


class DownloadChanges:
    """Changes of downloads. Each call may be repeated after a rollback."""

    def __init__(
        self,
        queries: DownloadQueries,
        *,
        record_new_end: EndRecorder,
        record_end: EndRecorder,
        settle_removed: Callable[[asyncpg.Connection, Sequence[int]], Awaitable[None]],
    ) -> None:
        """Take the parts that share the transaction.

        Args:
            queries: reads the rows.
            record_new_end: records what the end of a download means for others that was refused at once.
            record_end: the same for one that was accepted earlier.
            settle_removed: records what the removal of ended downloads means for others, before it.
        """
        self._queries = queries
        self._record_new_end = record_new_end
        self._record_end = record_end
        self._settle_removed = settle_removed
        self._moves = QueueMoves(queries)

    async def accept_all(
        self, connection: asyncpg.Connection, groups: Sequence[Sequence[Download]]
    ) -> Sequence[Outcome]:
        """Insert the downloads of several callers; see `Records.accept`."""
        downloads = [download for group in groups for download in group]
        seqs = await next_seqs(connection, len(downloads))
        await insert_downloads(connection, downloads, seqs)
        outcomes = []
        first = 0
        for group in groups:
            own = seqs[first : first + len(group)]
            outcomes.append(self._accepted(AcceptResult(seqs=own), group, own))
            first += len(group)
        return outcomes

    async def accept(self, connection: asyncpg.Connection, items: Sequence[AcceptItem]) -> Sequence[Outcome]:
        """Insert downloads with what else belongs to their request; see `Records.accept`."""
        return [await self._accept(connection, item) for item in items]

    async def _accept(self, connection: asyncpg.Connection, item: AcceptItem) -> Outcome:
        if item.driver is not None and await is_fenced(connection, item.driver):
            return Rejection(ImportFencedError(item.driver))
        if item.response is not None:
            stored = await store_response(connection, item.response, now=item.now)
            if stored is not None:
                return AcceptResult(replayed=stored) if isinstance(stored, StoredResponse) else stored
        seqs = await next_seqs(connection, len(item.downloads))
        placed: dict[int, QueueEntry] = {}
        for number, (seq, download) in enumerate(zip(seqs, item.downloads, strict=True)):
            position = item.positions.get(number)
            if position is not None:
                changed = await self._moves.make_room(connection, QueueEntry(seq, download.control.priority), position)
                placed.update((one.seq, one) for one in changed)
                download = download.with_control(priority=changed[0].priority, place=changed[0].place)
            # One by one: the position of the next one counts this one.
            if item.positions:
                await insert_downloads(connection, [download], [seq])
        if not item.positions:
            await insert_downloads(connection, item.downloads, seqs)
        return self._accepted(AcceptResult(seqs=seqs, placed=placed), item.downloads, seqs)

    def _accepted(self, result: AcceptResult, downloads: Sequence[Download], seqs: Sequence[int]) -> Outcome:
        ended = {seq: download for seq, download in zip(seqs, downloads, strict=True) if download.state in FINISHED}
        if not ended:
            return result

        async def finish(connection: asyncpg.Connection, numbers: Mapping[int, int]) -> Ending[AcceptResult]:
            ends = []
            for seq, download in ended.items():
                finished = msgspec.structs.replace(download.with_result(ended_seq=numbers[seq]), seq=seq)
                await self._record_new_end(connection, finished)
                ends.append(RecordedEnd(download=finished, before=None))
            return Ending(result, ends)

        return UnnumberedEnds(seqs=list(ended), finish=finish)

    async def save(self, connection: asyncpg.Connection, items: Sequence[SaveItem]) -> Sequence[Outcome]:
        """Write the fields of runs that still hold their downloads; see `Records.save_all`."""
        running: list[Row] = []
        ending: list[Row] = []
        known: dict[_Run, Row] = {}
        for download in (download for item in items for download in item.downloads):
            if download.state in FINISHED:
                values, known[download.id, download.epoch] = encode_end(download)
                ending.append((*values, fold(download), download.id, download.epoch))
            else:
                values, known[download.id, download.epoch] = encode_run(download)
                running.append((*values, download.id, download.epoch))
        saved: dict[_Run, tuple[int, Row]] = {}
        for sql, rows in ((_SAVE, running), (_END, ending)):
            if rows:
                for id, epoch, seq, *user_values in await connection.fetchmany(sql, rows):
                    saved[id, epoch] = seq, tuple(user_values)
        if any(item.notes for item in items):
            # Last, so that saves that wait for the row of a user hold no row that another one waits for.
            await write_notes(connection, items[0].process, (note for item in items for note in item.notes))
        return [self._saved(item.downloads, saved, known) for item in items]

    def _saved(
        self, downloads: Sequence[Download], saved: Mapping[_Run, tuple[int, Row]], known: Mapping[_Run, Row]
    ) -> Outcome:
        results: list[Download | None] = []
        for download in downloads:
            run = download.id, download.epoch
            found = saved.get(run)
            results.append(
                None if found is None else with_user_columns(download.with_result(ended_seq=None), found[1], known[run])
            )
        seqs = [saved[row.id, row.epoch][0] for row in results if row is not None and row.state in FINISHED]
        if not seqs:
            return results

        async def finish(connection: asyncpg.Connection, numbers: Mapping[int, int]) -> Ending[list[Download | None]]:
            numbered = [await self._numbered(connection, row, numbers) for row in results]
            ends = [
                RecordedEnd(download=row, before=None) for row in numbered if row is not None and row.state in FINISHED
            ]
            return Ending(numbered, ends)

        return UnnumberedEnds(seqs=seqs, finish=finish)

    async def _numbered(
        self, connection: asyncpg.Connection, row: Download | None, numbers: Mapping[int, int]
    ) -> Download | None:
        if row is None or row.state not in FINISHED:
            return row
        ended = row.with_result(ended_seq=numbers[row.seq])
        await self._record_end(connection, ended)
        return ended

    async def amend(self, connection: asyncpg.Connection, items: Sequence[tuple[str, Change]]) -> Sequence[Outcome]:
        """Apply pure changes to rows; see `Records.amend`."""
        return [await self._amend(connection, id, change) for id, change in items]

    async def _amend(self, connection: asyncpg.Connection, id: str, change: Change) -> Outcome:
        # Raised in the task of the caller: a damaged row, and what its function raises.
        try:
            before = await self._queries.by_id(connection, id, for_update=True)
        except StorageError as error:
            return Rejection(error)
        if before is None:
            return None
        try:
            after = change(before)
        except Exception as error:
            return Rejection(error)
        if after.seq != before.seq or after.id != before.id:
            return Rejection(ValueError("a change must keep the id and the seq of a download"))
        is_ended = after.state in FINISHED
        previous = before.result.ended_seq if is_ended else None
        values: tuple[Any, ...] = (before.seq, *encode(after, previous), fold(after) if is_ended else None)
        await connection.execute(_UPDATE_ALL, *values)
        if not is_ended or previous is not None:
            return before, after.with_result(ended_seq=previous)

        async def finish(
            connection: asyncpg.Connection, numbers: Mapping[int, int]
        ) -> Ending[tuple[Download, Download]]:
            ended = after.with_result(ended_seq=numbers[before.seq])
            await self._record_end(connection, ended)
            return Ending((before, ended), [RecordedEnd(download=ended, before=before.state)])

        return UnnumberedEnds(seqs=[before.seq], finish=finish)

    async def remove_ended(self, connection: asyncpg.Connection, rows: Sequence[EndedRow]) -> Outcome:
        """Remove finished downloads, unless they were retried since; see `Records.remove_ended`."""
        newest = max(row.ended_seq for row in rows)
        found = await connection.fetch(_LOCK_ENDED, [row.seq for row in rows], newest)
        removed = {seq for (seq,) in found}
        if not removed:
            return []
        await self._settle_removed(connection, sorted(removed))
        await connection.execute(_REMOVE, list(removed))

        async def finish(connection: asyncpg.Connection, numbers: Mapping[int, int]) -> list[EndedRow]:
            return [row for row in rows if row.seq in removed]

        return UnnumberedEnds(removes=True, finish=finish)
