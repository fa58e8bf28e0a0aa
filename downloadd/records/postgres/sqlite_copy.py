"""Copy of an SQLite file of records into an empty PostgreSQL database, all in one transaction."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import asyncpg
import msgspec

from downloadd.errors import StartupError
from downloadd.records.postgres.address import DatabaseAddress
from downloadd.records.postgres.copied_tables import COPIED_TABLES, CopiedTable
from downloadd.records.postgres.postgres_errors import DRIVER_ERRORS, reason
from downloadd.records.postgres.schema import migrate, shipped_migrations
from downloadd.records.postgres.session import OWNER_LOCK
from downloadd.records.sqlite_source import Chunk, RecordsState, SqliteSource

# The SQL is composed of constants in this module and in the tables only.
# ruff: noqa: S608
_SET_UP: Final = (
    # Reading a chunk from a slow disk may take long.
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
)
_OWN: Final = "SELECT pg_try_advisory_xact_lock($1)"
_LOCK: Final = "LOCK TABLE birth, downloads, answers, operations, deliveries IN SHARE ROW EXCLUSIVE MODE"
_IS_COPIED: Final = "SELECT EXISTS (SELECT FROM birth WHERE begun = $1)"
_IS_USED: Final = """
SELECT EXISTS (SELECT FROM downloads) OR EXISTS (SELECT FROM answers) OR EXISTS (SELECT FROM operations)
    OR EXISTS (SELECT FROM deliveries)
"""
_SET_BIRTH: Final = "INSERT INTO birth VALUES ($1)"
_SET_BOOT: Final = "UPDATE downloads SET boot = $1 WHERE part_name IS NOT NULL"
_SET_ROOT: Final = "INSERT INTO storage_root VALUES ($1)"
_SET_CLEARED: Final = "INSERT INTO cleared_results VALUES ($1)"
_SET_COUNTER: Final = "INSERT INTO counter (ended_seq, removed_at) VALUES ($1, $2)"
_CLEAR: Final = tuple(
    f"DELETE FROM {table}" for table in ("birth", "storage_root", "cleared_results", "counter", "origins")
)
"""Statements that remove what the start of a daemon records without downloads."""
_UNKNOWN_BIRTH: Final = 0.0
"""Time for records without one, as the first start would otherwise take its own: no part file is older than it."""
_SEQ_SEQUENCE: Final = "downloads_seq_seq"
_ANALYZE: Final = "ANALYZE downloads, import_files"


class CopiedRows(msgspec.Struct, frozen=True, kw_only=True):
    """Number of rows of one kind."""

    label: str
    """Plural."""
    copied: int
    damaged: int
    """Rows that were left out because they are damaged."""


class CopyResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a copy."""

    was_copied_before: bool
    """True if nothing was changed, because an earlier copy took place."""
    rows: tuple[CopiedRows, ...] = ()


async def copy_records(source: SqliteSource, address: DatabaseAddress) -> CopyResult:
    """Copy all records into a database, or nothing.

    Raises:
        StartupError: the database cannot be used, has other records, or a daemon uses it.
    """
    connection = await address.connect_first()
    try:
        await _migrate(connection, address)
        async with connection.transaction():
            result = await _copy(connection, source, address.label)
        await connection.close()
    except DRIVER_ERRORS as error:
        raise StartupError(
            f"the records were not copied to {address.label}: {reason(error)}; run the command again"
        ) from None
    finally:
        connection.terminate()
    return result


async def _migrate(connection: asyncpg.Connection, address: DatabaseAddress) -> None:
    try:
        await migrate(connection, shipped_migrations(), address.label)
    except DRIVER_ERRORS as error:
        raise address.startup_error(error) from None


async def _copy(connection: asyncpg.Connection, source: SqliteSource, label: str) -> CopyResult:
    for sql in _SET_UP:
        await connection.execute(sql)
    if not await connection.fetchval(_OWN, OWNER_LOCK):
        raise StartupError(f"the database {label} is used by a daemon or by another copy; stop it first")
    await connection.execute(_LOCK)
    state = await asyncio.to_thread(source.read_state)
    birth = _UNKNOWN_BIRTH if state.created_at is None else state.created_at
    if await connection.fetchval(_IS_COPIED, birth):
        return CopyResult(was_copied_before=True)
    if await connection.fetchval(_IS_USED):
        raise StartupError(f"the database {label} has other records already; choose one without downloads")
    for sql in _CLEAR:
        await connection.execute(sql)
    rows = [await _copy_table(connection, source, table) for table in COPIED_TABLES]
    await _write_state(connection, state, birth)
    await connection.execute(_ANALYZE)
    return CopyResult(was_copied_before=False, rows=tuple(rows))


async def _copy_table(connection: asyncpg.Connection, source: SqliteSource, table: CopiedTable) -> CopiedRows:
    chunks = source.read_rows(table.select, table.convert)
    copied = damaged = last = 0
    while (chunk := await asyncio.to_thread(_next_chunk, chunks)) is not None:
        await connection.copy_records_to_table(table.table, records=chunk.rows, columns=table.columns)
        copied += len(chunk.rows)
        damaged += chunk.damaged
        if table.sequence is not None:
            last = max(last, *(row[0] for row in chunk.rows), 0)
    if table.sequence is not None:
        await _continue_sequence(connection, table.sequence, last)
    return CopiedRows(label=table.label, copied=copied, damaged=damaged)


async def _write_state(connection: asyncpg.Connection, state: RecordsState, birth: float) -> None:
    single: list[tuple[str, tuple[Any, ...]]] = [
        (_SET_BIRTH, (birth,)),
        (_SET_COUNTER, (state.last_ended_seq, state.last_removal)),
    ]
    if state.boot is not None:
        single.append((_SET_BOOT, (state.boot,)))
    if state.storage_root is not None:
        single.append((_SET_ROOT, (state.storage_root,)))
    if state.cleared_until:
        single.append((_SET_CLEARED, (state.cleared_until,)))
    for sql, values in single:
        await connection.execute(sql, *values)
    await _continue_sequence(connection, _SEQ_SEQUENCE, state.last_seq)


async def _continue_sequence(connection: asyncpg.Connection, sequence: str, last: int) -> None:
    """Let a sequence continue after `last`, if it has not come so far."""
    if last > 0:
        await connection.execute(
            f"SELECT setval('{sequence}', $1) FROM {sequence} WHERE NOT is_called OR last_value < $1",
            last,
        )


def _next_chunk(chunks: Iterator[Chunk]) -> Chunk | None:
    return next(chunks, None)
