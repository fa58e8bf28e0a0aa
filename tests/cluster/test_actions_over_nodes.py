"""Actions of users on downloads that another node runs, by two managers over one database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from support.node_stack import NodeStack, open_node
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.errors import InvalidStateError
from downloadd.manager import other_nodes
from downloadd.manager.protocol import DownloadChange
from downloadd.records.runs import HeldRun
from downloadd.states import FINISHED, State

SIZE = 100_000
RECEIVED = 40_000
SLOW = ScriptedResponse(size=SIZE, etag='"1"', stall_after=RECEIVED)


@pytest.fixture
async def nodes(tmp_path: Path, database: str, origin: Origin) -> AsyncIterator[tuple[NodeStack, NodeStack]]:
    """Open a node that runs downloads, and one that claims nothing."""
    origin.script("/slow", SLOW)
    async with open_node(tmp_path, database, "alpha") as runs, open_node(tmp_path, database, "beta") as asks:
        asks.suspend()
        yield runs, asks


async def hold_nothing() -> list[object]:
    """Stand in for the comparison of the runs of a node with the records, which never ends."""
    await asyncio.sleep(3600)
    return []


async def started(node: NodeStack, *urls: str) -> list[Download]:
    """Return downloads that a node runs, once each has received some bytes."""
    requests = [DownloadRequest(url=url, directory="d") for url in urls]
    rows = list((await node.manager.start(requests, user="ann")).downloads)

    async def has_received() -> bool:
        shown = [(await node.manager.get(row.id)).download.progress.received for row in rows]
        return min(shown) >= RECEIVED

    await wait_until(has_received)
    return rows


async def test_a_cancel_on_another_node_ends_the_run_and_removes_its_part(
    nodes: tuple[NodeStack, NodeStack], origin: Origin, tmp_path: Path
) -> None:
    runs, asks = nodes
    [row] = await started(runs, origin.url("/slow"))
    cancelled = await asks.manager.cancel(row.id)
    assert cancelled.state is State.CANCELLED
    assert len(runs.parts.runs) == 0
    # The row says it before the part file is removed.
    await wait_until(lambda: not [path for path in (tmp_path / "files").rglob("*") if path.is_file()])
    with pytest.raises(InvalidStateError):
        await asks.manager.cancel(row.id)


async def test_a_pause_on_another_node_keeps_the_bytes_and_a_resume_continues_from_them(
    nodes: tuple[NodeStack, NodeStack], origin: Origin
) -> None:
    runs, asks = nodes
    [row] = await started(runs, origin.url("/slow"))
    paused = (await asks.manager.pause(row.id)).download
    assert (paused.state, paused.progress.received) == (State.PAUSED, RECEIVED)
    assert len(runs.parts.runs) == 0
    origin.script("/slow", ScriptedResponse(size=SIZE, etag='"1"'))
    await runs.manager.resume(row.id)
    assert (await asks.manager.wait(row.id, 30)).state is State.COMPLETED
    assert origin.requests("/slow")[-1].field("range") == f"bytes={RECEIVED}-"


async def test_a_pause_of_all_downloads_stops_those_of_other_nodes(
    nodes: tuple[NodeStack, NodeStack], origin: Origin
) -> None:
    runs, asks = nodes
    await started(runs, *[origin.url("/slow")] * 3)
    assert await asks.parts.queue.pause_all(lambda directory: True) == 3
    assert len(runs.parts.runs) == 0
    assert +await runs.manager.counts() == {State.PAUSED: 3}


async def test_a_changed_limit_reaches_the_node_that_runs_the_download(
    nodes: tuple[NodeStack, NodeStack], origin: Origin
) -> None:
    runs, asks = nodes
    [row] = await started(runs, origin.url("/slow"))
    shown = await asks.manager.amend(row.id, DownloadChange(speed_limit=12_345, filename="other"))
    assert (shown.node, shown.download.control.speed_limit, shown.download.filename) == ("alpha", 12_345, "other")

    def is_applied() -> bool:
        [active] = runs.parts.runs
        return (
            active.run.download.control.speed_limit == 12_345 and active.run.download.request.requested_name == "other"
        )

    await wait_until(is_applied)


async def test_a_new_url_restarts_the_run_of_another_node(nodes: tuple[NodeStack, NodeStack], origin: Origin) -> None:
    runs, asks = nodes
    origin.script("/moved", ScriptedResponse(size=SIZE, etag='"1"'))
    [row] = await started(runs, origin.url("/slow"))
    changed = await asks.manager.amend(row.id, DownloadChange(url=origin.url("/moved")))
    assert changed.download.request.url == origin.url("/moved")
    assert (await asks.manager.wait(row.id, 30)).state is State.COMPLETED
    assert (len(origin.requests("/slow")), len(origin.requests("/moved"))) == (1, 1)


async def test_a_new_url_holds_although_the_node_that_runs_the_download_does_not_obey(
    nodes: tuple[NodeStack, NodeStack], origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, asks = nodes
    origin.script("/moved", ScriptedResponse(size=SIZE, etag='"1"'))
    [row] = await started(runs, origin.url("/slow"))
    # As a node that stands still: it neither receives hints nor compares its runs with the records.
    monkeypatch.setattr(asks.records.hints, "send", lambda topic, ids=(): None)
    compare, continues = runs.records.runs.held, asyncio.Event()

    async def stand_still() -> Sequence[HeldRun]:
        await continues.wait()
        return await compare()

    monkeypatch.setattr(runs.records.runs, "held", stand_still)
    runs.suspend()
    changed = await asks.manager.amend(row.id, DownloadChange(url=origin.url("/moved")))
    assert (changed.download.state, changed.download.request.url) == (State.QUEUED, origin.url("/moved"))
    assert len(runs.parts.runs) == 1
    asks.parts.dispatcher.queue.set_suspension(None)
    assert (await asks.manager.wait(row.id, 30)).state is State.COMPLETED
    continues.set()
    # It finds out that it is fenced, and touches nothing.
    await wait_until(lambda: len(runs.parts.runs) == 0)
    [file] = [path for path in (tmp_path / "files" / "d").iterdir() if path.is_file()]
    assert file.read_bytes() == expected_bytes(0, 0, SIZE)


async def test_a_change_of_a_paused_run_of_another_node_leaves_it_paused(
    nodes: tuple[NodeStack, NodeStack], origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, asks = nodes
    [row] = await started(runs, origin.url("/slow"))
    monkeypatch.setattr(asks.records.hints, "send", lambda topic, ids=(): None)
    monkeypatch.setattr(runs.records.runs, "held", hold_nothing)
    monkeypatch.setattr(other_nodes, "MAX_WAIT_SECONDS", 0.1)
    assert (await asks.manager.pause(row.id)).download.state not in {State.PAUSED, State.QUEUED}
    changed = await asks.manager.amend(row.id, DownloadChange(url=origin.url("/moved")))
    assert (changed.download.state, changed.download.request.url) == (State.PAUSED, origin.url("/moved"))


async def test_a_change_that_fails_leaves_the_run_of_another_node_going_on(
    nodes: tuple[NodeStack, NodeStack], origin: Origin
) -> None:
    runs, asks = nodes
    [row] = await started(runs, origin.url("/slow"))
    with pytest.raises(InvalidStateError):
        await asks.manager.resume(row.id)
    assert len(runs.parts.runs) == 1


async def test_a_lost_hint_is_made_good_with_the_next_heartbeat(
    nodes: tuple[NodeStack, NodeStack], origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, asks = nodes
    first, second = await started(runs, *[origin.url("/slow")] * 2)
    monkeypatch.setattr(asks.records.hints, "send", lambda topic, ids=(): None)
    paused, cancelled = await asyncio.gather(asks.manager.pause(first.id), asks.manager.cancel(second.id))
    assert (paused.download.state, cancelled.state) == (State.PAUSED, State.CANCELLED)


async def test_a_node_that_does_not_obey_delays_the_answer_and_not_forever(
    nodes: tuple[NodeStack, NodeStack], origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, asks = nodes
    [row] = await started(runs, origin.url("/slow"))
    monkeypatch.setattr(other_nodes, "MAX_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(asks.records.hints, "send", lambda topic, ids=(): None)

    is_searching = asyncio.Event()

    async def hold_nothing() -> list[object]:
        is_searching.set()
        await asyncio.sleep(3600)
        return []

    monkeypatch.setattr(runs.records.runs, "held", hold_nothing)
    # The search before this one is over.
    async with asyncio.timeout(CONDITION_TIMEOUT):
        await is_searching.wait()
    assert (await asks.manager.cancel(row.id)).state not in FINISHED
    monkeypatch.undo()
    assert (await asks.manager.cancel(row.id)).state is State.CANCELLED
