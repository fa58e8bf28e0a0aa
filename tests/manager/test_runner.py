"""Runner: stops, limits and ends in states that only it observes."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.dispatchers import describe_wait, has_no_origins
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response, redirect
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.clock import SystemClock
from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.errors import NotFoundError, StorageError, StoreUnavailableError
from downloadd.events import DownloadChanged
from downloadd.manager.protocol import DownloadChange
from downloadd.manager.run import StopReason
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import RUNNING, State
from downloadd.storage.part_file import MAX_HELD_BYTES
from downloadd.storage.publisher import Publisher

SIZE = 200_000
STALL_AFTER = 50_000


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        origin.script("/a", ScriptedResponse(size=SIZE, etag='"a"'))
        origin.script("/slow", ScriptedResponse(size=SIZE, etag='"a"', stall_after=STALL_AFTER))
        yield origin


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path) as stack:
        yield stack


async def start(stack: ManagerStack, url: str) -> str:
    started = await stack.manager.start([DownloadRequest(url=url, directory="d")], user="ann")
    return started.downloads[0].id


async def claimed_row(stack: ManagerStack, id: str) -> Download:
    """Return the row of a download as soon as the records say that it runs."""
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while True:
            row = await stack.records.get(id)
            assert row is not None
            if row.state in RUNNING:
                return row
            await asyncio.sleep(0)


async def test_a_stop_during_the_claim_takes_effect(stack: ManagerStack, origin: Origin) -> None:
    for _ in range(20):
        row = await claimed_row(stack, await start(stack, origin.url("/slow")))
        async with asyncio.timeout(CONDITION_TIMEOUT):
            stopped = await stack.runner.stop(row, StopReason.PAUSE)
        assert stopped.state is State.PAUSED
        await wait_until(lambda: len(stack.runs) == 0)


async def test_a_stop_of_a_run_that_has_ended_returns_the_row_as_it_is(stack: ManagerStack, origin: Origin) -> None:
    id = await start(stack, origin.url("/a"))
    ended = await stack.manager.wait(id, CONDITION_TIMEOUT)
    assert ended.state is State.COMPLETED
    async with asyncio.timeout(CONDITION_TIMEOUT):
        assert (await stack.runner.stop(ended, StopReason.CANCEL)).state is State.COMPLETED


async def test_a_stop_that_finds_no_run_waits_for_unavailable_records(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await stack.manager.wait(await start(stack, origin.url("/a")), CONDITION_TIMEOUT)
    get, failures = stack.records.get, iter([StoreUnavailableError("locked")])

    async def refuse_once(id: str) -> Download | None:
        for failure in failures:
            raise failure
        return await get(id)

    monkeypatch.setattr(stack.records, "get", refuse_once)
    async with asyncio.timeout(CONDITION_TIMEOUT):
        assert (await stack.runner.stop(ended, StopReason.CANCEL)).state is State.COMPLETED
    assert len(stack.runner._stop_waiters) == 0


async def test_a_failure_of_the_records_leaves_no_waiter(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await stack.manager.wait(await start(stack, origin.url("/a")), CONDITION_TIMEOUT)

    async def fail(id: str) -> Download | None:
        raise StorageError("disk I/O error")

    monkeypatch.setattr(stack.records, "get", fail)
    for call in (stack.runner.stop(ended, StopReason.CANCEL), stack.manager.wait(ended.id, 1)):
        with pytest.raises(StorageError):
            await call
        assert len(stack.runner._stop_waiters) == len(stack.runner._notifier.ends) == 0


async def test_a_stop_does_not_reach_the_next_run(stack: ManagerStack, origin: Origin) -> None:
    id = await start(stack, origin.url("/slow"))
    await claimed_row(stack, id)
    await stack.manager.pause(id)
    origin.script("/slow", ScriptedResponse(size=SIZE, etag='"a"'))
    await stack.manager.resume(id)
    assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED


async def test_an_unknown_id_is_not_amended(stack: ManagerStack) -> None:
    with pytest.raises(NotFoundError):
        await stack.runner.amend("00000000-0000-7000-8000-000000000000", lambda row: row)


async def test_a_changed_speed_limit_holds_for_the_run(stack: ManagerStack, origin: Origin) -> None:
    id = await start(stack, origin.url("/slow"))
    await wait_until(lambda: stack.runs.get(id) is not None)
    active = stack.runs.get(id)
    assert active is not None
    await stack.manager.amend(id, DownloadChange(speed_limit=1000))
    assert active.limiter._own.rate == 1000
    assert active.run.download.control.speed_limit == 1000


async def test_a_change_of_a_download_that_is_being_claimed_reaches_its_run(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = stack.records.claim

    async def claim_and_change(seqs: Sequence[int]) -> list[Download]:
        [row] = await claim(seqs)
        await stack.manager.amend(row.id, DownloadChange(filename="new", speed_limit=1000))
        return [row]

    monkeypatch.setattr(stack.records, "claim", claim_and_change)
    id = await start(stack, origin.url("/slow"))
    await wait_until(lambda: stack.runs.get(id) is not None)
    active = stack.runs.get(id)
    assert active is not None
    assert active.limiter._own.rate == 1000
    assert active.run.download.filename == "new"
    assert stack.runner._pending_rows == {}


async def test_a_failed_attempt_is_queued_again_and_retry_after_blocks_the_host(
    stack: ManagerStack, origin: Origin
) -> None:
    origin.script("/busy", error_response(503, retry_after="60"))
    with stack.bus.subscribe() as subscription:
        id = await start(stack, origin.url("/busy"))

        async def is_blocked() -> bool:
            return (await stack.dispatcher.origins.usage()).blocked == await stack.dispatcher.queue.count_waiting() == 1

        await wait_until(is_blocked)
        states = [
            published.event.snapshot.download.state
            for published in await subscription.receive()
            if isinstance(published.event, DownloadChanged)
        ]
    assert states[0] is State.QUEUED
    assert (await stack.manager.get(id)).download.state is State.RETRYING
    assert "asked to wait" in await describe_wait(stack.dispatcher.queue, origin.url(""), None)


async def test_a_download_that_is_redirected_to_a_full_origin_waits_for_it_with_the_reason(
    tmp_path: Path, origin: Origin
) -> None:
    release = asyncio.Event()
    async with Origin() as target, open_stack(tmp_path, replace(CONFIG, max_per_host=1)) as stack:
        target.script("/busy", ScriptedResponse(size=10, body_event=release))
        target.script("/f", ScriptedResponse(size=10))
        origin.script("/r", redirect(target.url("/f")))
        busy = await start(stack, target.url("/busy"))
        await target.wait_requested("/busy")
        id = await start(stack, origin.url("/r"))

        async def waits_for_target() -> bool:
            reason = (await stack.manager.get(id)).reason
            return reason is not None and reason.startswith(f"127.0.0.1:{origin.port} redirects to")

        await wait_until(waits_for_target)
        snapshot = await stack.manager.get(id)
        assert snapshot.download.state is State.QUEUED
        assert snapshot.reason is not None
        assert snapshot.reason.endswith(f"1 download from 127.0.0.1:{target.port} is running (max_per_host)")
        assert (len(origin.requests("/r")), len(target.requests("/f"))) == (1, 0)
        release.set()
        for each in (busy, id):
            assert (await stack.manager.wait(each, CONDITION_TIMEOUT)).state is State.COMPLETED
        assert await has_no_origins(stack.dispatcher)


async def test_a_close_interrupts_every_run_and_keeps_what_it_received(tmp_path: Path, origin: Origin) -> None:
    async with open_stack(tmp_path, replace(CONFIG, max_per_host=4)) as stack:
        ids = [await start(stack, origin.url("/slow")) for _ in range(4)]
        await wait_until(lambda: [active.run.received_bytes for active in stack.runs] == [STALL_AFTER] * 4)
    async with SqliteRecords(tmp_path / "state", SystemClock()) as records:
        rows = [await records.get(id) for id in ids]
    assert [row and (row.state, row.progress.received, row.progress.attempt) for row in rows] == [
        (State.QUEUED, STALL_AFTER, 0)
    ] * 4


async def test_a_run_that_starts_while_the_daemon_stops_is_interrupted(stack: ManagerStack, origin: Origin) -> None:
    stack.runner.begin_closing()
    id = await start(stack, origin.url("/a"))
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while (row := await stack.records.get(id)) is None or row.epoch == 0 or row.state is not State.QUEUED:
            await asyncio.sleep(0.001)
    assert row.progress.attempt == 0
    assert origin.requests("/a") == []


async def test_a_publication_that_outlasts_the_stop_of_the_daemon_is_completed_by_the_next_start(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, publish = threading.Event(), Publisher.publish

    def publish_slowly(publisher: Publisher, *arguments: Any, **options: Any) -> bool:
        begun.set()
        time.sleep(0.5)
        return publish(publisher, *arguments, **options)

    monkeypatch.setattr(Publisher, "publish", publish_slowly)
    monkeypatch.setattr("downloadd.manager.runner.DRAIN_SECONDS", 0.1)
    origin.script("/big", ScriptedResponse(size=MAX_HELD_BYTES + 1))
    with capture_logs() as lines:
        async with open_stack(tmp_path) as stack:
            id = await start(stack, origin.url("/big"))
            await wait_until(begun.is_set)
        async with open_stack(tmp_path) as stack:
            assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED
            assert list(stack.files()) == ["d/big"]
    assert len(origin.requests("/big")) == 1
    assert "task_failed" not in [line["event"] for line in lines]
