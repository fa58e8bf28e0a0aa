"""The collector with stand-ins for the components that it reads, and a disk that a test controls."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

import pytest
from msgspec.structs import replace
from support.node_reports import node_report

from downloadd.directory_settings import Quota
from downloadd.errors import StorageError
from downloadd.events import EventBus
from downloadd.gauges import GaugeCollector
from downloadd.metrics import KeptUsage, OriginUsage, QuotaUsage, StorageUsage
from downloadd.node import Node, NodeState
from downloadd.runtime_settings import RuntimeSettings
from downloadd.states import State, WaitReason
from downloadd.user_quota import QuotaUse, UserQuotaUse

LIMITS = RuntimeSettings(max_concurrent=1, max_per_host=2, speed_limit=3)
USE = UserQuotaUse(user="bob", max_concurrent=QuotaUse(used=1, limit=2))
USAGE = StorageUsage(free=1, size=2, reserved=3, quotas=(QuotaUsage(directory="team", used=1, limit=10),))


class Components:
    """Manager, imports and hooks with fixed values."""

    active_operations = 2
    name = "alpha"

    async def counts(self) -> Counter[State]:
        return Counter({State.QUEUED: 5})

    async def wait_reasons(self) -> Mapping[WaitReason, int]:
        return {WaitReason.HOST_LIMIT: 5}

    async def origin_usage(self) -> OriginUsage:
        return OriginUsage(connections=7)

    async def kept_parts(self) -> KeptUsage:
        return KeptUsage(parts=1, size=10)

    async def nodes(self) -> list[Node]:
        return [Node(report=node_report(), last_seen=0.0)]

    async def waiting(self) -> dict[str, int]:
        return {"chat": 3}


class Disk:
    """Destination whose measurement ends when `can_answer` is set."""

    def __init__(self) -> None:
        self.can_answer = asyncio.Event()
        self.can_answer.set()
        self.measured: list[Sequence[Quota]] = []
        self.error: Exception | None = None
        self.was_cancelled = False

    async def measure_use(self, quotas: Sequence[Quota]) -> StorageUsage:
        self.measured.append(quotas)
        try:
            await self.can_answer.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if self.error is not None:
            raise self.error
        return USAGE


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def components() -> Components:
    return Components()


async def read_user_quotas() -> Sequence[UserQuotaUse]:
    return [USE]


@pytest.fixture
async def collector(disk: Disk, components: Any) -> AsyncIterator[GaugeCollector]:
    quota = Quota(directory="team", limit=10)
    collector = GaugeCollector(
        manager=components,
        imports=components,
        hooks=components,
        nodes=components,
        bus=EventBus(),
        destination=cast(Any, disk),
        quotas=lambda: [quota],
        limits=lambda: LIMITS,
        user_quotas=read_user_quotas,
        disk_timeout=0.01,
    )
    yield collector
    await collector.close()


async def test_a_snapshot_has_the_values_of_every_component(collector: GaugeCollector, disk: Disk) -> None:
    snapshot = await collector.collect()
    assert snapshot.active == {State.QUEUED: 5}
    assert snapshot.limits == LIMITS
    assert snapshot.waiting == {WaitReason.HOST_LIMIT: 5}
    assert snapshot.origins.connections == 7
    assert (snapshot.subscribers, snapshot.imports) == (0, 2)
    assert snapshot.messages == {"chat": 3}
    assert snapshot.nodes == {NodeState.UP: 1}
    assert snapshot.storage == USAGE
    assert snapshot.users == [USE]
    assert [quota.directory for quota in disk.measured[0]] == ["team"]


async def test_only_one_node_has_the_values_that_are_the_same_on_all(
    collector: GaugeCollector, components: Components, disk: Disk
) -> None:
    components.name = "beta"
    snapshot = await collector.collect()
    assert (snapshot.active, snapshot.waiting, snapshot.messages, snapshot.nodes) == ({}, {}, {}, {})
    assert (snapshot.kept, snapshot.users) == (KeptUsage(), ())
    assert snapshot.storage == replace(USAGE, quotas=())
    # Its own ones.
    assert (snapshot.origins.connections, snapshot.imports, snapshot.limits) == (7, 2, LIMITS)


async def test_each_scrape_measures_the_disk_anew(collector: GaugeCollector, disk: Disk) -> None:
    await collector.collect()
    await collector.collect()
    assert len(disk.measured) == 2


async def test_a_slow_disk_leaves_out_the_storage_until_it_has_answered(collector: GaugeCollector, disk: Disk) -> None:
    disk.can_answer.clear()
    assert (await collector.collect()).storage is None
    assert (await collector.collect()).storage is None
    disk.can_answer.set()
    assert (await collector.collect()).storage == USAGE
    assert len(disk.measured) == 1


async def test_concurrent_scrapes_share_one_measurement(collector: GaugeCollector, disk: Disk) -> None:
    first, second = await asyncio.gather(collector.collect(), collector.collect())
    assert first.storage == second.storage == USAGE
    assert len(disk.measured) == 1


async def test_a_disk_that_fails_leaves_out_the_storage(collector: GaugeCollector, disk: Disk) -> None:
    disk.error = StorageError("broken")
    assert (await collector.collect()).storage is None
    disk.error = None
    assert (await collector.collect()).storage == USAGE


async def test_closing_cancels_a_measurement(collector: GaugeCollector, disk: Disk) -> None:
    disk.can_answer.clear()
    await collector.collect()
    await collector.close()
    assert disk.was_cancelled
