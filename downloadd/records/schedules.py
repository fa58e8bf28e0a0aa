"""Records of schedules, in the database of the downloads."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader, read_one
from downloadd.records.rows import Row, corrupt_row_error, decode_texts
from downloadd.schedule import Schedule

_LIST: Final = "SELECT name, revision, body FROM schedules ORDER BY name"
_GET: Final = "SELECT name, revision, body FROM schedules WHERE name = ?"
_ADD: Final = "INSERT INTO schedules (name, revision, body) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING"
_REPLACE: Final = "UPDATE schedules SET revision = ?, body = ? WHERE name = ? AND revision = ?"
_REMOVE: Final = "DELETE FROM schedules WHERE name = ? AND revision = ?"


class ScheduleRecords(Protocol):
    """Durable records of schedules; each call that changes them returns after the change is durable."""

    async def list(self) -> Sequence[Schedule]:
        """Return all schedules by name; damaged ones are left out."""
        ...

    async def get(self, name: str) -> Schedule | None:
        """Return a schedule; None if it is unknown.

        Raises:
            StorageError: its record is damaged.
        """
        ...

    async def add(self, schedule: Schedule) -> bool:
        """Insert a schedule; return False if the name is taken."""
        ...

    async def replace(self, schedule: Schedule) -> Schedule | None:
        """Write a schedule over its revision and return it with the next one; None if it was changed or removed."""
        ...

    async def remove(self, schedule: Schedule) -> bool:
        """Remove a schedule; return False if it was changed or removed."""
        ...


class SqliteSchedules:
    """`ScheduleRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def list(self) -> Sequence[Schedule]:
        """Return all schedules; see `ScheduleRecords.list`."""
        return await self._access.read(lambda connection: self._row_reader.rows(connection, _LIST, (), decode_schedule))

    async def get(self, name: str) -> Schedule | None:
        """Return a schedule; see `ScheduleRecords.get`."""
        return await self._access.read(lambda connection: read_one(connection, _GET, (name,), decode_schedule))

    async def add(self, schedule: Schedule) -> bool:
        """Insert a schedule; see `ScheduleRecords.add`."""
        return await self._execute(_ADD, schedule.name, schedule.revision, encode_schedule(schedule))

    async def replace(self, schedule: Schedule) -> Schedule | None:
        """Write a schedule; see `ScheduleRecords.replace`."""
        changed = replace(schedule, revision=schedule.revision + 1)
        values = (changed.revision, encode_schedule(changed), schedule.name, schedule.revision)
        return changed if await self._execute(_REPLACE, *values) else None

    async def remove(self, schedule: Schedule) -> bool:
        """Remove a schedule; see `ScheduleRecords.remove`."""
        return await self._execute(_REMOVE, schedule.name, schedule.revision)

    async def _execute(self, sql: str, *parameters: Any) -> bool:
        def write(cursor: sqlite3.Cursor) -> bool:
            return cursor.execute(sql, parameters).rowcount == 1

        return await self._access.write(write)


def encode_schedule(schedule: Schedule) -> str:
    """Return the stored text of a schedule."""
    return msgspec.json.encode(schedule).decode()


def decode_schedule(row: Row) -> Schedule:
    """Return the schedule of a row with name, revision and body.

    Raises:
        StorageError: the row is damaged.
    """
    name, revision, body = decode_texts(row, 0, "schedule")
    try:
        schedule = msgspec.json.decode(body, type=Schedule)
    except (msgspec.MsgspecError, TypeError) as error:
        raise corrupt_row_error("schedule", name, str(error)) from None
    if schedule.name != name or type(revision) is not int:
        raise corrupt_row_error("schedule", name, "name or revision is another one")
    return replace(schedule, revision=revision)
