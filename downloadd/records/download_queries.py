"""Reading statements of the table `downloads`, run on a connection."""

import sqlite3
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Final

import msgspec

from downloadd.download import Download
from downloadd.records.columns import COLUMNS, STATES, SUPERSEDED_PART_NAME, names
from downloadd.records.corrupt_rows import RowReader, read_one
from downloadd.records.history import Query, decode_ended_row
from downloadd.records.protocol import EndedRow, PartOwner, WaitingDownload
from downloadd.records.rows import Row, corrupt_row_error, decode, decode_texts, to_bindable
from downloadd.states import ACTIVE, WAITING, State

# The SQL is composed of the names in the table of columns only.
# ruff: noqa: S608
_COLUMN_LIST: Final = names(COLUMNS)
_BY_ID: Final = f"SELECT {_COLUMN_LIST} FROM downloads WHERE id = ?"
_BY_SEQS: Final = f"SELECT {_COLUMN_LIST} FROM downloads WHERE seq IN (SELECT value FROM json_each(?))"
_PART_OWNERS: Final = (
    f"SELECT id, state, epoch, part_name, {SUPERSEDED_PART_NAME} FROM downloads "
    "WHERE id IN (SELECT value FROM json_each(?)) AND (ended_seq IS NULL OR part_name IS NOT NULL)"
)
_WAITING: Final = (
    "SELECT seq, origin, user, priority, not_before, place, start_after FROM downloads INDEXED BY downloads_active "
    f"WHERE ended_seq IS NULL AND seq > ? AND state IN ({', '.join('?' * len(WAITING))}) ORDER BY seq LIMIT ?"
)
# Most downloads of a long list are queued: the others are counted by state, and all of them without reading the state.
_ACTIVE_COUNT: Final = "SELECT count(*) FROM downloads INDEXED BY downloads_active WHERE ended_seq IS NULL"
_OTHER_COUNTS: Final = (
    "SELECT state, count(*) FROM downloads INDEXED BY downloads_active "
    "WHERE ended_seq IS NULL AND state <> ? GROUP BY state"
)
_ENDED_COUNT: Final = "SELECT count(*) FROM downloads INDEXED BY downloads_ended WHERE ended_seq IS NOT NULL"
# Values that are not integers are greater than all integers, and only damage stores them.
_LAST_ENDED_SEQ: Final = (
    "SELECT coalesce(max(ended_seq), 0) FROM downloads WHERE ended_seq IS NOT NULL AND ended_seq <= 9223372036854775807"
)
_LAST_RETIRED_SEQ: Final = "SELECT coalesce(max(ended_seq), 0) FROM withdrawn WHERE ended_seq <= 9223372036854775807"
_LAST_SEQ: Final = (
    "SELECT max(coalesce((SELECT max(seq) FROM downloads), 0), coalesce((SELECT max(seq) FROM withdrawn), 0))"
)
_LAST_REMOVAL: Final = "SELECT coalesce(max(removed_at), 0) FROM withdrawn"
_NEWEST: Final = (
    "SELECT ended_seq FROM downloads INDEXED BY downloads_ended WHERE ended_seq IS NOT NULL "
    "ORDER BY ended_seq DESC LIMIT 1 OFFSET ?"
)
_CREATED_AT: Final = "SELECT min(begun) FROM birth WHERE typeof(begun) = 'real'"


class DownloadQueries:
    """Queries for downloads; each blocks and leaves damaged rows out."""

    def __init__(self) -> None:
        self._row_reader = RowReader()

    def by_id(self, connection: sqlite3.Connection, id: str) -> Download | None:
        """Return a download; None if it is unknown.

        Raises:
            StorageError: its row is damaged.
        """
        return read_one(connection, _BY_ID, to_bindable([id]), decode)

    def by_seqs(self, connection: sqlite3.Connection, seqs: Sequence[int]) -> list[Download]:
        """Return the downloads with these `seq`."""
        return self._row_reader.rows(connection, _BY_SEQS, (msgspec.json.encode(list(seqs)).decode(),), decode)

    def in_order(self, connection: sqlite3.Connection, seqs: Sequence[int]) -> list[Download]:
        """Return the downloads with these `seq`, in their order."""
        rows = {row.seq: row for row in self.by_seqs(connection, seqs)}
        return [rows[seq] for seq in seqs if seq in rows]

    def page(self, connection: sqlite3.Connection, query: Query, known: Mapping[int, Download]) -> list[Download]:
        """Return the rows of a query, those in `known` without decoding them."""
        if not known:
            return self._row_reader.page(connection, query.sql, query.parameters, decode)
        seqs = [seq for (seq,) in connection.execute(query.seqs, query.parameters)]
        downloads = [known[seq] for seq in seqs if seq in known]
        if len(downloads) == len(seqs):
            return downloads
        return self._row_reader.page(
            connection, query.sql, query.parameters, lambda row: known.get(row[0]) or decode(row)
        )

    def ended_rows(self, connection: sqlite3.Connection, query: Query) -> list[EndedRow]:
        """Return what a removal needs of the rows of a query of the history."""
        return self._row_reader.page(connection, query.ended_rows, query.parameters, decode_ended_row)

    def waiting(self, connection: sqlite3.Connection, *, after_seq: int, limit: int) -> list[WaitingDownload]:
        """Return waiting downloads, oldest first."""
        parameters = (after_seq, *(state.value for state in WAITING), limit)
        return self._row_reader.page(connection, _WAITING, parameters, decode_waiting)

    def part_owners(self, connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, PartOwner]:
        """Return the part files that the downloads among `ids` may own."""
        parameters = (msgspec.json.encode(ids).decode(),)
        return dict(
            self._row_reader.rows(
                connection, _PART_OWNERS, parameters, _decode_part_owner, fallback=_unknown_part_owner
            )
        )


def count_by_state(connection: sqlite3.Connection) -> dict[State, int]:
    """Return the number of downloads in each active state."""
    others = dict(connection.execute(_OTHER_COUNTS, (State.QUEUED,)).fetchall())
    total: int = connection.execute(_ACTIVE_COUNT).fetchone()[0]
    # The words of damaged rows are left out.
    counts = {STATES[state]: count for state, count in others.items() if STATES.get(state) in ACTIVE}
    queued = total - sum(others.values())
    return counts | {State.QUEUED: queued} if queued else counts


def count_ended(connection: sqlite3.Connection) -> int:
    """Return the number of downloads in the history."""
    count: int = connection.execute(_ENDED_COUNT).fetchone()[0]
    return count


def last_ended_seq(connection: sqlite3.Connection) -> int:
    """Return the newest `ended_seq` of the history; 0 if it is empty."""
    seq: int = connection.execute(_LAST_ENDED_SEQ).fetchone()[0]
    return seq


def last_used_ended_seq(connection: sqlite3.Connection) -> int:
    """Return the greatest `ended_seq` that was ever assigned, even if a retry has withdrawn it."""
    retired: int = connection.execute(_LAST_RETIRED_SEQ).fetchone()[0]
    return max(last_ended_seq(connection), retired)


def last_used_seq(connection: sqlite3.Connection) -> int:
    """Return the greatest `seq` that was ever assigned, even if its download was removed."""
    seq: int = connection.execute(_LAST_SEQ).fetchone()[0]
    return seq


def last_removal(connection: sqlite3.Connection) -> int:
    """Return the newest `ended_seq` just before the last removal from the history; 0 without one."""
    ended_seq: int = connection.execute(_LAST_REMOVAL).fetchone()[0]
    return ended_seq


def ended_seq_of_newest(connection: sqlite3.Connection, number: int) -> int | None:
    """Return the `ended_seq` of the finished download that has `number` newer ones; None if there is none."""
    row = connection.execute(_NEWEST, (number,)).fetchone()
    return None if row is None else row[0]


def created_at(connection: sqlite3.Connection) -> float | None:
    """Return the Unix time at which the database was created; None if it is not recorded."""
    time: float | None = connection.execute(_CREATED_AT).fetchone()[0]
    return time


def decode_waiting(row: Row) -> WaitingDownload:
    """Return a waiting download from its `seq`, origin, user, priority, both times and place.

    Raises:
        StorageError: the row is damaged.
    """
    seq, origin, user, priority, not_before, place, start_after = row
    if type(origin) is not str or type(user) is not str:
        origin, user = decode_texts(row, 0, "waiting download no.")[1:3]
    times = {type(not_before), type(place), type(start_after)} - {float, NoneType}
    if type(origin) is not str or type(user) is not str or type(priority) is not int or times:
        raise corrupt_row_error("waiting download no.", seq, "a value has another type")
    return WaitingDownload(
        seq=seq,
        origin=origin,
        priority=priority,
        not_before=not_before,
        place=place,
        start_after=start_after,
        user=user,
    )


def _decode_part_owner(row: Row) -> tuple[str, PartOwner]:
    id, state, epoch, part_name, superseded_name = decode_texts(row, 0, "download")
    if type(epoch) is not int or state not in STATES:
        raise corrupt_row_error("download", id, "its state or epoch is invalid")
    return id, PartOwner(state=STATES[state], epoch=epoch, part_name=part_name, superseded_name=superseded_name)


def _unknown_part_owner(row: Row) -> tuple[str, PartOwner]:
    id = row[0]
    return id.decode() if isinstance(id, bytes) else id, PartOwner(state=None, epoch=0, part_name=None)
