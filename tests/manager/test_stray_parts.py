"""Part files that the outcome of a run does not name: they are removed after others know the outcome."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.events import DownloadChanged, DownloadEnded, Subscription
from downloadd.records.protocol import ActiveFilter
from downloadd.states import RUNNING, State
from downloadd.storage.part_file import MAX_HELD_BYTES, PartFile

SIZE = MAX_HELD_BYTES + 1
WRONG_CHECKSUM = f"sha-256={'0' * 64}"


class SlowRemovals:
    """Removals of part files, which wait until they are released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.released = asyncio.Event(), asyncio.Event()
        remove = PartFile.remove

        async def remove_later(part: PartFile) -> None:
            self.begun.set()
            await self.released.wait()
            await remove(part)

        monkeypatch.setattr(PartFile, "remove", remove_later)


@pytest.fixture
def removals(monkeypatch: pytest.MonkeyPatch) -> SlowRemovals:
    return SlowRemovals(monkeypatch)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        origin.script("/f", ScriptedResponse(size=SIZE))
        origin.script("/g", ScriptedResponse(size=10))
        yield origin


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path, replace(CONFIG, max_concurrent=1, max_retries=5)) as stack:
        yield stack


async def start_to_remove(stack: ManagerStack, origin: Origin, removals: SlowRemovals, *, is_retried: bool) -> Download:
    """Return the row of a download whose checksum is wrong, while the part file of its run is being removed."""
    mirrors = (origin.url("/f?2"),) if is_retried else ()
    request = DownloadRequest(url=origin.url("/f"), directory="d", checksum=WRONG_CHECKSUM, mirrors=mirrors)
    [started] = (await stack.manager.start([request], user="ann")).downloads
    async with asyncio.timeout(CONDITION_TIMEOUT):
        await removals.begun.wait()
    return await present(stack, started.id)


async def present(stack: ManagerStack, id: str) -> Download:
    row = await stack.records.get(id)
    assert row is not None
    return row


async def published_states(subscription: Subscription) -> list[State]:
    events = [published.event for published in await subscription.receive()]
    return [
        event.snapshot.download.state if isinstance(event, DownloadChanged) else event.download.state
        for event in events
        if isinstance(event, DownloadChanged | DownloadEnded)
    ]


@pytest.mark.parametrize(("action", "state"), [("cancel", State.CANCELLED), ("pause", State.PAUSED)])
async def test_an_action_during_the_removal_is_published_after_the_outcome(
    stack: ManagerStack, origin: Origin, removals: SlowRemovals, action: str, state: State
) -> None:
    with stack.bus.subscribe() as subscription:
        row = await start_to_remove(stack, origin, removals, is_retried=True)
        assert row.state is State.RETRYING
        await getattr(stack.manager, action)(row.id)
        removals.released.set()
        await wait_until(lambda: stack.files() == {})
        assert (await published_states(subscription))[-2:] == [State.RETRYING, state]
    assert await stack.dispatcher.queue.count_waiting() == 0
    assert (await present(stack, row.id)).state is state


async def test_a_download_is_listed_and_counted_by_its_outcome_during_the_removal(
    stack: ManagerStack, origin: Origin, removals: SlowRemovals
) -> None:
    row = await start_to_remove(stack, origin, removals, is_retried=True)
    assert await stack.manager.counts() == {State.RETRYING: 1}
    [listed] = await stack.manager.active(ActiveFilter(limit=10))
    assert listed.download.state is State.RETRYING
    assert await stack.manager.active(ActiveFilter(states=RUNNING, limit=10)) == []
    await stack.manager.cancel(row.id)
    removals.released.set()


async def test_a_retry_during_the_removal_begins_after_it(
    stack: ManagerStack, origin: Origin, removals: SlowRemovals
) -> None:
    row = await start_to_remove(stack, origin, removals, is_retried=False)
    assert row.state is State.FAILED
    await stack.manager.retry(row.id)
    assert (await present(stack, row.id)).state is State.QUEUED
    assert len(origin.requests("/f")) == 1
    removals.released.set()
    assert (await stack.manager.wait(row.id, CONDITION_TIMEOUT)).epoch == 2
    await wait_until(lambda: stack.files() == {})


async def test_a_removal_that_hangs_keeps_the_slot_for_some_time_only(
    stack: ManagerStack, origin: Origin, removals: SlowRemovals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.manager.runner.MAX_REMOVAL_SECONDS", 0.2)
    with capture_logs() as lines:
        row = await start_to_remove(stack, origin, removals, is_retried=False)
        [other] = (
            await stack.manager.start([DownloadRequest(url=origin.url("/g"), directory="d")], user="ann")
        ).downloads
        assert (await stack.manager.wait(other.id, CONDITION_TIMEOUT)).state is State.COMPLETED
    assert {line["download_id"] for line in lines if line["event"] == "part_removal_stalled"} == {row.id}
    removals.released.set()
