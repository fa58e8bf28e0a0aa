"""Work of a node without its lease."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.manager_stack import ManagerStack, open_stack
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download_request import DownloadRequest
from downloadd.states import State

SIZE = 100_000
STALL_AFTER = 50_000


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path) as stack:
        yield stack


async def start(stack: ManagerStack, url: str) -> str:
    """Return the id of a new download."""
    [row] = (await stack.manager.start([DownloadRequest(url=url, directory="d")], user="ann")).downloads
    return row.id


async def test_runs_that_another_node_may_take_over_are_interrupted_until_the_lease_is_back(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.records, "is_shared", True)
    whole = ScriptedResponse(size=SIZE, etag='"a"')
    origin.script("/f", [ScriptedResponse(size=SIZE, etag='"a"', stall_after=STALL_AFTER), whole])
    id = await start(stack, origin.url("/f"))

    async def has_stalled() -> bool:
        return (await stack.manager.get(id)).download.progress.received == STALL_AFTER

    await wait_until(has_stalled)
    stack.lease.report_lease(False)
    await wait_until(lambda: not len(stack.runs))
    row = (await stack.manager.get(id)).download
    assert (row.state, row.progress.received, len(stack.files())) == (State.QUEUED, STALL_AFTER, 1)
    # A new download waits, too.
    claim = asyncio.create_task(stack.lease.claim([]))
    other = await start(stack, origin.url("/f"))
    assert (claim.done(), len(origin.requests("/f"))) == (False, 1)
    stack.lease.report_lease(True)
    assert await claim == []
    for each in (id, other):
        assert (await stack.manager.wait(each, CONDITION_TIMEOUT)).state is State.COMPLETED
    assert "bytes=50000-" in [request.field("Range") for request in origin.requests("/f")]
    assert stack.files()["d/f"] == expected_bytes(0, 0, SIZE)


async def test_a_run_that_starts_just_when_the_lease_was_lost_is_interrupted(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.records, "is_shared", True)
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"a"'))
    claim = stack.records.claim
    lost = asyncio.Event()

    async def claim_and_lose(seqs: list[int]) -> object:
        claimed = await claim(seqs)
        if not lost.is_set():
            lost.set()
            stack.lease.report_lease(False)
        return claimed

    monkeypatch.setattr(stack.records, "claim", claim_and_lose)
    id = await start(stack, origin.url("/f"))
    await lost.wait()

    async def is_waiting() -> bool:
        return (await stack.manager.get(id)).download.state is State.QUEUED and not len(stack.runs)

    await wait_until(is_waiting)
    assert origin.requests("/f") == []
    stack.lease.report_lease(True)
    assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED


async def test_a_node_alone_continues(stack: ManagerStack, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"a"', rate=500_000))
    id = await start(stack, origin.url("/f"))
    await wait_until(lambda: origin.requests("/f"))
    stack.lease.report_lease(False)
    assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED
    assert len(origin.requests("/f")) == 1
    # Others start as well.
    assert (await stack.manager.wait(await start(stack, origin.url("/f")), CONDITION_TIMEOUT)).state is State.COMPLETED
