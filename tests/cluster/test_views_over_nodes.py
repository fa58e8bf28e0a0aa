"""Views of downloads that other nodes run, by several managers over one database."""

import asyncio
from pathlib import Path

from support.node_stack import NodeStack, open_node
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

from downloadd.download import Snapshot
from downloadd.download_request import DownloadRequest
from downloadd.records.protocol import ActiveFilter
from downloadd.states import State

SIZE = 100_000
RECEIVED = 40_000


async def beat(node: NodeStack) -> None:
    """Send a heartbeat, which the nodes of these tests do not by themselves."""
    assert await node.records.nodes.beat(node.report, node.parts.runs.report())


async def test_a_running_download_is_the_same_on_every_node(tmp_path: Path, database: str, origin: Origin) -> None:
    origin.script("/slow", ScriptedResponse(size=SIZE, etag='"1"', stall_after=RECEIVED))
    async with open_node(tmp_path, database, "alpha") as first, open_node(tmp_path, database, "beta") as second:
        second.suspend()
        started = await first.manager.start([DownloadRequest(url=origin.url("/slow"), directory="d")] * 2, user="ann")
        id, other = (row.id for row in started.downloads)

        async def has_received() -> bool:
            shown = [await first.manager.get(each) for each in (id, other)]
            return all(one.download.progress.received == RECEIVED for one in shown)

        await wait_until(has_received)
        # Before the first heartbeat, the row says who runs it.
        assert (await second.manager.get(id)).node == "alpha"
        await beat(first)

        async def see() -> Snapshot | None:
            shown = await second.manager.get(id)
            return shown if shown.download.progress.received == RECEIVED else None

        shown = await wait_until(see)
        assert (shown.node, shown.download.state, shown.connections) == ("alpha", State.DOWNLOADING, 1)
        assert shown.download.progress.total == SIZE
        for states in (None, frozenset({State.DOWNLOADING})):
            listed = await second.manager.active(ActiveFilter(states=states))
            assert [one.download.progress.received for one in listed] == [RECEIVED] * 2
        assert await second.manager.active(ActiveFilter(states=frozenset({State.STARTING}))) == []
        counts = [
            {state: count for state, count in (await each.manager.counts()).items() if count}
            for each in (first, second)
        ]
        assert counts == [{State.DOWNLOADING: 2}] * 2
        assert second.manager.own_speed() == 0
        await asyncio.gather(*map(first.manager.cancel, (id, other)))
        assert await second.manager.active(ActiveFilter()) == []
