"""Records of schedules."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from records.contracts.schedules import SCHEDULE, ScheduleContract
from support.clocks import ManualClock

from downloadd.errors import StorageError
from downloadd.records.sqlite import SqliteRecords


class TestSqliteSchedules(ScheduleContract):
    """The contract, kept by SQLite."""


async def test_a_damaged_schedule_is_left_out(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        for name in ("a", "b", "c"):
            await records.schedules.add(replace(SCHEDULE, name=name))
        await records.write(lambda cursor: cursor.execute("UPDATE schedules SET body = '{' WHERE name = 'a'").rowcount)
        await records.write(lambda cursor: cursor.execute("UPDATE schedules SET name = 'd' WHERE name = 'c'").rowcount)
        assert [one.name for one in await records.schedules.list()] == ["b"]
        with pytest.raises(StorageError):
            await records.schedules.get("a")
