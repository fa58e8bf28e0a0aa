"""Schedules in memory, over a fake manager."""

from collections.abc import Sequence

from msgspec.structs import replace

from downloadd.schedule import Schedule


class FakeSchedules:
    """`ScheduleRecords` in memory."""

    def __init__(self) -> None:
        self._schedules: dict[str, Schedule] = {}

    async def list(self) -> Sequence[Schedule]:
        """Return all schedules; see `ScheduleRecords.list`."""
        return [self._schedules[name] for name in sorted(self._schedules)]

    async def get(self, name: str) -> Schedule | None:
        """Return a schedule; see `ScheduleRecords.get`."""
        return self._schedules.get(name)

    async def add(self, schedule: Schedule) -> bool:
        """Insert a schedule; see `ScheduleRecords.add`."""
        return self._schedules.setdefault(schedule.name, schedule) is schedule

    async def replace(self, schedule: Schedule) -> Schedule | None:
        """Write a schedule; see `ScheduleRecords.replace`."""
        known = self._schedules.get(schedule.name)
        if known is None or known.revision != schedule.revision:
            return None
        changed = self._schedules[schedule.name] = replace(schedule, revision=schedule.revision + 1)
        return changed

    async def remove(self, schedule: Schedule) -> bool:
        """Remove a schedule; see `ScheduleRecords.remove`."""
        known = self._schedules.get(schedule.name)
        if known is None or known.revision != schedule.revision:
            return False
        del self._schedules[schedule.name]
        return True
