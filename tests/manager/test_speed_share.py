"""Share of a node in the speed limit over all nodes."""

import asyncio
from pathlib import Path

import pytest
from support.clocks import ManualClock
from support.manager_stack import open_stack
from support.node_reports import node_report

from downloadd.manager.speed_share import SpeedLimit, SpeedShare, share_of
from downloadd.node import Node
from downloadd.records.nodes import SoleNode


def node(running: int, *, name: str = "beta", is_gone: bool = False) -> Node:
    return Node(report=node_report(name=name, running=running), last_seen=0.0, is_gone=is_gone)


@pytest.mark.parametrize(
    ("running", "others", "share"),
    [
        (3, [], 1.0),
        (3, [node(1)], 0.75),
        (3, [node(1), node(2, name="gamma")], 0.5),
        (3, [node(9, is_gone=True)], 1.0),
        (0, [node(3)], 0.25),
        (0, [node(0)], 1.0),
    ],
)
def test_the_share_is_that_of_the_running_downloads(running: int, others: list[Node], share: float) -> None:
    assert share_of(running, others) == share


def test_all_nodes_that_run_something_have_the_whole_limit_together() -> None:
    running = {"alpha": 5, "beta": 2, "gamma": 1}
    shares = [
        share_of(number, [node(other, name=name) for name, other in running.items() if name != own])
        for own, number in running.items()
    ]
    assert sum(shares) == pytest.approx(1.0)


async def test_a_share_is_never_above_the_limit_and_never_without_one() -> None:
    limit = SpeedLimit(1000)
    assert (limit.limit, limit.bucket.rate) == (1000, 1000)
    limit.set_share(0.25)
    assert (limit.limit, limit.bucket.rate) == (1000, 250)
    # A change that is too small to matter leaves the bucket as it is.
    limit.set_share(0.251)
    assert limit.share == 0.25
    limit.limit = 4000
    assert limit.bucket.rate == 1000
    limit.limit = 3
    limit.set_share(0.01)
    assert limit.bucket.rate == 1
    limit.limit = 0
    assert limit.bucket.rate == 0


class TwoNodes(SoleNode):
    """Records of this node, which runs nothing, and of another one."""

    needs_heartbeats = True

    async def list(self) -> list[Node]:
        return [node(9, name="alpha"), node(3)]


async def test_the_share_follows_the_reports_of_the_others(tmp_path: Path) -> None:
    async with open_stack(tmp_path) as stack:
        limit = SpeedLimit(1000)
        share = SpeedShare(limit, TwoNodes(ManualClock()), stack.runs, node="alpha", interval=0.01)
        watching = asyncio.create_task(share.watch())
        while limit.bucket.rate != 250:
            await asyncio.sleep(0.001)
        watching.cancel()
        await asyncio.wait((watching,))


async def test_a_node_alone_has_the_whole_limit(tmp_path: Path) -> None:
    async with open_stack(tmp_path) as stack:
        limit = SpeedLimit(1000)
        await SpeedShare(limit, SoleNode(ManualClock()), stack.runs, node="alpha", interval=1.0).watch()
        assert limit.bucket.rate == 1000
