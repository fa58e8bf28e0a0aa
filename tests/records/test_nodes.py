"""Records of the only node of a store."""

from records.contracts.nodes import NodeContract
from support.clocks import NOW, ManualClock
from support.node_reports import node_report

from downloadd.records.nodes import SoleNode


class TestSoleNode(NodeContract):
    """The contract, kept by a store of one node."""


async def test_it_is_never_gone_without_heartbeats() -> None:
    clock = ManualClock()
    nodes = SoleNode(clock)
    await nodes.register(node_report(), is_start=True)
    clock.now += 1_000_000
    [node] = await nodes.list()
    assert (nodes.needs_heartbeats, node.last_seen, node.is_gone) == (False, NOW + 1_000_000, False)
