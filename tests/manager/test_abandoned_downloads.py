"""Takeover of downloads of a gone node, by two managers on one database and one storage root."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.clocks import NOW
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.node_reports import node_report
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.stored_downloads import claimed, sample_download
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.clock import SystemClock
from downloadd.download import Desired, Download
from downloadd.download_request import DownloadRequest
from downloadd.manager import lifecycle
from downloadd.manager.abandoned_downloads import RETURN_INTERVALS
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State

SIZE = 300_000
KEPT = 200_000
Nodes = tuple[ManagerStack, ManagerStack]


@pytest.fixture
async def nodes(tmp_path: Path, database: str) -> AsyncIterator[Nodes]:
    """Open two nodes, which send no heartbeats by themselves."""
    clock = SystemClock()
    async with (
        PostgresRecords(database, clock, is_owner=False) as first,
        PostgresRecords(database, clock, is_owner=False) as second,
    ):
        await first.nodes.register(node_report(lease=100.0), is_start=True)
        await second.nodes.register(
            node_report(name="beta", session="session-2", instance="instance-2", lease=100.0), is_start=True
        )
        async with (
            open_stack(tmp_path, CONFIG, store=first) as alpha,
            open_stack(tmp_path, CONFIG, store=second) as beta,
        ):
            # The first node claims.
            beta.dispatcher.queue.set_suspension("held by the test")
            yield alpha, beta


async def let_node_be_gone(stack: ManagerStack) -> None:
    """Let the last heartbeat of the node alpha be older than its lease."""
    assert isinstance(stack.records, PostgresRecords)
    sql = "UPDATE nodes SET last_seen = last_seen - interval '101 s' WHERE name = 'alpha'"
    assert await stack.records.execute(sql) == 1


async def start(stack: ManagerStack, url: str) -> Download:
    [row] = (await stack.manager.start([DownloadRequest(url=url, directory="d")], user="ann")).downloads
    return row


async def has_kept(stack: ManagerStack, id: str) -> bool:
    """Return True if the part has all bytes that the origin sends, and a checkpoint of them is recorded."""
    row = await stack.records.get(id)
    received = (await stack.manager.get(id)).download.progress.received
    return received == KEPT and row is not None and row.progress.part_name is not None


async def test_a_download_of_a_gone_node_continues_elsewhere_and_its_own_run_is_fenced(
    nodes: Nodes, origin: Origin
) -> None:
    alpha, beta = nodes
    stalled = ScriptedResponse(size=SIZE, etag='"v"', stall_after=KEPT)
    origin.script("/f", [stalled, ScriptedResponse(size=SIZE, etag='"v"')])
    row = await start(alpha, origin.url("/f"))
    await wait_until(lambda: has_kept(alpha, row.id))
    # It lives: nothing happens.
    await beta.abandoned.search()
    assert len(alpha.runs) == 1
    await let_node_be_gone(beta)
    await beta.abandoned.search()
    alpha.dispatcher.queue.set_suspension("held by the test")
    beta.dispatcher.queue.set_suspension(None)
    ended = await beta.manager.wait(row.id, CONDITION_TIMEOUT)
    assert (ended.state, ended.epoch) == (State.COMPLETED, 3)
    assert beta.files()["d/f"] == expected_bytes(0, 0, SIZE)
    with capture_logs() as logs:
        await alpha.abandoned.search()
        await wait_until(lambda: not len(alpha.runs))
    assert [line["download_id"] for line in logs if line["event"] == "run_fenced"] == [row.id]
    assert beta.files() == {"d/f": expected_bytes(0, 0, SIZE)}
    assert await beta.records.history(HistoryFilter()) == [ended]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        pytest.param(partial(lifecycle.cancel, now=NOW), State.CANCELLED, id="cancelled"),
        pytest.param(lifecycle.pause, State.PAUSED, id="paused"),
    ],
)
async def test_a_takeover_applies_what_a_user_wanted(
    nodes: Nodes, origin: Origin, change: Callable[[Download], Download], state: State
) -> None:
    alpha, beta = nodes
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"', stall_after=KEPT))
    row = await start(alpha, origin.url("/f"))
    await wait_until(lambda: has_kept(alpha, row.id))
    await beta.records.amend(row.id, change)
    await let_node_be_gone(beta)
    await beta.abandoned.search()
    after = (await beta.manager.get(row.id)).download
    assert (after.state, after.control.desired) == (state, Desired.PAUSE if state is State.PAUSED else Desired.RUN)
    assert (beta.files() == {}) == (state is State.CANCELLED)
    assert len(origin.requests("/f")) == 1


async def test_a_claim_whose_answer_was_lost_is_put_back_when_it_is_seen_twice(nodes: Nodes, origin: Origin) -> None:
    alpha, _ = nodes
    origin.script("/f", ScriptedResponse(size=10))
    alpha.dispatcher.queue.set_suspension("held by the test")
    row = sample_download(origin.url("/f"), origin=origin.url(""), directory="d", filename="f")
    row = await claimed(alpha.records, row)
    await alpha.abandoned.search()
    assert (await alpha.manager.get(row.id)).download.state is State.STARTING
    await alpha.abandoned.search()
    assert (await alpha.manager.get(row.id)).download.state is State.QUEUED
    alpha.dispatcher.queue.set_suspension(None)
    assert (await alpha.manager.wait(row.id, CONDITION_TIMEOUT)).state is State.COMPLETED


async def test_a_file_that_the_gone_node_has_published_is_recorded(nodes: Nodes, origin: Origin) -> None:
    alpha, beta = nodes
    row = sample_download(origin.url("/f"), origin=origin.url(""), directory="d", filename="f")
    row = await claimed(alpha.records, row)
    (alpha.root / "d").mkdir()
    (alpha.root / "d" / "f").write_bytes(b"0123456789")
    published = lifecycle.mark_verifying(row, total=10, warning=None)
    published = published.with_progress(publishing=True, part_name=f".f.{row.id}.1.part")
    assert await alpha.records.save(published) is not None
    await let_node_be_gone(beta)
    await beta.abandoned.search()
    assert (await beta.manager.get(row.id)).download.state is State.COMPLETED
    assert beta.files() == {"d/f": b"0123456789"}


async def test_a_file_that_the_stopped_node_publishes_after_the_takeover_is_not_fetched_again(
    nodes: Nodes, origin: Origin
) -> None:
    alpha, beta = nodes
    row = sample_download(origin.url("/f"), origin=origin.url(""), directory="d", filename="f")
    row = await claimed(alpha.records, row)
    part = alpha.root / "d" / f".f.{row.id}.{row.epoch}.part"
    part.parent.mkdir()
    part.write_bytes(b"0123456789")
    published = lifecycle.mark_verifying(row, total=10, warning=None)
    published = published.with_progress(publishing=True, part_name=part.name)
    assert await alpha.records.save(published) is not None
    alpha.dispatcher.queue.set_suspension("held by the test")
    await let_node_be_gone(beta)
    await beta.abandoned.search()
    assert (await beta.manager.get(row.id)).download.state is State.QUEUED
    part.rename(alpha.root / "d" / "f")
    beta.dispatcher.queue.set_suspension(None)
    assert (await beta.manager.wait(row.id, CONDITION_TIMEOUT)).state is State.COMPLETED
    assert beta.files() == {"d/f": b"0123456789"}
    assert origin.requests("/f") == []


async def test_a_node_whose_lease_is_back_lets_the_others_return_first(nodes: Nodes) -> None:
    alpha, _ = nodes
    assert alpha.abandoned.may_search()
    alpha.lease.report_lease(False)
    assert not alpha.abandoned.may_search()
    alpha.lease.report_lease(True)
    assert [alpha.abandoned.may_search() for _ in range(RETURN_INTERVALS + 2)] == [
        *[False] * RETURN_INTERVALS,
        True,
        True,
    ]


async def test_what_the_gone_node_had_not_recorded_is_removed_later(
    nodes: Nodes, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha, beta = nodes
    monkeypatch.setattr("downloadd.manager.abandoned_downloads.SWEEP_SECONDS", 0.0)
    monkeypatch.setattr(beta.abandoned, "_interval", 0.01)
    row = sample_download(origin.url("/f"), origin=origin.url(""), directory="d", filename="f")
    row = await claimed(alpha.records, row)
    (alpha.root / "d").mkdir()
    stray = alpha.root / "d" / f".f.{row.id}.{row.epoch}.part"
    stray.write_bytes(b"0123")
    await let_node_be_gone(beta)
    watching = asyncio.create_task(beta.abandoned.watch())
    await wait_until(lambda: not stray.exists())
    watching.cancel()
    await asyncio.wait((watching,))
