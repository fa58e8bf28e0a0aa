"""Limits over all nodes: two nodes over one database, and hours in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from manager.test_hourly_limits import CONFIG, CONFIGURED, EVENING, NIGHT, TO_NIGHT, Stack
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.node_reports import node_report
from support.virtual_time import in_virtual_time
from support.waiting import wait_until

from downloadd.clock import Clock, SystemClock
from downloadd.errors import StoreUnavailableError
from downloadd.events import SettingsChanged
from downloadd.manager import shared_limits
from downloadd.manager.shared_limits import SharedLimits
from downloadd.policy.directories import DirectoryRules
from downloadd.records.hints import NoHints
from downloadd.records.nodes import SoleNode
from downloadd.records.postgres.records import PostgresRecords
from downloadd.rights import Rights
from downloadd.runtime_settings import CurrentSettings, SettingsChange
from downloadd.settings_service import SettingsService
from downloadd.users import User

ANN = User(id="ann", permissions=frozenset({"download"}))


class Node(Stack):
    """Limits of a node; open with `open`."""

    def __init__(self, records: Any, nodes: Any, hints: Any, *entries: Any, name: str = "alpha") -> None:
        super().__init__(*entries)
        self.shared = SharedLimits(
            records, nodes, hints, limits=self.limits, hours=self.hours, bus=self.bus, clock=self.clock, node=name
        )
        rights = Rights(directories=DirectoryRules(), is_enabled=True)
        self.service = SettingsService(self.limits, hours=self.hours, rights=rights, bus=self.bus, shared=self.shared)

    async def open(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self.hours)
        await stack.enter_async_context(self.shared)

    async def change(self, **changes: Any) -> CurrentSettings:
        return await self.service.change(ANN, SettingsChange(**changes))


@pytest.fixture
async def records(database: str) -> AsyncIterator[tuple[PostgresRecords, PostgresRecords]]:
    """Open the records of two nodes, which are registered."""
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(PostgresRecords(database, SystemClock(), is_owner=False)) for _ in range(2)
        ]
        for name, one in zip(("alpha", "beta"), opened, strict=True):
            await one.nodes.register(node_report(name=name, session=name, lease=300.0), is_start=True)
        yield opened[0], opened[1]


async def test_a_change_on_one_node_holds_on_all_until_one_of_them_reloads(
    records: tuple[PostgresRecords, PostgresRecords], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (
        Node(each.limits, each.nodes, each.hints, name=name)
        for name, each in zip(("alpha", "beta"), records, strict=True)
    )
    async with AsyncExitStack() as stack:
        await one.open(stack)
        await other.open(stack)
        with other.bus.subscribe() as subscription:
            shown = await one.change(max_per_host=3, speed_limit=1000, max_concurrent=5, allow_starts=False)
            expected = replace(CONFIGURED, max_per_host=3, speed_limit=1000, allow_starts=False)
            assert (shown.max_concurrent, shown.max_per_host) == (5, 3)
            await wait_until(lambda: other.limits.settings == expected)
            [published] = await subscription.receive()
        assert isinstance(published.event, SettingsChanged)
        assert published.event.settings.speed_limit == 1000
        # Without hints, within the interval of heartbeats.
        monkeypatch.setattr(shared_limits, "POLL_SECONDS", 0.01)
        monkeypatch.setattr(records[1].hints, "send", lambda *hint: None)
        await other.change(speed_limit=0, allow_starts=True)
        await wait_until(lambda: one.limits.settings.speed_limit == 0)
        assert one.limits.settings == replace(CONFIGURED, max_per_host=3, max_concurrent=5)
        assert (await records[1].limits.load()).keys() == {"max_per_host", "speed_limit", "allow_starts"}
        one.hours.configure((), CONFIG)
        await wait_until(lambda: other.limits.settings == CONFIGURED)
        assert await records[0].limits.load() == {}


async def test_a_node_that_starts_has_the_limits_of_those_that_live(
    records: tuple[PostgresRecords, PostgresRecords],
) -> None:
    async with AsyncExitStack() as stack:
        node = Node(records[0].limits, records[0].nodes, records[0].hints)
        await node.open(stack)
        await node.change(max_per_host=3)
    for is_alone in (False, True):
        if is_alone:
            await records[1].nodes.leave(node_report(name="beta", session="beta", lease=300.0))
        async with AsyncExitStack() as stack:
            node = Node(records[0].limits, records[0].nodes, records[0].hints)
            await node.open(stack)
            assert node.limits.settings.max_per_host == (CONFIGURED.max_per_host if is_alone else 3)


class FakeLimits:
    """`LimitRecords` in memory."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.rows: dict[str, tuple[int, float]] = {}
        self.is_unavailable = False

    def _require_available(self) -> None:
        if self.is_unavailable:
            raise StoreUnavailableError("the records are away")

    async def load(self) -> Mapping[str, int]:
        self._require_available()
        return {name: value for name, (value, _) in self.rows.items()}

    async def change(self, limits: Mapping[str, int], *, now: float) -> None:
        self._require_available()
        self.rows |= {name: (value, now) for name, value in limits.items()}

    async def withdraw(self, names: Collection[str], *, before: float) -> None:
        self._require_available()
        self.rows = {name: row for name, row in self.rows.items() if name not in names or row[1] >= before}


def make_lonely(*entries: Any) -> tuple[Node, FakeLimits]:
    """Return a node over records in memory."""
    fake = FakeLimits(SystemClock())
    node = Node(fake, SoleNode(SystemClock()), NoHints(), *entries)
    return node, fake


@in_virtual_time
async def test_hours_that_limit_the_same_value_end_a_change_also_if_the_records_are_away_then() -> None:
    node, fake = make_lonely(EVENING, NIGHT)
    async with AsyncExitStack() as stack:
        await node.open(stack)
        await node.change(speed_limit=7, max_per_host=2)
        fake.is_unavailable = True
        await asyncio.sleep(TO_NIGHT + 1)
        assert node.limits.settings.speed_limit == NIGHT.speed_limit
        assert node.limits.settings.max_per_host == 2
        with pytest.raises(StoreUnavailableError):
            await node.change(speed_limit=9)
        assert node.limits.settings.speed_limit == NIGHT.speed_limit
        fake.is_unavailable = False
        await asyncio.sleep(1)
        assert await fake.load() == {"max_per_host": 2}
        # A change after the hours began is one of them.
        await node.change(speed_limit=9)
        await asyncio.sleep(1)
        assert node.limits.settings.speed_limit == 9


@in_virtual_time
async def test_a_value_that_this_node_does_not_allow_is_reported_and_leaves_its_limits() -> None:
    node, fake = make_lonely()
    async with AsyncExitStack() as stack:
        await node.open(stack)
        with capture_logs() as lines:
            fake.rows = {"max_per_host": (0, 1.0), "of_a_newer_version": (1, 1.0)}
            await asyncio.sleep(2)
        assert [line["event"] for line in lines] == ["shared_limits_refused"]
        assert node.limits.settings == CONFIGURED
