"""Records of schedules in PostgreSQL."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.schedules import decode_schedule, encode_schedule
from downloadd.schedule import Schedule

_LIST: Final = 'SELECT name, revision, body FROM schedules ORDER BY name COLLATE "C"'
_GET: Final = "SELECT name, revision, body FROM schedules WHERE name = $1"
_ADD: Final = "INSERT INTO schedules (name, revision, body) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING"
_REPLACE: Final = "UPDATE schedules SET revision = $1, body = $2 WHERE name = $3 AND revision = $4"
_REMOVE: Final = "DELETE FROM schedules WHERE name = $1 AND revision = $2"


class PostgresSchedules:
    """`ScheduleRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def list(self) -> Sequence[Schedule]:
        """Return all schedules; see `ScheduleRecords.list`."""
        return await self._access.read(lambda connection: self._row_reader.rows(connection, _LIST, (), decode_schedule))

    async def get(self, name: str) -> Schedule | None:
        """Return a schedule; see `ScheduleRecords.get`."""
        row = await self._access.read(lambda connection: connection.fetchrow(_GET, name))
        return None if row is None else decode_schedule(tuple(row))

    async def add(self, schedule: Schedule) -> bool:
        """Insert a schedule; see `ScheduleRecords.add`."""
        return await self._access.execute(_ADD, schedule.name, schedule.revision, encode_schedule(schedule)) == 1

    async def replace(self, schedule: Schedule) -> Schedule | None:
        """Write a schedule; see `ScheduleRecords.replace`."""
        changed = replace(schedule, revision=schedule.revision + 1)
        values = (changed.revision, encode_schedule(changed), schedule.name, schedule.revision)
        return changed if await self._access.execute(_REPLACE, *values) == 1 else None

    async def remove(self, schedule: Schedule) -> bool:
        """Remove a schedule; see `ScheduleRecords.remove`."""
        return await self._access.execute(_REMOVE, schedule.name, schedule.revision) == 1
