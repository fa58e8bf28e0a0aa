"""Records of the nodes in PostgreSQL; leases are by the clock of the database."""

from collections.abc import Callable, Sequence
from typing import Final

import asyncpg
import msgspec

from downloadd.node import LiveRun, Node, NodeReport, RemoteRun
from downloadd.records.postgres.access import PostgresAccess, execute_counted
from downloadd.records.postgres.run_statements import IS_RUNNING, SESSION

# The SQL is composed of the names of the states only.
# ruff: noqa: S608
# A killed process writes to no part file any more.
_RELEASE: Final = f"""
UPDATE downloads SET session = NULL
FROM (SELECT session FROM nodes WHERE session <> $1 AND instance = $2 FOR UPDATE) AS former
WHERE {SESSION} = former.session AND {IS_RUNNING}
"""
_FREE_SLOTS: Final = """
DELETE FROM slots WHERE session IN (SELECT session FROM nodes WHERE session <> $1 AND instance = $2)
"""
_FORGET: Final = "DELETE FROM nodes WHERE last_seen < clock_timestamp() - interval '1 day'"
_REGISTER: Final = """
INSERT INTO nodes AS known (name, session, instance, lease, last_seen, report)
VALUES ($1, $2, $3, $4, clock_timestamp(), $5)
ON CONFLICT (name) DO UPDATE
SET session = excluded.session, instance = excluded.instance, lease = excluded.lease, last_seen = excluded.last_seen,
    report = excluded.report
WHERE known.session = excluded.session OR known.last_seen + known.lease * interval '1 s' < clock_timestamp()
    OR ($6 AND known.instance = excluded.instance)
"""
_BEAT: Final = (
    "UPDATE nodes SET last_seen = clock_timestamp(), lease = $3, report = $4, runs = $5 "
    "WHERE name = $1 AND session = $2"
)
_LEAVE: Final = "DELETE FROM nodes WHERE name = $1 AND session = $2"
_LEAVE_SLOTS: Final = "DELETE FROM slots WHERE session = $1"
_OTHER_RUNS: Final = """
SELECT name, runs FROM nodes
WHERE session <> $1 AND runs IS NOT NULL AND last_seen + lease * interval '1 s' >= clock_timestamp()
"""
_COLUMNS: Final = """
SELECT report, extract(epoch FROM last_seen)::double precision AS last_seen,
    last_seen + lease * interval '1 s' < clock_timestamp() AS is_gone
FROM nodes
"""
_ONE: Final = f"{_COLUMNS} WHERE name = $1"
_LIST: Final = f"{_COLUMNS} ORDER BY name"


class PostgresNodes:
    """`NodeRecords` in PostgreSQL."""

    needs_heartbeats = True

    def __init__(self, access: PostgresAccess, on_registered: Callable[[NodeReport], None]) -> None:
        self._access = access
        self._on_registered = on_registered
        self._session = ""

    async def register(self, report: NodeReport, *, is_start: bool) -> Node | None:
        """Register a node; see `NodeRecords.register`."""
        values = (report.name, report.session, report.instance, report.lease, _encode(report), is_start)

        async def write(connection: asyncpg.Connection) -> Node | None:
            await connection.execute(_FORGET)
            if is_start:
                await connection.execute(_RELEASE, report.session, report.instance)
                await connection.execute(_FREE_SLOTS, report.session, report.instance)
            if await execute_counted(connection, _REGISTER, *values):
                return None
            return _decode(await connection.fetchrow(_ONE, report.name))

        # No rows of downloads; see `beat`.
        holder = await self._access.write(write, rows=0)
        if holder is None:
            self._session = report.session
            self._on_registered(report)
        return holder

    async def beat(self, report: NodeReport, runs: Sequence[LiveRun] = ()) -> bool:
        """Record a heartbeat; see `NodeRecords.beat`."""
        encoded = msgspec.json.encode(runs).decode() if runs else None
        # No rows of downloads: a heartbeat wakes nothing that waits for changes of these.
        values = (report.name, report.session, report.lease, _encode(report), encoded)
        changed = await self._access.execute(_BEAT, *values, rows=0)
        return changed == 1

    async def other_runs(self) -> Sequence[RemoteRun]:
        """Return the runs of the other nodes; see `NodeRecords.other_runs`."""
        rows = await self._access.read(lambda connection: connection.fetch(_OTHER_RUNS, self._session))
        return [RemoteRun(node=name, run=run) for name, runs in rows for run in _decode_runs(runs)]

    async def leave(self, report: NodeReport) -> None:
        """Remove a node that ends; see `NodeRecords.leave`."""

        async def write(connection: asyncpg.Connection) -> None:
            await connection.execute(_LEAVE_SLOTS, report.session)
            await connection.execute(_LEAVE, report.name, report.session)

        await self._access.write(write, rows=0)

    async def list(self) -> Sequence[Node]:
        """Return all nodes; see `NodeRecords.list`."""
        rows = await self._access.read(lambda connection: connection.fetch(_LIST))
        return [_decode(row) for row in rows]


def _encode(report: NodeReport) -> str:
    return msgspec.json.encode(report).decode()


def _decode_runs(encoded: str) -> Sequence[LiveRun]:
    """Return the runs of a node; none if it has another version, which reports other facts."""
    try:
        return msgspec.json.decode(encoded, type=list[LiveRun])
    except msgspec.MsgspecError:
        return ()


def _decode(row: asyncpg.Record) -> Node:
    report = msgspec.json.decode(row["report"], type=NodeReport)
    return Node(report=report, last_seen=row["last_seen"], is_gone=row["is_gone"])
