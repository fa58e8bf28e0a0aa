"""Schedules of the configuration."""

from typing import Any, cast
from unittest.mock import Mock

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.clocks import ManualClock
from support.fake_schedules import FakeSchedules

from downloadd.config import ScheduleConfig, UserConfig
from downloadd.errors import InvalidParameterError
from downloadd.policy.directories import DirectoryRules
from downloadd.rights import Rights
from downloadd.schedule import ScheduleDefinition, ScheduleSource, Version
from downloadd.schedules.service import ScheduleService, check_definition
from downloadd.users import User

ENTRY = ScheduleConfig(name="prices", cron="0 * * * *", url="https://a.example/prices.csv")
ANN = UserConfig(id="ann", token_hash="sha256:" + "0" * 64)
ALICE = User(id="alice", permissions=frozenset({"download"}))


class Stack:
    def __init__(self) -> None:
        self.records = FakeSchedules()
        parts: Any = Mock()
        self.service = ScheduleService(
            records=self.records,
            lookup=parts,
            runner=parts,
            rights=Rights(directories=DirectoryRules(), is_enabled=True),
            clock=ManualClock(),
        )

    async def configure(self, *entries: ScheduleConfig) -> None:
        await self.service.configure(entries, [ANN])


async def test_schedules_are_added_changed_and_removed_with_the_configuration() -> None:
    stack = Stack()
    await stack.configure(ENTRY, replace(ENTRY, name="other", user="bob"))
    other, prices = await stack.records.list()
    assert (prices.source, prices.definition.user, other.definition.user) == ("configuration", "ann", "bob")
    assert prices.definition.filename == "prices.csv"
    await stack.configure(replace(ENTRY, cron="30 * * * *"))
    [changed] = await stack.records.list()
    assert changed.definition.cron == "30 * * * *"
    await stack.configure()
    assert await stack.records.list() == []


async def test_an_unchanged_schedule_keeps_the_outcome_of_its_runs_and_is_not_written() -> None:
    stack = Stack()
    await stack.configure(ENTRY)
    [schedule] = await stack.records.list()
    known = await stack.records.replace(replace(schedule, versions=(Version(due=1, download_id="x"),)))
    await stack.configure(ENTRY)
    assert await stack.records.list() == [known]


async def test_a_schedule_of_the_api_stays_unless_the_configuration_takes_its_name() -> None:
    stack = Stack()
    definition = ScheduleDefinition(
        cron="0 1 * * *", time_zone="UTC", url="https://b.example/f", directory="", filename="", keep=1, user=""
    )
    for name in ("prices", "mine"):
        await stack.service.add(ALICE, name, definition)
    with capture_logs() as lines:
        await stack.configure(ENTRY)
    assert "schedule_replaced_by_configuration" in [line["event"] for line in lines]
    assert [one.source for one in await stack.records.list()] == [ScheduleSource.API, ScheduleSource.CONFIGURATION]
    await stack.configure()
    assert [one.name for one in await stack.records.list()] == ["mine"]


async def test_a_change_over_another_one_is_made_again() -> None:
    stack = Stack()
    await stack.configure(ENTRY)

    class Contended(FakeSchedules):
        refusals = 2

        async def replace(self, schedule: Any) -> Any:
            if self.refusals:
                self.refusals -= 1
                return None
            return await super().replace(schedule)

    contended = Contended()
    contended._schedules = stack.records._schedules
    stack.service._records = cast(Any, contended)
    await stack.configure(replace(ENTRY, keep=2))
    assert (await stack.records.list())[0].definition.keep == 2


def test_a_url_without_a_name_needs_one() -> None:
    definition = ScheduleDefinition(
        cron="0 1 * * *", time_zone="UTC", url="https://b.example/?x=1", directory="", filename="", keep=1, user=""
    )
    with pytest.raises(InvalidParameterError, match="filename"):
        check_definition(definition)
    assert check_definition(replace(definition, filename="f")).filename == "f"
