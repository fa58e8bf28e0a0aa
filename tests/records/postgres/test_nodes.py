"""Records of the nodes of one database."""

import time

from records.contracts.nodes import NodeContract
from support.clocks import ManualClock
from support.node_reports import node_report

from downloadd.node import LiveRun, NodeState, RemoteRun
from downloadd.records.postgres.records import PostgresRecords
from downloadd.states import State

Stores = tuple[PostgresRecords, PostgresRecords]


class TestPostgresNodes(NodeContract):
    """The contract, kept by PostgreSQL."""


async def age(records: PostgresRecords, name: str, seconds: float) -> None:
    """Let the last heartbeat of a node be older."""
    changed = await records.execute(
        "UPDATE nodes SET last_seen = last_seen - $2 * interval '1 s' WHERE name = $1", name, seconds
    )
    assert changed == 1


async def test_all_nodes_see_all_nodes_by_the_clock_of_the_database(stores: Stores) -> None:
    first, second = stores
    await second.nodes.register(node_report(name="beta"), is_start=True)
    await first.nodes.register(node_report(), is_start=True)
    assert await first.nodes.list() == await second.nodes.list()
    assert [node.report.name for node in await first.nodes.list()] == ["alpha", "beta"]
    assert all(abs(node.last_seen - time.time()) < 60 for node in await first.nodes.list())
    assert first.nodes.needs_heartbeats


async def test_the_name_of_a_living_node_is_refused_with_that_node(stores: Stores) -> None:
    first, second = stores
    await first.nodes.register(node_report(), is_start=True)
    other = node_report(session="session-2", instance="instance-2", url="http://other")
    await age(first, "alpha", 14)
    holder = await second.nodes.register(other, is_start=True)
    assert holder is not None
    assert (holder.report, holder.state) == (node_report(), NodeState.UP)
    # The lease that the node itself reported counts.
    await age(first, "alpha", 2)
    [node] = await second.nodes.list()
    assert node.state is NodeState.GONE
    assert await second.nodes.register(other, is_start=True) is None
    assert not await first.nodes.beat(node_report())
    assert [node.report for node in await first.nodes.list()] == [other]


async def test_a_successor_by_its_state_directory_replaces_a_living_node_at_its_start_only(stores: Stores) -> None:
    first, second = stores
    await first.nodes.register(node_report(), is_start=True)
    successor = node_report(session="session-2")
    assert await second.nodes.register(successor, is_start=False) is not None
    assert await second.nodes.register(successor, is_start=True) is None
    assert await first.nodes.register(node_report(), is_start=False) is not None


async def test_a_gone_node_is_listed_for_a_day(stores: Stores) -> None:
    first, second = stores
    await first.nodes.register(node_report(), is_start=True)
    await age(first, "alpha", 23 * 3600)
    await second.nodes.register(node_report(name="beta"), is_start=True)
    assert [(node.report.name, node.state) for node in await second.nodes.list()] == [("alpha", "gone"), ("beta", "up")]
    await age(first, "alpha", 3600)
    await second.nodes.register(node_report(name="gamma"), is_start=True)
    assert [node.report.name for node in await second.nodes.list()] == ["beta", "gamma"]


async def test_a_heartbeat_wakes_nothing_that_waits_for_downloads(database: str) -> None:
    commits: list[int] = []

    def on_commit(rows: int, seconds: float) -> None:
        commits.append(rows)

    async with PostgresRecords(database, ManualClock(), on_commit=on_commit) as records:
        await records.nodes.register(node_report(), is_start=True)
        commits.clear()
        revision = await records.queue.revision()
        assert await records.nodes.beat(node_report(running=1))
        assert (commits, await records.queue.revision()) == ([], revision)


async def test_each_node_sees_the_runs_of_the_others_while_they_live(stores: Stores) -> None:
    first, second = stores
    reports = [node_report(), node_report(name="beta", session="session-2", instance="instance-2")]
    for records, report in zip(stores, reports, strict=True):
        await records.nodes.register(report, is_start=True)
    run = LiveRun(seq=1, epoch=2, state=State.DOWNLOADING, received=3, speed=1.5)
    assert await first.nodes.beat(reports[0], [run])
    assert await second.nodes.other_runs() == [RemoteRun(node="alpha", run=run)]
    assert await first.nodes.other_runs() == []
    # Another version reports other facts.
    await first.execute("UPDATE nodes SET runs = '[{\"seq\": \"one\"}]' WHERE name = 'alpha'")
    assert await second.nodes.other_runs() == []
    assert await first.nodes.beat(reports[0], [run])
    await age(first, "alpha", 16)
    assert await second.nodes.other_runs() == []
    assert await first.nodes.beat(reports[0])
    assert await second.nodes.other_runs() == []
