"""Suspension of the queue while the storage is full, missing, or takes no writes."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from records.contract import ManualClock
from structlog.testing import capture_logs
from support.dispatchers import describe_wait, make_dispatcher
from support.refusing_disk import RefusingDisk
from support.sample_downloads import sample_download
from support.waiting import wait_until

from downloadd.download import Download
from downloadd.errors import ErrorCode
from downloadd.manager import storage_gate
from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.scheduler import DISK_FULL_REASON
from downloadd.manager.storage_gate import MAX_SUSPENSION_SECONDS, StorageGate
from downloadd.records.protocol import WaitingDownload
from downloadd.states import State
from downloadd.storage.local import LocalDestination

FULL = sample_download(state=State.RETRYING, error=ErrorCode.INSUFFICIENT_STORAGE)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def dispatcher(clock: ManualClock) -> LocalDispatcher:
    dispatcher = make_dispatcher(Limits(max_concurrent=9, max_per_host=9), clock)
    dispatcher.queue.enqueue([WaitingDownload(seq=1, origin="a", priority=0)])
    return dispatcher


@pytest.fixture
async def destination(tmp_path: Path) -> AsyncIterator[LocalDestination]:
    async with LocalDestination(tmp_path / "root", min_free=0, fsync=False) as destination:
        yield destination


@pytest.fixture
async def gate(
    destination: LocalDestination, dispatcher: LocalDispatcher, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StorageGate]:
    monkeypatch.setattr(storage_gate, "STORAGE_CHECK_SECONDS", 0.01)
    gate = StorageGate(destination, dispatcher.queue, clock)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(gate.watch())
        yield gate
        task.cancel()


async def reason(dispatcher: LocalDispatcher) -> str:
    return await describe_wait(dispatcher.queue, "a")


async def may_start(dispatcher: LocalDispatcher) -> bool:
    return await reason(dispatcher) == "about to start"


@pytest.mark.parametrize(
    ("row", "suspends"),
    [
        (FULL, True),
        (sample_download(state=State.FAILED, error=ErrorCode.INSUFFICIENT_STORAGE), True),
        (sample_download(state=State.RETRYING, error=ErrorCode.STORAGE_ERROR), True),
        # Other files on the disk may be readable.
        (sample_download(state=State.FAILED, error=ErrorCode.STORAGE_ERROR), False),
        (sample_download(state=State.RETRYING, error=ErrorCode.NETWORK_ERROR), False),
        (sample_download(state=State.COMPLETED), False),
    ],
)
async def test_an_outcome_suspends_the_queue_when_the_storage_is_the_cause(
    dispatcher: LocalDispatcher, clock: ManualClock, destination: LocalDestination, row: Download, suspends: bool
) -> None:
    StorageGate(destination, dispatcher.queue, clock).report_outcome(row)
    assert (await reason(dispatcher) == DISK_FULL_REASON) is suspends


async def test_a_download_that_waits_for_space_suspends_the_queue_until_the_disk_is_checked(
    dispatcher: LocalDispatcher, clock: ManualClock, destination: LocalDestination
) -> None:
    StorageGate(destination, dispatcher.queue, clock).report_outcome(
        sample_download(state=State.QUEUED), lacks_space=True
    )
    assert await reason(dispatcher) == DISK_FULL_REASON


async def test_a_working_storage_ends_the_suspension_without_a_log_line(
    gate: StorageGate, dispatcher: LocalDispatcher
) -> None:
    with capture_logs() as lines:
        gate.report_outcome(FULL)
        await wait_until(lambda: may_start(dispatcher))
    assert lines == []


async def test_a_missing_root_suspends_the_queue_until_it_is_there_again(
    gate: StorageGate, dispatcher: LocalDispatcher, clock: ManualClock, tmp_path: Path
) -> None:
    (tmp_path / "root").rename(tmp_path / "away")
    with capture_logs() as lines:
        gate.report_outcome(sample_download(state=State.RETRYING, error=ErrorCode.STORAGE_ERROR))
        await wait_until(lambda: bool(lines))
        assert await reason(dispatcher) == lines[0]["reason"] != DISK_FULL_REASON
        # Only an administrator can restore it, so no download tries meanwhile.
        clock.now += 10 * MAX_SUSPENSION_SECONDS
        await asyncio.sleep(0.05)
        assert await reason(dispatcher) == lines[0]["reason"]
        (tmp_path / "away").rename(tmp_path / "root")
        await wait_until(lambda: may_start(dispatcher))
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("queue_suspended", "error"),
        ("queue_resumed", "info"),
    ]


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENOTCONN], ids=errno.errorcode.__getitem__)
async def test_a_root_that_takes_no_writes_suspends_the_queue_until_it_does(
    gate: StorageGate, dispatcher: LocalDispatcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    disk = RefusingDisk(monkeypatch, tmp_path / "root")
    disk.refuse(number)
    with capture_logs() as lines:
        gate.report_outcome(sample_download(state=State.RETRYING, error=ErrorCode.STORAGE_ERROR))
        await wait_until(lambda: bool(lines))
        assert os.strerror(number) in await reason(dispatcher)
        disk.accept()
        await wait_until(lambda: may_start(dispatcher))
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("queue_suspended", "error"),
        ("queue_resumed", "info"),
    ]


async def test_a_full_disk_is_not_written_to(
    gate: StorageGate, dispatcher: LocalDispatcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_gate, "MIN_FREE_BYTES", 1 << 62)
    before = (tmp_path / "root").stat().st_mtime_ns
    gate.report_outcome(FULL)
    with capture_logs() as lines:
        await wait_until(lambda: bool(lines))
    await asyncio.sleep(0.05)
    assert (tmp_path / "root").stat().st_mtime_ns == before


async def test_a_root_that_is_missing_at_the_start_suspends_the_queue_at_once(
    destination: LocalDestination,
    dispatcher: LocalDispatcher,
    clock: ManualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage_gate, "STORAGE_CHECK_SECONDS", 0.01)
    gate = StorageGate(destination, dispatcher.queue, clock)
    assert (gate.problem, await reason(dispatcher)) == (None, "about to start")
    (tmp_path / "root").rename(tmp_path / "away")
    await gate.open()
    assert gate.problem == await reason(dispatcher)
    assert str(gate.problem).startswith("the storage root is gone")
    watching = asyncio.create_task(gate.watch())
    (tmp_path / "away").rename(tmp_path / "root")
    await wait_until(lambda: gate.problem is None)
    watching.cancel()


async def test_downloads_try_again_now_and_then_while_the_disk_is_full(
    gate: StorageGate, dispatcher: LocalDispatcher, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_gate, "MIN_FREE_BYTES", 1 << 62)
    with capture_logs() as lines:
        gate.report_outcome(FULL)
        await wait_until(lambda: bool(lines))
        assert await reason(dispatcher) == DISK_FULL_REASON
        clock.now += MAX_SUSPENSION_SECONDS
        await wait_until(lambda: may_start(dispatcher))
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("queue_suspended", "warning"),
        ("queue_resumed", "info"),
    ]
