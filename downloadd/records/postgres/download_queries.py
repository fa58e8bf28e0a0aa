"""Reading statements of the table `downloads`, run on a connection."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from downloadd.download import Download
from downloadd.records.columns import COLUMNS, STATES
from downloadd.records.download_queries import decode_waiting
from downloadd.records.postgres.history import SUPERSEDED_NAME, Query, decode_ended_row, superseded_name
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.postgres.run_statements import IS_RUNNING, SESSION, gone_sessions
from downloadd.records.postgres.statements import array_of_texts, names
from downloadd.records.protocol import EndedRow, PartOwner, WaitingDownload
from downloadd.records.rows import Row, corrupt_row_error, decode
from downloadd.states import ACTIVE, WAITING, State

# The SQL is composed of the names in the table of columns only.
# ruff: noqa: S608
COLUMN_LIST: Final = names(COLUMNS)
_BY_ID: Final = f"SELECT {COLUMN_LIST} FROM downloads WHERE id = $1"
_BY_ID_FOR_UPDATE: Final = f"{_BY_ID} FOR UPDATE"
_BY_SEQS: Final = f"SELECT {COLUMN_LIST} FROM downloads WHERE seq = ANY($1::bigint[]) ORDER BY seq"
_BY_SEQS_FOR_UPDATE: Final = f"{_BY_SEQS} FOR UPDATE"
_PART_OWNERS: Final = (
    f"SELECT id, state, epoch, part_name, {SUPERSEDED_NAME} FROM downloads "
    "WHERE id = ANY($1::text[]) AND (ended_seq IS NULL OR part_name IS NOT NULL)"
)
_WAITING: Final = (
    'SELECT seq, origin, "user", priority, not_before, place, start_after FROM downloads '
    "WHERE ended_seq IS NULL AND seq > $1 AND state = ANY($2::text[]) ORDER BY seq LIMIT $3"
)
_GONE_SESSIONS: Final = gone_sessions("downloads", SESSION, IS_RUNNING)
_ABANDONED: Final = (
    f"SELECT {COLUMN_LIST} FROM downloads WHERE {IS_RUNNING} AND {SESSION} = ANY($1::text[]) AND seq > $2 "
    "ORDER BY seq LIMIT $3"
)
_COUNTS: Final = "SELECT state, count(*) FROM downloads WHERE ended_seq IS NULL GROUP BY state"
_ENDED_COUNT: Final = "SELECT count(*) FROM downloads WHERE ended_seq IS NOT NULL"
_LAST_ENDED_SEQ: Final = "SELECT coalesce(max(ended_seq), 0) FROM downloads WHERE ended_seq IS NOT NULL"
_LAST_SEQ: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM downloads_seq_seq"
_LAST_REMOVAL: Final = "SELECT removed_at FROM counter"
_NEWEST: Final = "SELECT ended_seq FROM downloads WHERE ended_seq IS NOT NULL ORDER BY ended_seq DESC LIMIT 1 OFFSET $1"
_CREATED_AT: Final = "SELECT min(begun) FROM birth"


class DownloadQueries:
    """Queries for downloads; each leaves damaged rows out."""

    def __init__(self) -> None:
        self._row_reader = RowReader()

    async def by_id(self, connection: asyncpg.Connection, id: str, *, for_update: bool = False) -> Download | None:
        """Return a download, locked until the end of the transaction `for_update`; None if it is unknown.

        Raises:
            StorageError: its row is damaged.
        """
        row = await connection.fetchrow(_BY_ID_FOR_UPDATE if for_update else _BY_ID, id)
        return None if row is None else decode(tuple(row))

    async def by_seqs(
        self, connection: asyncpg.Connection, seqs: Sequence[int], *, for_update: bool = False
    ) -> list[Download]:
        """Return the downloads with these `seq`, oldest first; locked until the end of the transaction `for_update`."""
        sql = _BY_SEQS_FOR_UPDATE if for_update else _BY_SEQS
        return await self._row_reader.rows(connection, sql, (list(seqs),), decode)

    async def page(self, connection: asyncpg.Connection, query: Query, known: Mapping[int, Download]) -> list[Download]:
        """Return the rows of a query, those in `known` without decoding them."""
        if known:
            seqs = [seq for (seq,) in await connection.fetch(query.seqs, *query.parameters)]
            if all(seq in known for seq in seqs):
                return [known[seq] for seq in seqs]
        return await self._row_reader.page(
            connection, query.sql, query.parameters, lambda row: known.get(row[0]) or decode(row)
        )

    async def ended_rows(self, connection: asyncpg.Connection, query: Query) -> list[EndedRow]:
        """Return what a removal needs of the rows of a query of the history."""
        return await self._row_reader.page(connection, query.ended_rows, query.parameters, decode_ended_row)

    async def abandoned(self, connection: asyncpg.Connection, *, after_seq: int, limit: int) -> list[Download]:
        """Return the downloads in a running state that no living node holds, oldest first."""
        sessions = [session for (session,) in await connection.fetch(_GONE_SESSIONS)]
        if not sessions:
            return []
        return await self._row_reader.page(connection, _ABANDONED, (sessions, after_seq, limit), decode)

    async def waiting(self, connection: asyncpg.Connection, *, after_seq: int, limit: int) -> list[WaitingDownload]:
        """Return waiting downloads, oldest first."""
        parameters = (after_seq, [state.value for state in WAITING], limit)
        return await self._row_reader.page(connection, _WAITING, parameters, decode_waiting)

    async def part_owners(self, connection: asyncpg.Connection, ids: Sequence[str]) -> dict[str, PartOwner]:
        """Return the part files that the downloads among `ids` may own."""
        rows = await self._row_reader.rows(
            connection, _PART_OWNERS, (array_of_texts(ids),), _decode_part_owner, fallback=_unknown_part_owner
        )
        return dict(rows)


async def count_by_state(connection: asyncpg.Connection) -> dict[State, int]:
    """Return the number of downloads in each active state."""
    rows = await connection.fetch(_COUNTS)
    # The words of damaged rows are left out.
    return {STATES[state]: count for state, count in rows if STATES.get(state) in ACTIVE}


async def count_ended(connection: asyncpg.Connection) -> int:
    """Return the number of downloads in the history."""
    return await _number(connection, _ENDED_COUNT)


async def last_ended_seq(connection: asyncpg.Connection) -> int:
    """Return the newest `ended_seq` of the history; 0 if it is empty."""
    return await _number(connection, _LAST_ENDED_SEQ)


async def last_used_seq(connection: asyncpg.Connection) -> int:
    """Return the greatest `seq` that was ever assigned, even if its download was removed."""
    return await _number(connection, _LAST_SEQ)


async def last_removal(connection: asyncpg.Connection) -> int:
    """Return the newest `ended_seq` just before the last removal from the history; 0 without one."""
    return await _number(connection, _LAST_REMOVAL)


async def ended_seq_of_newest(connection: asyncpg.Connection, number: int) -> int | None:
    """Return the `ended_seq` of the finished download that has `number` newer ones; None if there is none."""
    ended_seq: int | None = await connection.fetchval(_NEWEST, number)
    return ended_seq


async def created_at(connection: asyncpg.Connection) -> float | None:
    """Return the Unix time at which the records were created."""
    time: float | None = await connection.fetchval(_CREATED_AT)
    return time


async def _number(connection: asyncpg.Connection, sql: str, *parameters: Any) -> int:
    number: int = await connection.fetchval(sql, *parameters)
    return number


def _decode_part_owner(row: Row) -> tuple[str, PartOwner]:
    id, state, epoch, part_name, superseded = row
    if state not in STATES:
        raise corrupt_row_error("download", id, "its state is invalid")
    return id, PartOwner(
        state=STATES[state], epoch=epoch, part_name=part_name, superseded_name=superseded_name(superseded, id)
    )


def _unknown_part_owner(row: Row) -> tuple[str, PartOwner]:
    return row[0], PartOwner(state=None, epoch=0, part_name=None)
