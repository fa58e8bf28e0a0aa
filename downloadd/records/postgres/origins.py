"""Records of origins that are not healthy, in PostgreSQL."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from downloadd.records.origins import MAX_ORIGINS, OriginRecord
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.rows import Row, decode_struct

_FIELDS: Final = OriginRecord.__struct_fields__
_COUNT: Final = len(_FIELDS)
# The SQL is composed of the names in the struct only.
# ruff: noqa: S608
_IS_HEALTHY: Final = "NOT is_open AND backoff_until = 0"
_LOAD: Final = (
    f"SELECT {', '.join(_FIELDS)} FROM origins WHERE NOT ({_IS_HEALTHY}) "
    "ORDER BY greatest(backoff_until, probe_at) DESC, origin LIMIT $1"
)
_SAVE: Final = (
    f"INSERT INTO origins ({', '.join(_FIELDS)}, session) "
    f"VALUES ({', '.join(f'${n}' for n in range(1, _COUNT + 2))}) "
    f"ON CONFLICT (origin) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _FIELDS)}, "
    "session = excluded.session, changed = clock_timestamp()"
)
_RECOVER: Final = """
UPDATE origins SET backoff_until = 0, is_open = false, probe_at = 0, failures = 0, failing_since = NULL, error = NULL,
    session = $2, changed = clock_timestamp()
WHERE origin = $1
"""
_FORGET: Final = f"DELETE FROM origins WHERE {_IS_HEALTHY} AND changed < clock_timestamp() - interval '1 minute'"
# A record becomes visible with its commit, somewhat later than its time.
_CHANGED: Final = f"""
SELECT {", ".join(_FIELDS)}, changed FROM origins
WHERE changed > coalesce($1, clock_timestamp()) - interval '5 s' AND session IS DISTINCT FROM $2
ORDER BY changed LIMIT 1000
"""


class PostgresOrigins:
    """`OriginRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess, read_session: Callable[[], str | None]) -> None:
        """Take the database; `read_session` returns the session of this node, None before it is registered."""
        self._access = access
        self._read_session = read_session
        self._row_reader = RowReader()
        self._read_until: datetime | None = None
        # The records that others changed lately, as they were read last.
        self._seen: dict[str, datetime] = {}

    async def load(self) -> list[OriginRecord]:
        """See `OriginRecords.load`."""
        return await self._access.read(
            lambda connection: self._row_reader.page(connection, _LOAD, (MAX_ORIGINS,), _decode)
        )

    async def save(self, record: OriginRecord) -> None:
        """See `OriginRecords.save`."""
        await self._access.execute(_SAVE, *msgspec.structs.astuple(record), self._read_session())

    async def remove(self, origin: str) -> None:
        """See `OriginRecords.remove`. Other nodes see the recovery before the row is removed."""
        await self._access.execute(_RECOVER, origin, self._read_session())
        await self._access.execute(_FORGET)

    async def changed_by_others(self, connection: asyncpg.Connection) -> Sequence[OriginRecord]:
        """Return the records that other nodes have written since the last call, in order."""
        rows = await connection.fetch(_CHANGED, self._read_until, self._read_session())
        changed = []
        for *values, when in map(tuple, rows):
            if self._seen.get(values[0]) != when:
                changed.append(_decode(tuple(values)))
        self._seen = {row["origin"]: row["changed"] for row in rows}
        if rows:
            self._read_until = rows[-1]["changed"]
        return changed


def _decode(row: Row) -> OriginRecord:
    return decode_struct(row, OriginRecord, name=0, kind="origin")
