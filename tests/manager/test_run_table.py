"""Table of active runs, and the state of downloads that they change."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.downloads import with_fields
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.sample_downloads import sample_download
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download_request import DownloadRequest
from downloadd.events import DownloadChanged
from downloadd.manager.run import StopReason
from downloadd.manager.run_table import ActiveRun
from downloadd.states import State

STALL_AFTER = 50_000


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        origin.script("/slow", ScriptedResponse(size=200_000, etag='"a"', stall_after=STALL_AFTER))
        yield origin


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path, replace(CONFIG, max_concurrent=1)) as stack:
        yield stack


@pytest.fixture
async def active(stack: ManagerStack, origin: Origin) -> ActiveRun:
    request = DownloadRequest(url=origin.url("/slow"), directory="d")
    started = await stack.manager.start([request], user="ann")
    id = started.downloads[0].id
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while (active := stack.runs.get(id)) is None or active.run.received_bytes < STALL_AFTER:
            await asyncio.sleep(0.005)
    return active


async def test_a_running_download_is_shown_as_its_run_knows_it(stack: ManagerStack, active: ActiveRun) -> None:
    row = await stack.records.get(active.run.download.id)
    assert row is not None
    for shown in (await stack.runs.snapshot(row), *await stack.runs.snapshots_without_reasons([row])):
        assert (shown.download.state, shown.download.progress.received) == (State.DOWNLOADING, STALL_AFTER)
    assert (len(stack.runs), list(stack.runs)) == (1, [active])


async def test_a_row_that_has_ended_meanwhile_is_shown_as_it_is(stack: ManagerStack, active: ActiveRun) -> None:
    ended = with_fields(active.run.download, state=State.FAILED)
    [shown] = await stack.runs.snapshots_without_reasons([ended])
    assert (await stack.runs.snapshot(ended)).download is shown.download is ended


async def test_a_reason_is_given_where_it_is_asked_for(stack: ManagerStack, active: ActiveRun) -> None:
    paused = with_fields(active.run.download, state=State.PAUSED)
    assert (await stack.runs.snapshot(paused)).reason == "paused by a user"
    [shown] = await stack.runs.snapshots_without_reasons([paused])
    assert shown.reason is None


async def test_received_bytes_are_reported_once(stack: ManagerStack, active: ActiveRun) -> None:
    reported = active.pop_received_bytes()
    assert reported <= STALL_AFTER
    assert active.pop_received_bytes() == 0


async def test_a_state_is_reported_with_the_one_that_was_reported_last(active: ActiveRun) -> None:
    assert active.report_state() is State.DOWNLOADING
    active.run._attempt.download = with_fields(active.run.download, state=State.VERIFYING)
    assert [active.report_state(), active.report_state()] == [State.DOWNLOADING, State.VERIFYING]


async def test_an_end_is_recorded_with_the_state_that_was_reported_and_nothing_is_reported_after_it(
    stack: ManagerStack, active: ActiveRun
) -> None:
    with stack.bus.subscribe() as subscription:
        assert stack.runs.record_end(with_fields(active.run.download, state=State.FAILED)) is State.DOWNLOADING
        stack.runner.publish_run(active)
        active.reported_state = State.VERIFYING
        stack.runner.publish_run(active)
        [published] = await subscription.receive()
    assert isinstance(published.event, DownloadChanged)
    assert published.event.before is State.VERIFYING


async def test_an_end_that_follows_a_run_has_the_state_that_was_reported_of_the_run(
    stack: ManagerStack, active: ActiveRun
) -> None:
    ended = with_fields(active.run.download, state=State.CANCELLED)
    stack.runs.remove(ended.id)
    assert stack.runs.record_end(ended) is None
    with stack.runs.settling(active):
        assert stack.runs.record_end(ended) is State.DOWNLOADING
    assert stack.runs.record_end(ended) is None
    active.reported_state = State.DOWNLOADING
    stack.runs.add(active)


async def test_a_page_has_the_reason_of_each_download_that_waits(stack: ManagerStack, active: ActiveRun) -> None:
    rows = [sample_download(number, seq=90 + number, state=State.QUEUED) for number in range(2)]
    shown = await stack.runs.snapshots([rows[0], active.run.download, sample_download(5, state=State.PAUSED), rows[1]])
    waits = "1 download is running (max_concurrent)"
    assert [one.reason for one in shown] == [waits, None, "paused by a user", waits]


async def test_a_run_is_removed_when_it_has_ended(stack: ManagerStack, active: ActiveRun) -> None:
    id = active.run.download.id
    await stack.manager.cancel(id)
    await wait_until(lambda: stack.runs.get(id) is None)
    assert len(stack.runs) == 0


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.PAUSED, "paused by a user"),
        (State.QUEUED, "about to start"),
        (State.RETRYING, "about to start"),
        (State.COMPLETED, None),
        (State.FAILED, None),
    ],
)
async def test_a_download_without_a_run_has_a_reason_while_it_waits(
    stack: ManagerStack, state: State, reason: str | None
) -> None:
    row = sample_download(state=state)
    shown = await stack.runs.snapshot(row)
    assert (shown.download, shown.reason, shown.speed) == (row, reason, None)


async def test_a_stop_reaches_the_run_if_there_is_one(stack: ManagerStack, active: ActiveRun) -> None:
    assert stack.runs.stop(active.run.download.id, StopReason.PAUSE)
    assert not stack.runs.stop("unknown", StopReason.PAUSE)
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while len(stack.runs):
            await asyncio.sleep(0.005)
    row = await stack.records.get(active.run.download.id)
    assert row is not None
    assert row.state is State.PAUSED
