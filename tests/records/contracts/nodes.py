"""Contract of `NodeRecords`, as far as one node can see."""

from support.node_reports import node_report
from support.stores import OpenStore

from downloadd.node import NodeState


class NodeContract:
    """Promises of every implementation of `NodeRecords`."""

    async def test_a_node_is_listed_with_its_last_report_until_it_leaves(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            nodes = records.nodes
            assert list(await nodes.list()) == []
            assert await nodes.register(node_report(), is_start=True) is None
            [node] = await nodes.list()
            assert (node.report, node.state) == (node_report(), NodeState.UP)
            changed = node_report(is_draining=True, running=2, speed=30, lease=20.0, settings={"max_per_host": "1"})
            assert await nodes.beat(changed)
            [node] = await nodes.list()
            assert (node.report, node.state) == (changed, NodeState.DRAINING)
            await nodes.leave(changed)
            assert list(await nodes.list()) == []

    async def test_a_session_that_is_not_registered_changes_nothing(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            nodes, other = records.nodes, node_report(session="session-2", running=5)
            assert not await nodes.beat(other)
            await nodes.register(node_report(), is_start=True)
            assert not await nodes.beat(other)
            await nodes.leave(other)
            assert [node.report for node in await nodes.list()] == [node_report()]

    async def test_a_node_that_was_killed_comes_back_at_once(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            await records.nodes.register(node_report(), is_start=True)
        second = node_report(session="session-2", boot="boot-2")
        async with open_store() as records:
            assert await records.nodes.register(second, is_start=True) is None
            assert [node.report for node in await records.nodes.list()] == [second]

    async def test_the_same_session_may_register_again(self, open_store: OpenStore) -> None:
        async with open_store() as records:
            await records.nodes.register(node_report(), is_start=True)
            assert await records.nodes.register(node_report(running=1), is_start=False) is None
            assert [node.report.running for node in await records.nodes.list()] == [1]
