"""Contract of `ScheduleRecords`."""

import asyncio

from msgspec.structs import replace
from support.stores import OpenStore

from downloadd.schedule import Schedule, ScheduleDefinition, ScheduleSource

DEFINITION = ScheduleDefinition(
    cron="0 2 * * *", time_zone="UTC", url="https://u:p@a/\u00fc", directory="d", filename="f", keep=1, user="ann"
)
SCHEDULE = Schedule(name="b", source=ScheduleSource.API, created=1.5, definition=DEFINITION)


class ScheduleContract:
    """Promises of every implementation of `ScheduleRecords`."""

    async def test_schedules_are_listed_by_name_and_kept(self, open_store: OpenStore) -> None:
        others = [replace(SCHEDULE, name=name) for name in ("a", "B")]
        async with open_store() as records:
            assert await records.schedules.list() == []
            for schedule in (SCHEDULE, *others):
                assert await records.schedules.add(schedule)
        async with open_store() as records:
            assert [one.name for one in await records.schedules.list()] == ["B", "a", "b"]
            assert await records.schedules.get("b") == SCHEDULE
            assert await records.schedules.get("c") is None

    async def test_a_taken_name_is_refused(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            assert await records.schedules.add(SCHEDULE)
            assert not await records.schedules.add(replace(SCHEDULE, created=2.5))
            assert await records.schedules.get("b") == SCHEDULE

    async def test_only_one_of_several_changes_of_a_revision_is_written(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            await records.schedules.add(SCHEDULE)
            changes = [replace(SCHEDULE, next_run=float(number)) for number in range(3)]
            written = await asyncio.gather(*map(records.schedules.replace, changes))
            [one] = [schedule for schedule in written if schedule is not None]
            assert one.revision == 1
            assert await records.schedules.get("b") == one
            assert await records.schedules.replace(one) == replace(one, revision=2)

    async def test_only_the_known_revision_is_removed(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            await records.schedules.add(SCHEDULE)
            changed = await records.schedules.replace(SCHEDULE)
            assert changed is not None
            assert not await records.schedules.remove(SCHEDULE)
            assert await records.schedules.remove(changed)
            assert not await records.schedules.remove(changed)
            assert await records.schedules.replace(changed) is None
            assert await records.schedules.list() == []
