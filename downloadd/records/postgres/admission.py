"""Admission over several nodes in PostgreSQL.

A claim locks the origins whose slots it takes, then counts the slots there: so the limits hold exactly. Locks are taken
in one order: origins, downloads by `seq`, slots. What waits is read through partial indexes: the routes one after the
other, and of each the next downloads, however many wait behind them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from downloadd.download import Download
from downloadd.records.admission import FIRST_ROUTE, Backlog, BacklogRequest, ClaimRequest, DelayedCount, SlotHolding
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.origins import PostgresOrigins
from downloadd.records.postgres.run_statements import gone_sessions
from downloadd.records.postgres.runs import Claims
from downloadd.records.postgres.statements import array_of_texts
from downloadd.records.protocol import WaitingDownload
from downloadd.records.rows import Row
from downloadd.states import WAITING

# The SQL is composed of the names of the states only.
# ruff: noqa: S608
_WAITING_WORDS: Final = ", ".join(f"'{state}'" for state in sorted(WAITING))
_WAITS: Final = f"ended_seq IS NULL AND state IN ({_WAITING_WORDS}) AND desired = 'run'"
_READY: Final = f"{_WAITS} AND not_before IS NULL AND (start_after IS NULL OR start_after <= released)"
_DELAYED: Final = f"{_WAITS} AND (not_before IS NOT NULL OR start_after > released)"
_DUE: Final = "greatest(not_before, start_after)"
_ROUTES: Final = f"""
WITH RECURSIVE routes AS (
    (SELECT 1 AS number, origin, target, "user" FROM downloads
    WHERE {_READY} AND (origin, target, "user") > ($1, $2, $3)
    ORDER BY origin, target, "user" LIMIT 1)
    UNION ALL
    SELECT routes.number + 1, next.origin, next.target, next."user" FROM routes CROSS JOIN LATERAL (
        SELECT origin, target, "user" FROM downloads
        WHERE {_READY} AND (origin, target, "user") > (routes.origin, routes.target, routes."user")
        ORDER BY origin, target, "user" LIMIT 1
    ) AS next
    WHERE routes.number < $8
)
SELECT route.number, route.origin, route.target, route."user", head.seq, head.priority, head.place FROM (
    SELECT * FROM routes WHERE "user" <> ALL($7::text[]) OR number = $8 LIMIT $4
) AS route LEFT JOIN LATERAL (
    SELECT seq, origin, target, "user", priority, place FROM downloads
    WHERE {_READY} AND origin = route.origin AND target = route.target AND "user" = route."user"
        AND seq <> ALL($6::bigint[])
    ORDER BY priority DESC, coalesce(place, seq::double precision), seq LIMIT $5
) AS head ON true
"""
MAX_WALKED: Final = 16
"""Routes that a read passes at most, as a multiple of those it returns; the others are those of users without slots."""
_NEXT_DUE: Final = f"SELECT min({_DUE}) FROM downloads WHERE {_DELAYED}"
_COUNT_DELAYED: Final = (
    f"SELECT count(*), count(*) FILTER (WHERE start_after > released) FROM downloads WHERE {_DELAYED}"
)
_RELEASE_DUE: Final = f"""
UPDATE downloads SET not_before = NULL, released = coalesce(start_after, released) WHERE seq IN (
    SELECT seq FROM downloads WHERE {_DELAYED} AND {_DUE} <= $1 ORDER BY {_DUE} LIMIT 1000
    FOR UPDATE SKIP LOCKED
)
"""
_USED_BY_OTHERS: Final = (
    "SELECT origin, sum(number)::bigint FROM slots WHERE session IS DISTINCT FROM $1 GROUP BY origin"
)
ORIGIN_LOCKS: Final = 7_163_804
"""First key of the advisory locks of origins."""
_LOCK_ORIGINS: Final = """
SELECT pg_advisory_xact_lock($2, key)
FROM (SELECT DISTINCT hashtext(origin) AS key FROM unnest($1::text[]) AS origin ORDER BY key) AS keys
"""
_USED: Final = (
    "SELECT origin, sum(number)::bigint FROM slots "
    "WHERE origin = ANY($1::text[]) AND seq <> ALL($2::bigint[]) GROUP BY origin"
)
_HELD: Final = "SELECT number FROM slots WHERE origin = $1 AND seq = $2 AND session = $3"
_HOLD: Final = """
INSERT INTO slots (origin, seq, session, number)
SELECT origin, seq, $4, number FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS held (origin, seq, number)
ORDER BY origin, seq
ON CONFLICT (origin, seq) DO UPDATE SET session = excluded.session, number = excluded.number
"""
_LOWER: Final = "UPDATE slots SET number = $3 WHERE origin = $1 AND seq = $2 AND session = $4 AND number > $3"
_FREE: Final = "DELETE FROM slots WHERE origin = $1 AND seq = $2 AND session = $3"
_FREE_ALL: Final = """
DELETE FROM slots USING unnest($1::text[], $2::bigint[]) AS freed (origin, seq)
WHERE slots.origin = freed.origin AND slots.seq = freed.seq AND session = $3
"""
_GONE_SESSIONS: Final = gone_sessions("slots")
_FREE_SESSIONS: Final = f"DELETE FROM slots WHERE session IN ({_GONE_SESSIONS})"
_RECORD_TARGETS: Final = f"""
UPDATE downloads SET target = led.target FROM unnest($1::bigint[], $2::text[]) AS led (seq, target)
WHERE downloads.seq = led.seq AND {_WAITS}
"""


class PostgresAdmission:
    """`AdmissionRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess, claims: Claims, origins: PostgresOrigins) -> None:
        self._access = access
        self._claims = claims
        self._origins = origins

    async def read_backlog(self, request: BacklogRequest) -> Backlog:
        """See `AdmissionRecords.read_backlog`."""

        async def read(connection: asyncpg.Connection) -> Backlog:
            walked = request.max_routes * MAX_WALKED
            values = (*request.after, request.max_routes, request.per_route, list(request.held))
            further = (array_of_texts(request.full_users), walked)
            rows = await connection.fetch(_ROUTES, *values, *further) if request.max_routes else ()
            ready = [_decode_ready(tuple(row)) for row in rows if row["seq"] is not None]
            # The order of the database, which may have another collation.
            routes = {row["number"]: (row["origin"], row["target"], row["user"]) for row in rows}
            has_more = len(routes) >= request.max_routes or walked in routes
            return Backlog(
                ready=ready,
                next_route=routes[max(routes)] if routes and has_more else FIRST_ROUTE,
                next_due=await connection.fetchval(_NEXT_DUE),
                used=dict(map(tuple, await connection.fetch(_USED_BY_OTHERS, self._session))),
                origins=await self._origins.changed_by_others(connection),
            )

        return await self._access.read(read)

    async def release_due(self, now: float) -> None:
        """See `AdmissionRecords.release_due`."""
        await self._access.execute(_RELEASE_DUE, now)

    async def count_delayed(self) -> DelayedCount:
        """See `AdmissionRecords.count_delayed`."""
        count, scheduled = await self._access.read(lambda connection: connection.fetchrow(_COUNT_DELAYED))
        return DelayedCount(retries=count - scheduled, scheduled=scheduled)

    async def claim(
        self, requests: Sequence[ClaimRequest], limits: Mapping[str, int], changes: Sequence[SlotHolding]
    ) -> list[Download]:
        """See `AdmissionRecords.claim`."""

        async def write(connection: asyncpg.Connection) -> list[Download]:
            await self._free(connection, changes)
            fitting = await self._select(connection, requests, limits)
            (claimed,) = await self._claims.claim(connection, [list(fitting)])
            held = [
                SlotHolding(seq=row.seq, origin=origin, number=number)
                for row in claimed
                for origin, number in fitting[row.seq].slots.items()
            ]
            await self._hold(connection, held)
            return list(claimed)

        return await self._access.write(write, rows=len(requests))

    async def acquire(self, holding: SlotHolding, limit: int, changes: Sequence[SlotHolding]) -> int:
        """See `AdmissionRecords.acquire`."""

        async def write(connection: asyncpg.Connection) -> int:
            await self._free(connection, changes)
            used = await self._lock_and_count(connection, [holding.origin], [holding.seq])
            before = await connection.fetchval(_HELD, holding.origin, holding.seq, self._session) or 0
            number = max(before, min(holding.number, limit - used[holding.origin]))
            if number > before:
                await self._hold(connection, [SlotHolding(seq=holding.seq, origin=holding.origin, number=number)])
            return int(number)

        return await self._access.write(write, rows=0)

    async def free(self, changes: Sequence[SlotHolding]) -> None:
        """See `AdmissionRecords.free`."""
        freed = [(one.origin, one.seq) for one in changes if not one.number]
        if len(freed) == len(changes):
            # The usual case shares a transaction with other changes.
            origins, seqs = zip(*sorted(freed), strict=True) if freed else ((), ())
            await self._access.execute(_FREE_ALL, array_of_texts(origins), seqs, self._session, rows=0)
            return

        async def write(connection: asyncpg.Connection) -> None:
            await self._free(connection, changes)

        await self._access.write(write, rows=0)

    async def free_abandoned(self) -> None:
        """See `AdmissionRecords.free_abandoned`."""
        if await self._access.read(lambda connection: connection.fetch(_GONE_SESSIONS)):
            await self._access.execute(_FREE_SESSIONS, rows=0)

    async def record_targets(self, targets: Mapping[int, str]) -> None:
        """See `AdmissionRecords.record_targets`."""
        await self._access.execute(_RECORD_TARGETS, list(targets), array_of_texts(targets.values()), rows=0)

    @property
    def _session(self) -> str:
        return self._claims.holder.session or ""

    async def _select(
        self, connection: asyncpg.Connection, requests: Sequence[ClaimRequest], limits: Mapping[str, int]
    ) -> dict[int, ClaimRequest]:
        """Lock the origins, and return the requests that fit beside what all nodes use."""
        origins = {origin for request in requests for origin in request.slots}
        used = await self._lock_and_count(connection, sorted(origins), [request.seq for request in requests])
        fitting: dict[int, ClaimRequest] = {}
        for request in requests:
            if all(used[origin] + number <= limits[origin] for origin, number in request.slots.items()):
                used.update(request.slots)
                fitting[request.seq] = request
        return fitting

    async def _lock_and_count(
        self, connection: asyncpg.Connection, origins: Sequence[str], seqs: Sequence[int]
    ) -> Counter[str]:
        """Return the slots in use at these origins, without those of the downloads `seqs`."""
        await connection.execute(_LOCK_ORIGINS, array_of_texts(origins), ORIGIN_LOCKS)
        rows = await connection.fetch(_USED, array_of_texts(origins), list(seqs))
        return Counter(dict(map(tuple, rows)))

    async def _hold(self, connection: asyncpg.Connection, held: Sequence[SlotHolding]) -> None:
        if held:
            origins, seqs, numbers = zip(*((one.origin, one.seq, one.number) for one in held), strict=True)
            await connection.execute(_HOLD, array_of_texts(origins), seqs, numbers, self._session)

    async def _free(self, connection: asyncpg.Connection, changes: Sequence[SlotHolding]) -> None:
        freed = sorted((one.origin, one.seq) for one in changes if not one.number)
        lowered = sorted((one.origin, one.seq, one.number) for one in changes if one.number)
        if freed:
            await connection.executemany(_FREE, [(*one, self._session) for one in freed])
        if lowered:
            await connection.executemany(_LOWER, [(*one, self._session) for one in lowered])


def _decode_ready(row: Row) -> WaitingDownload:
    _, origin, target, user, seq, priority, place = row
    return WaitingDownload(seq=seq, origin=origin, target=target or None, priority=priority, place=place, user=user)
