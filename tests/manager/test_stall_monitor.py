"""Supervision of runs: a run that hangs is recorded as failed and aborted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.clocks import ManualClock
from support.manager_stack import CONFIG, open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.sample_downloads import sample_download
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.config import HostConfig
from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.errors import ErrorCode
from downloadd.events import DownloadEnded
from downloadd.manager.stall_monitor import StallMonitor
from downloadd.states import RUNNING, State
from downloadd.storage.part_file import MAX_HELD_BYTES, PartFile
from downloadd.storage.small_files import SmallFiles

BIG = MAX_HELD_BYTES + 1
"""Bytes of the smallest file that is written to a part file, whose size adds to the time that its disk has."""


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downloadd.manager.stall_detection.STALL_MARGIN_SECONDS", 0.1)
    monkeypatch.setattr("downloadd.manager.stall_monitor.STALL_CHECK_SECONDS", 0.02)


@pytest.mark.parametrize(
    ("storage", "method", "size"),
    [(PartFile, "publish", BIG), (SmallFiles, "write", 10), (SmallFiles, "link", 10)],
)
async def test_a_run_that_hangs_is_failed_and_its_slot_is_free(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch, storage: type[object], method: str, size: int
) -> None:
    hang = asyncio.Event()
    original = getattr(storage, method)

    async def call_later(*args: object, **options: object) -> object:
        await hang.wait()
        return await original(*args, **options)

    monkeypatch.setattr(storage, method, call_later)
    async with Origin() as origin, open_stack(memory_path, replace(CONFIG, max_concurrent=1, stall_timeout=1)) as stack:
        origin.script("/a", ScriptedResponse(size=size))
        request = DownloadRequest(url=origin.url("/a"), directory="d")
        with capture_logs() as lines, stack.bus.subscribe() as subscription:
            started = await stack.manager.start([request], user="ann")
            ended = await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)
            # An operation that hangs before its first change is in the state of its claim.
            last = (await subscription.receive())[-1].event
        assert isinstance(last, DownloadEnded)
        assert last.before in RUNNING
        assert (ended.state, ended.result.error) == (State.FAILED, ErrorCode.STORAGE_ERROR)
        assert ended.kept_bytes == 0, "the run may still write to the part file"
        assert "run_stalled" in [line["event"] for line in lines]
        await wait_until(lambda: len(stack.runs) == 0)
        assert (await stack.dispatcher.origins.usage()).connections == 0
        # The operation returns late, finds that the row has ended, and publishes nothing.
        hang.set()
        await asyncio.sleep(0)
        assert (await stack.manager.get(ended.id)).download.state is State.FAILED


async def test_a_download_has_a_stall_timeout_of_its_own(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hang = asyncio.Event()

    async def hang_up(*args: object, **options: object) -> bool:
        await hang.wait()
        return False

    monkeypatch.setattr(PartFile, "publish", hang_up)
    # The other one hangs until the end.
    monkeypatch.setattr("downloadd.manager.runner.DRAIN_SECONDS", 0.2)
    async with Origin() as origin, open_stack(memory_path, replace(CONFIG, stall_timeout=1_000)) as stack:
        origin.script("/a", ScriptedResponse(size=BIG))
        requests = [
            DownloadRequest(url=origin.url("/a"), directory=directory, stall_timeout=seconds)
            for directory, seconds in (("a", None), ("b", 0.5))
        ]
        patient, impatient = (await stack.manager.start(requests, user="ann")).downloads
        ended = await stack.manager.wait(impatient.id, CONDITION_TIMEOUT)
        assert (ended.state, ended.result.error) == (State.FAILED, ErrorCode.STORAGE_ERROR)
        assert (await stack.manager.get(patient.id)).download.state is State.VERIFYING
        hang.set()


async def test_a_run_that_receives_bytes_is_not_aborted(memory_path: Path) -> None:
    async with Origin() as origin, open_stack(memory_path, replace(CONFIG, stall_timeout=1)) as stack:
        origin.script("/a", ScriptedResponse(size=300_000, rate=200_000))
        request = DownloadRequest(url=origin.url("/a"), directory="d")
        started = await stack.manager.start([request], user="ann")
        assert (await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)).state is State.COMPLETED


class OneRun:
    """The run of a download that has no connection yet, as the table of runs and the records show it to the monitor."""

    def __init__(self) -> None:
        self.limiter = SimpleNamespace(is_waiting=False)
        download = sample_download(state=State.STARTING)
        self.run = SimpleNamespace(download=download, received_bytes=0, request_count=1, is_waiting=False)

    def __iter__(self) -> Iterator[Any]:
        yield self

    def get(self, id: str) -> Any:
        return self

    async def save(self, row: Download) -> Download:
        return row


async def test_a_run_connects_for_as_long_as_its_host_may_take() -> None:
    clock, run, aborted = ManualClock(), OneRun(), asyncio.Event()
    config = replace(CONFIG, stall_timeout=30)
    hosts = [HostConfig(host="slow.example", connect_timeout=600)]
    monitor = StallMonitor(cast("Any", run), cast("Any", run), clock, config, hosts, abort=lambda *_: aborted.set())
    watching = asyncio.create_task(monitor.watch())
    for seconds in (0, 599):
        clock.now += seconds
        # Several checks.
        await asyncio.sleep(0.1)
    assert not aborted.is_set()
    monitor.configure(config)
    await wait_until(aborted.is_set)
    watching.cancel()
