"""The dispatcher of several nodes, on a real database."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from manager.dispatcher_contract import CDN, LIMITS, A, B, DispatcherContract, Started
from support.node_reports import node_report
from support.waiting import wait_until

from downloadd.clock import SystemClock
from downloadd.manager.lease_gate import LeaseGate
from downloadd.manager.limits import Limits
from downloadd.manager.shared_dispatcher import SharedDispatcher
from downloadd.records.origins import OriginRecord
from downloadd.records.postgres.records import PostgresRecords

CLOCK = SystemClock()


def make_dispatcher(records: PostgresRecords) -> SharedDispatcher:
    return SharedDispatcher(LIMITS, CLOCK, records.admission, read_counts=records.counts, lease=LeaseGate(records))


@pytest.fixture
async def records(database: str) -> AsyncIterator[PostgresRecords]:
    async with PostgresRecords(database, CLOCK, is_owner=False) as records:
        await records.nodes.register(node_report(), is_start=True)
        yield records


@pytest.fixture
async def dispatcher(records: PostgresRecords) -> AsyncIterator[SharedDispatcher]:
    dispatcher = make_dispatcher(records)
    yield dispatcher
    await dispatcher.close()


class TestSharedDispatcher(DispatcherContract):
    """The contract, kept by one of several nodes."""


class Node:
    """A node with its dispatcher, and what it has started."""

    def __init__(self, records: PostgresRecords) -> None:
        self.records = records
        self.dispatcher = make_dispatcher(records)
        self.started = Started(records, self.dispatcher)
        self._ended: set[int] = set()

    @property
    def running(self) -> list[int]:
        return [row.seq for row in self.started.rows if row.seq not in self._ended]

    def finish(self) -> None:
        """End the first run."""
        seq = self.running[0]
        self._ended.add(seq)
        self.dispatcher.queue.finish(seq)

    def hold(self, *, is_held: bool = True) -> None:
        self.dispatcher.queue.set_suspension("held by the test" if is_held else None)


Nodes = tuple[Node, Node]


@pytest.fixture
async def nodes(database: str) -> AsyncIterator[Nodes]:
    """Open two nodes, which start what they can; the second one is held."""
    async with (
        PostgresRecords(database, CLOCK, is_owner=False) as first,
        PostgresRecords(database, CLOCK, is_owner=False) as second,
        asyncio.TaskGroup() as group,
    ):
        await first.nodes.register(node_report(), is_start=True)
        await second.nodes.register(node_report(name="beta", session="session-2", instance="instance-2"), is_start=True)
        nodes = Node(first), Node(second)
        nodes[1].hold()
        tasks = [group.create_task(node.dispatcher.queue.dispatch(node.started.rows.extend)) for node in nodes]
        yield nodes
        for task in tasks:
            task.cancel()
        for node in nodes:
            await node.dispatcher.close()


async def test_the_slots_of_an_origin_are_those_of_all_nodes(nodes: Nodes) -> None:
    first, second = nodes
    second.hold(is_held=False)
    await first.started.enqueue(20)
    most = 0
    for ended in range(15):
        await wait_until(lambda ended=ended: sum(len(node.started.rows) for node in nodes) >= 2 + ended)
        for node in nodes:
            node.dispatcher.queue.wake()
        await asyncio.sleep(0.03)
        most = max(most, sum(len(node.running) for node in nodes))
        next(node for node in nodes if node.running).finish()
    assert most == LIMITS.max_per_host
    seqs = [row.seq for node in nodes for row in node.started.rows]
    assert len(seqs) == len(set(seqs))


async def test_the_limit_of_a_user_counts_the_downloads_of_all_nodes(nodes: Nodes) -> None:
    first, second = nodes
    second.hold(is_held=False)
    for node in nodes:
        node.dispatcher.queue.change_limits(Limits(max_concurrent=9, max_per_host=9, runs_by_user={"alice": 2}))
    await first.started.enqueue(5, user="alice")
    await first.started.enqueue(4, origin=B, user="alice")
    most = 0
    for ended in range(8):
        await wait_until(lambda ended=ended: sum(len(node.started.rows) for node in nodes) >= min(9, 2 + ended))
        for node in nodes:
            node.dispatcher.queue.wake()
        await asyncio.sleep(0.03)
        most = max(most, sum(len(node.running) for node in nodes))
        next(node for node in nodes if node.running).finish()
    assert most == 2
    assert (await second.dispatcher.origins.usage()).connected <= 2


async def test_a_node_starts_what_another_one_has_no_room_for(nodes: Nodes) -> None:
    first, second = nodes
    rows = [*await first.started.enqueue(2), *await first.started.enqueue(2, origin=B)]
    await wait_until(lambda: len(first.running) == LIMITS.max_concurrent)
    assert await second.dispatcher.queue.count_waiting() == 1
    second.hold(is_held=False)
    await wait_until(lambda: second.running)
    assert sorted(first.running + second.running) == [row.seq for row in rows]
    # The next one starts after the end of a run on the other node, without a hint.
    [last] = await second.started.enqueue(1)
    [notice] = await second.dispatcher.queue.explain_waits([last])
    reason = notice.text
    assert reason == "2 downloads from a.example are running (max_per_host)"
    first.hold()
    first.finish()
    await wait_until(lambda: last.seq in second.running)


async def test_further_connections_count_over_all_nodes(nodes: Nodes) -> None:
    first, second = nodes
    [row] = await first.started.enqueue(1)
    await wait_until(lambda: first.running)
    assert await first.dispatcher.slots.acquire(row.seq, CDN, 5) == 2
    first.hold()
    second.hold(is_held=False)
    [other] = await second.started.enqueue(1)
    await wait_until(lambda: second.running)
    assert await second.dispatcher.slots.acquire(other.seq, CDN, 1) == 0
    assert not await second.dispatcher.slots.enter(other.seq, A, CDN)
    first.dispatcher.slots.release(row.seq, CDN, 1)

    async def is_free() -> bool:
        return await second.dispatcher.slots.enter(other.seq, A, CDN)

    await wait_until(is_free)
    first.finish()
    second.finish()

    async def are_free() -> bool:
        return await first.records.read(lambda connection: connection.fetchval("SELECT count(*) = 0 FROM slots"))

    await wait_until(are_free)


async def test_the_slots_of_a_node_that_is_gone_are_free(nodes: Nodes) -> None:
    first, second = nodes
    await first.started.enqueue(3)
    await wait_until(lambda: len(first.running) == 2)
    second.hold(is_held=False)
    first.hold()
    await second.records.admission.free_abandoned()
    await first.records.execute("UPDATE nodes SET last_seen = last_seen - interval '1 h' WHERE name = 'alpha'")
    assert not second.running
    await second.records.admission.free_abandoned()
    await wait_until(lambda: second.running)


async def test_a_node_learns_of_a_pause_that_another_one_was_asked_for(nodes: Nodes) -> None:
    first, second = nodes
    record = OriginRecord(
        origin=B, backoff_until=CLOCK.wall() + 60, is_open=False, probe_at=0.0, failures=0, has_answered=True
    )
    adopted: list[OriginRecord] = []
    second.dispatcher.queue.on_origins = adopted.extend
    await first.records.origins.save(record)
    second.dispatcher.queue.wake()
    await wait_until(lambda: adopted)
    assert adopted == [record]
    await first.records.origins.remove(B)
    await wait_until(lambda: len(adopted) == 2)
    assert adopted[1].backoff_until == 0
    assert await first.records.origins.load() == []


async def test_an_idle_queue_changes_nothing(nodes: Nodes) -> None:
    first, _ = nodes
    await first.started.enqueue(3)
    await wait_until(lambda: len(first.running) == 2)

    async def position() -> str:
        row = await first.records.read(lambda connection: connection.fetchval("SELECT max(number) FROM commits"))
        return str(row)

    before = await position()
    for node in nodes:
        node.dispatcher.queue.wake()
        await node.dispatcher.queue._read()
    assert await position() == before
