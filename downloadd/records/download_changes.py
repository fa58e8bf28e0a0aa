"""Writing statements of the table `downloads`, run in the transaction of a cursor."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.errors import IdempotencyKeyReusedError
from downloadd.records.claims import claim
from downloadd.records.columns import (
    ENDING_COLUMNS,
    INITIAL_COLUMNS,
    RUN_COLUMNS,
    USER_COLUMNS,
    WRITTEN_COLUMNS,
    assignments,
    names,
    placeholders,
)
from downloadd.records.deliveries import add_deliveries
from downloadd.records.download_queries import DownloadQueries, last_used_ended_seq, last_used_seq
from downloadd.records.ends import RecordedEnd
from downloadd.records.import_files import settle_files, settle_retried_files
from downloadd.records.protocol import NO_POSITIONS, AcceptResult, EndedRow, StoredResponse
from downloadd.records.queue_moves import QueueMoves
from downloadd.records.queue_places import QueueEntry
from downloadd.records.responses import find_response, store_response
from downloadd.records.rows import encode, encode_end, encode_initial, encode_run, execute, with_user_columns
from downloadd.records.writer import Rejection
from downloadd.states import FINISHED, State

# The SQL is composed of the names in the table of columns only.
# ruff: noqa: S608
# Numbers that SQLite assigns could be those of removed downloads.
# Binding twenty more values, most of them null, costs as much as the insertion itself.
_INSERT_INITIAL: Final = (
    f"INSERT INTO downloads (seq, {names(INITIAL_COLUMNS)}) VALUES (?, {placeholders(INITIAL_COLUMNS)})"
)
_INSERT: Final = f"INSERT INTO downloads (seq, {names(WRITTEN_COLUMNS)}) VALUES (?, {placeholders(WRITTEN_COLUMNS)})"
_SAVE: Final = (
    f"UPDATE downloads SET {assignments(RUN_COLUMNS)}, ended_seq = ? "
    f"WHERE id = ? AND epoch = ? AND ended_seq IS NULL RETURNING {names(USER_COLUMNS)}"
)
_END: Final = (
    f"UPDATE downloads SET {assignments(ENDING_COLUMNS)}, ended_seq = ? "
    f"WHERE id = ? AND epoch = ? AND ended_seq IS NULL RETURNING {names(USER_COLUMNS)}"
)
_UPDATE_ALL: Final = f"UPDATE downloads SET {assignments(WRITTEN_COLUMNS)} WHERE seq = ?"
_CLAIM: Final = "UPDATE downloads SET state = ?, epoch = ?, attempt = ?, not_before = NULL WHERE seq = ?"
_RETIRE_SEQ: Final = "UPDATE withdrawn SET ended_seq = max(ended_seq, ?)"
_RETIRE_REMOVED: Final = "UPDATE withdrawn SET ended_seq = max(ended_seq, ?), seq = max(seq, ?), removed_at = ?"
# A download that was retried and ended again has a greater number than all that were read before.
_REMOVE: Final = "DELETE FROM downloads WHERE seq IN (SELECT value FROM json_each(?)) AND ended_seq <= ? RETURNING seq"


class DownloadChanges:
    """Changes of downloads. For the writing thread only: each call may be repeated after a rollback.

    Calls that may end downloads append the ends to the list that they are given, in the order of `ended_seq`.
    """

    def __init__(self, queries: DownloadQueries, make_deliveries: Callable[[Download], Sequence[Delivery]]) -> None:
        """Take the queries, and the function that returns the hook deliveries of a finished download."""
        self._queries = queries
        self._make_deliveries = make_deliveries
        self._moves = QueueMoves(queries)
        self._last_ended_seq = 0
        self._last_seq = 0

    def open(self, connection: sqlite3.Connection) -> None:
        """Continue the numbers of downloads and of ends after those of the database."""
        self._last_ended_seq = last_used_ended_seq(connection)
        self._last_seq = last_used_seq(connection)

    def accept(
        self,
        cursor: sqlite3.Cursor,
        downloads: Sequence[Download],
        response: StoredResponse | None,
        positions: Mapping[int, int] = NO_POSITIONS,
        *,
        now: float,
        ends: list[RecordedEnd],
    ) -> AcceptResult | Rejection:
        """Insert downloads and the response to their request; see `Records.accept`."""
        if response is not None:
            stored = find_response(cursor, response, now=now)
            if stored is not None:
                if stored.fingerprint != response.fingerprint:
                    return Rejection(IdempotencyKeyReusedError())
                return AcceptResult(replayed=stored)
            store_response(cursor, response, now=now)
        if not positions:
            return AcceptResult(seqs=[self._insert(cursor, download, ends) for download in downloads])
        seqs: list[int] = []
        placed: dict[int, QueueEntry] = {}
        for number, download in enumerate(downloads):
            position = positions.get(number)
            if position is not None:
                entry = QueueEntry(self._last_seq + 1, download.control.priority)
                changed = self._moves.make_room(cursor, entry, position)
                placed.update((one.seq, one) for one in changed)
                download = download.with_control(priority=changed[0].priority, place=changed[0].place)
            seqs.append(self._insert(cursor, download, ends))
        return AcceptResult(seqs=seqs, placed=placed)

    def claim(self, cursor: sqlite3.Cursor, seqs: Sequence[int]) -> list[Download]:
        """Assign waiting downloads to runs; see `Records.claim`."""
        rows = {row.seq: row for row in self._queries.by_seqs(cursor.connection, seqs)}
        # A download that is named twice is claimed once.
        attempts = (claim(rows.pop(seq, None)) for seq in seqs)
        claimed = [download for download in attempts if download is not None]
        cursor.executemany(
            _CLAIM,
            [(download.state.value, download.epoch, download.progress.attempt, download.seq) for download in claimed],
        )
        return claimed

    def save(self, cursor: sqlite3.Cursor, download: Download, ends: list[RecordedEnd]) -> Download | None:
        """Write the fields of a run, if it still holds the download; see `Records.save`."""
        if download.state in FINISHED:
            ended_seq = self._last_ended_seq + 1
            sql, (values, known) = _END, encode_end(download)
        else:
            ended_seq = None
            sql, (values, known) = _SAVE, encode_run(download)
        rows = execute(cursor, sql, (*values, ended_seq, download.id, download.epoch)).fetchall()
        if not rows:
            return None
        saved = with_user_columns(download.with_result(ended_seq=ended_seq), rows[0], known)
        if ended_seq is not None:
            self._last_ended_seq = ended_seq
            self._record_end(cursor, saved, None, ends)
        return saved

    def amend(
        self, cursor: sqlite3.Cursor, id: str, change: Callable[[Download], Download], ends: list[RecordedEnd]
    ) -> tuple[Download, Download] | Rejection | None:
        """Apply a pure `change` to a row; see `Records.amend`."""
        try:
            before = self._queries.by_id(cursor.connection, id)
            if before is None:
                return None
            after = change(before)
        except Exception as error:
            # Raised in the task of the caller.
            return Rejection(error)
        if after.seq != before.seq or after.id != before.id:
            return Rejection(ValueError("a change must keep the id and the seq of a download"))
        ended_seq = self._ended_seq_after(cursor, before, after)
        execute(cursor, _UPDATE_ALL, (*encode(after, ended_seq), before.seq))
        after = after.with_result(ended_seq=ended_seq)
        if ended_seq != before.result.ended_seq and ended_seq is not None:
            self._record_end(cursor, after, before.state, ends)
        return before, after

    def remove_ended(self, cursor: sqlite3.Cursor, rows: Sequence[EndedRow]) -> list[EndedRow]:
        """Remove finished downloads, unless they were retried since; see `Records.remove_ended`."""
        if not rows:
            return []
        seqs = msgspec.json.encode([row.seq for row in rows]).decode()
        newest = max(row.ended_seq for row in rows)
        settle_files(cursor, [row.seq for row in rows])
        removed = {seq for (seq,) in cursor.execute(_REMOVE, (seqs, newest)).fetchall()}
        if removed:
            cursor.execute(_RETIRE_REMOVED, (newest, max(removed), self._last_ended_seq))
        return [row for row in rows if row.seq in removed]

    def _record_end(
        self, cursor: sqlite3.Cursor, download: Download, before: State | None, ends: list[RecordedEnd]
    ) -> None:
        """Record what the end of a download that was accepted earlier means for others."""
        ends.append(RecordedEnd(download=download, before=before))
        add_deliveries(cursor, self._make_deliveries(download))
        if download.request.operation is not None:
            settle_retried_files(cursor, [download.seq])

    def _ended_seq_after(self, cursor: sqlite3.Cursor, before: Download, after: Download) -> int | None:
        previous = before.result.ended_seq
        if after.state in FINISHED:
            if previous is None:
                self._last_ended_seq += 1
                return self._last_ended_seq
            return previous
        if previous is not None:
            # The number is in no row now, and must not be assigned again after a restart.
            cursor.execute(_RETIRE_SEQ, (previous,))
        return None

    def _insert(self, cursor: sqlite3.Cursor, download: Download, ends: list[RecordedEnd]) -> int:
        self._last_seq = seq = self._last_seq + 1
        initial = None
        ended_seq = None
        if download.state in FINISHED:
            ended_seq = self._last_ended_seq = self._last_ended_seq + 1
        else:
            initial = encode_initial(download)
        if initial is None:
            execute(cursor, _INSERT, (seq, *encode(download, ended_seq)))
        else:
            execute(cursor, _INSERT_INITIAL, (seq, *initial))
        if ended_seq is not None:
            finished = msgspec.structs.replace(download.with_result(ended_seq=ended_seq), seq=seq)
            ends.append(RecordedEnd(download=finished, before=None))
            add_deliveries(cursor, self._make_deliveries(finished))
        return seq
