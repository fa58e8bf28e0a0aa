"""Heartbeat of a node, in virtual time."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.virtual_time import LoopClock, in_virtual_time

from downloadd.cluster.heartbeat import Heartbeat, NodeLoad
from downloadd.cluster.identity import NodeIdentity
from downloadd.errors import ShuttingDownError, StartupError, StoreUnavailableError
from downloadd.node import LiveRun, Node, NodeReport, NodeState, RemoteRun
from downloadd.records.nodes import SoleNode

ALPHA = NodeIdentity(name="alpha", instance="i", url="http://alpha", version="1", boot=None, lease=10.0)
BETA = replace(ALPHA, url="http://beta", instance="j")


class SharedNodes:
    """Registry of several nodes that can fail.

    Attributes:
        reports: the reports that arrived, in order.
        is_away: True to fail each call.
        is_silent: True to answer no heartbeat until it is False.
    """

    needs_heartbeats = True

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.reports: list[NodeReport] = []
        self.is_away = False
        self.is_silent = False
        self.known: dict[str, Node] = {}

    async def register(self, report: NodeReport, *, is_start: bool) -> Node | None:
        self._require()
        node = self.known.get(report.name)
        if node is not None and not self._is_gone(node):
            is_successor = is_start and node.report.instance == report.instance
            if node.report.session != report.session and not is_successor:
                return node
        self._store(report)
        return None

    async def beat(self, report: NodeReport, runs: Sequence[LiveRun] = ()) -> bool:
        self._require()
        while self.is_silent:
            await asyncio.sleep(0.1)
        node = self.known.get(report.name)
        if node is None or node.report.session != report.session:
            return False
        self._store(report)
        return True

    async def other_runs(self) -> Sequence[RemoteRun]:
        return ()

    async def leave(self, report: NodeReport) -> None:
        self._require()
        if self.known[report.name].report.session == report.session:
            del self.known[report.name]

    async def list(self) -> Sequence[Node]:
        self._require()
        return [replace(node, is_gone=self._is_gone(node)) for node in self.known.values()]

    def _is_gone(self, node: Node) -> bool:
        return node.last_seen + node.report.lease < self.clock.monotonic()

    def _store(self, report: NodeReport) -> None:
        self.reports.append(report)
        self.known[report.name] = Node(report=report, last_seen=self.clock.monotonic())

    def _require(self) -> None:
        if self.is_away:
            raise StoreUnavailableError("the server is away")


def problem_of(heartbeat: Heartbeat) -> str | None:
    """Return the text of the problem of a node; None if it works."""
    return None if heartbeat.problem is None else heartbeat.problem.detail


@contextmanager
def lease_events() -> Iterator[list[str]]:
    """Collect the names of the events in the log."""
    events: list[str] = []
    with capture_logs() as lines:
        yield events
    events += [line["event"] for line in lines]


@in_virtual_time
async def test_heartbeats_keep_the_node_among_the_others_with_its_load() -> None:
    nodes = SharedNodes()
    async with Heartbeat(nodes, ALPHA, LoopClock()) as heartbeat:
        heartbeat.read_load = lambda: NodeLoad(running=2, speed=30, settings={"lease": "10"})
        await asyncio.sleep(60.5)
        assert len(nodes.reports) == 81
        [node] = await nodes.list()
        assert (node.state, node.report.running, node.report.speed) == (NodeState.UP, 2, 30)
        # The own entry is as it is now.
        heartbeat.read_load = lambda: NodeLoad(running=7)
        assert [each.report.running for each in await heartbeat.nodes()] == [7]
        assert (heartbeat.is_lease_held, heartbeat.problem) == (True, None)
    assert nodes.known == {}


@in_virtual_time
async def test_the_name_of_a_living_node_is_refused_with_its_address() -> None:
    nodes = SharedNodes()
    async with Heartbeat(nodes, ALPHA, LoopClock()):
        with pytest.raises(StartupError, match=r"living node at http://alpha has the name alpha; .*cluster\.node"):
            async with Heartbeat(nodes, BETA, LoopClock()):
                pass
    async with Heartbeat(nodes, BETA, LoopClock()):
        assert nodes.known["alpha"].report.url == "http://beta"


@in_virtual_time
async def test_the_lease_is_lost_while_the_store_is_away_and_comes_back_by_itself() -> None:
    nodes = SharedNodes()
    with lease_events() as events:
        async with Heartbeat(nodes, ALPHA, LoopClock()) as heartbeat:
            changes: list[bool] = []
            heartbeat.on_lease_change = changes.append
            await asyncio.sleep(3.5)
            nodes.is_away = True
            # The last good heartbeat was sent at 3 s.
            await asyncio.sleep(7)
            assert problem_of(heartbeat) == "the server is away"
            await asyncio.sleep(0.6)
            problem = heartbeat.problem
            assert isinstance(problem, StoreUnavailableError)
            assert problem.detail == ("the node alpha lost its lease, without a heartbeat for 8 s: the server is away")
            nodes.is_away = False
            await asyncio.sleep(1)
            assert problem_of(heartbeat) is None
            assert changes == [False, True]
    assert events == ["lease_lost", "lease_regained"]


@in_virtual_time
async def test_a_heartbeat_that_is_answered_too_late_renews_nothing() -> None:
    nodes = SharedNodes()
    with lease_events() as events:
        async with Heartbeat(nodes, ALPHA, LoopClock()) as heartbeat:
            nodes.is_silent = True
            await asyncio.sleep(8.5)
            # Noticed although the heartbeat waits.
            assert "lost its lease" in (problem_of(heartbeat) or "")
            await asyncio.sleep(8)
            nodes.is_silent = False
            await asyncio.sleep(0.15)
            assert "lost its lease" in (problem_of(heartbeat) or "")
            await asyncio.sleep(1)
            assert problem_of(heartbeat) is None
    assert events == ["lease_lost", "lease_regained"]


class StoppableClock(LoopClock):
    """Clock of a process that can stand still; the loop does not notice."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped


@in_virtual_time
async def test_a_process_that_was_stopped_past_its_lease_notices_before_it_is_one_of_them_again() -> None:
    nodes, clock = SharedNodes(), StoppableClock()
    with lease_events() as events:
        async with Heartbeat(nodes, ALPHA, clock):
            await asyncio.sleep(2.5)
            clock.skipped += 9
            await asyncio.sleep(1)
    assert events == ["lease_lost", "lease_regained"]


@in_virtual_time
async def test_a_node_whose_name_went_to_another_one_waits_for_its_end() -> None:
    nodes = SharedNodes()
    async with Heartbeat(nodes, ALPHA, LoopClock()) as heartbeat:
        nodes.is_away = True
        await asyncio.sleep(11)
        nodes.is_away = False
        async with Heartbeat(nodes, BETA, LoopClock()) as other:
            await asyncio.sleep(5)
            problem = heartbeat.problem
            assert problem is not None
            assert problem.detail.endswith("the living node at http://beta has the name alpha")
            assert other.problem is None
        await asyncio.sleep(1.5)
        assert problem_of(heartbeat) is None
        assert nodes.known["alpha"].report.url == "http://alpha"


@in_virtual_time
async def test_a_node_that_stops_says_so_at_once() -> None:
    nodes = SharedNodes()
    async with Heartbeat(nodes, ALPHA, LoopClock()) as heartbeat:
        heartbeat.drain()
        assert isinstance(heartbeat.problem, ShuttingDownError)
        await asyncio.sleep(0.01)
        assert [node.state for node in await nodes.list()] == [NodeState.DRAINING]
        # It keeps its lease until it ends.
        await asyncio.sleep(20)
        assert heartbeat.is_lease_held


@in_virtual_time
async def test_an_end_without_the_store_is_logged_and_not_delayed() -> None:
    nodes = SharedNodes()
    with lease_events() as events:
        async with Heartbeat(nodes, ALPHA, LoopClock()):
            nodes.is_away = True
        assert asyncio.get_running_loop().time() < 1
    assert events == ["node_not_removed"]


@in_virtual_time
async def test_an_unexpected_failure_is_logged_and_heartbeats_continue() -> None:
    nodes = SharedNodes()
    with lease_events() as events:
        async with Heartbeat(nodes, ALPHA, LoopClock()) as heartbeat:
            heartbeat.read_load = lambda: NodeLoad(running=1 // 0)
            await asyncio.sleep(1)
            heartbeat.read_load = NodeLoad
            await asyncio.sleep(1)
            assert len(nodes.reports) == 2
    assert events == ["heartbeat_failed"]


@in_virtual_time
async def test_the_only_node_needs_no_heartbeats() -> None:
    clock = LoopClock()
    tasks = asyncio.all_tasks()
    async with Heartbeat(SoleNode(clock), ALPHA, clock) as heartbeat:
        assert asyncio.all_tasks() == tasks
        await asyncio.sleep(1000)
        assert problem_of(heartbeat) is None
        [node] = await heartbeat.nodes()
        assert (node.report.name, node.last_seen) == ("alpha", clock.wall())
        heartbeat.drain()
        assert isinstance(heartbeat.problem, ShuttingDownError)
        assert [node.state for node in await heartbeat.nodes()] == [NodeState.DRAINING]


@in_virtual_time
async def test_a_store_that_is_away_is_a_problem_before_the_lease_is_lost() -> None:
    nodes, recovered = SharedNodes(), list[float]()
    async with Heartbeat(nodes, ALPHA, LoopClock()) as heartbeat:
        heartbeat.on_store_recovered = recovered.append
        await asyncio.sleep(1)
        nodes.is_away = True
        await asyncio.sleep(2)
        assert heartbeat.is_lease_held
        assert problem_of(heartbeat) == "the server is away"
        nodes.is_away = False
        await asyncio.sleep(2)
        assert problem_of(heartbeat) is None
    assert recovered == [pytest.approx(1.5, abs=0.1)]


@in_virtual_time
async def test_the_hooks_of_all_living_nodes_are_known() -> None:
    nodes = SharedNodes()
    async with Heartbeat(nodes, ALPHA, LoopClock()) as first, Heartbeat(nodes, replace(BETA, name="beta"), LoopClock()):
        first.read_load = lambda: NodeLoad(hooks=("chat",))
        await asyncio.sleep(1)
        assert first.name == "alpha"
        assert await first.hooks() == {"chat"}
