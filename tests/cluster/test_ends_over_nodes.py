"""Ends of downloads on all nodes, by several managers over one database."""

import asyncio
from pathlib import Path

from support.node_stack import NodeStack, open_node
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT

from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.events import DownloadEnded
from downloadd.states import FINISHED, State


async def start(node: NodeStack, url: str, count: int = 1) -> list[Download]:
    """Start downloads on a node."""
    requests = [DownloadRequest(url=url, directory="d")] * count
    return list((await node.manager.start(requests, user="ann")).downloads)


async def test_every_node_publishes_all_ends_once_in_one_order(tmp_path: Path, database: str, origin: Origin) -> None:
    origin.script("/file", ScriptedResponse(size=10))
    async with (
        open_node(tmp_path, database, "alpha") as first,
        open_node(tmp_path, database, "beta") as second,
        open_node(tmp_path, database, "gamma") as third,
    ):
        third.suspend()
        nodes = (first, second, third)
        with first.bus.subscribe() as one, second.bus.subscribe() as two, third.bus.subscribe() as three:
            for node in (first, second):
                await start(node, origin.url("/file"), 4)
            orders: list[list[int]] = []
            for subscription in (one, two, three):
                seqs: list[int] = []
                async with asyncio.timeout(CONDITION_TIMEOUT):
                    while len(seqs) < 8:
                        events = [each.event for each in await subscription.receive()]
                        ends = [event.download for event in events if isinstance(event, DownloadEnded)]
                        assert all(row.state is State.COMPLETED for row in ends)
                        seqs += [row.result.ended_seq or 0 for row in ends]
                orders.append(seqs)
        assert orders == [[1, 2, 3, 4, 5, 6, 7, 8]] * 3
        assert {node.bus.position.ended_seq for node in nodes} == {8}


async def test_a_request_waits_for_the_end_on_any_node(tmp_path: Path, database: str, origin: Origin) -> None:
    released = asyncio.Event()
    origin.script("/file", ScriptedResponse(size=10, body_event=released))
    async with open_node(tmp_path, database, "alpha") as first, open_node(tmp_path, database, "beta") as second:
        second.suspend()
        [row] = await start(first, origin.url("/file"))
        waiting = asyncio.create_task(second.manager.wait(row.id, CONDITION_TIMEOUT))
        assert (await second.manager.get(row.id)).download.state not in FINISHED
        released.set()
        assert (await waiting).state is State.COMPLETED
