"""Runs that hang are aborted, and release their slots."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.manager_stack import CONFIG, open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import CONDITION_TIMEOUT

from downloadd.download_request import DownloadRequest
from downloadd.errors import ErrorCode
from downloadd.manager.stall_detection import (
    MIN_DISK_BYTES_PER_SECOND,
    STALL_MARGIN_SECONDS,
    Activity,
    is_stalled,
    observe,
)
from downloadd.states import State
from downloadd.storage.part_file import MAX_HELD_BYTES

BIG = MAX_HELD_BYTES + 1
"""Bytes of the smallest file that is written to a part file, whose size adds to the time that its disk has."""
ONE_SLOT = replace(CONFIG, max_concurrent=1, stall_timeout=0.3, timeout=0)


@pytest.fixture
def release_threads() -> Iterator[threading.Event]:
    """Return an event that releases the threads that hang; it is set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize(
    ("call", "size"), [("pwrite", 1000), ("fsync", 1000), ("link", 1000), ("pwritev", BIG), ("fsync", BIG)]
)
async def test_a_disk_that_hangs_fails_its_download_and_frees_the_slot(
    call: str,
    size: int,
    limit: int,
    memory_path: Path,
    origin: Origin,
    release_threads: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origin.script("/f", ScriptedResponse(size=size))
    real = getattr(os, call)
    blocked = threading.Event()

    def hang(*args: Any, **options: Any) -> Any:
        if threading.current_thread().name.startswith("disk-") and not blocked.is_set():
            blocked.set()
            release_threads.wait()
        return real(*args, **options)

    monkeypatch.setattr("downloadd.manager.stall_detection.STALL_MARGIN_SECONDS", 0.2)
    monkeypatch.setattr("downloadd.manager.stall_monitor.STALL_CHECK_SECONDS", 0.05)
    monkeypatch.setattr("downloadd.manager.small_publications.STUCK_SECONDS", 0.1)
    async with open_stack(memory_path, replace(ONE_SLOT, speed_limit=limit), fsync=True) as stack:
        (memory_path / "files" / "d").mkdir()
        monkeypatch.setattr(os, call, hang)
        started = await stack.manager.start(
            [DownloadRequest(url=origin.url("/f"), directory="d") for _ in range(2)], user="u"
        )
        first, second = [await stack.manager.wait(one.id, CONDITION_TIMEOUT) for one in started.downloads]
        assert blocked.is_set()
        assert (first.state, first.result.error) == (State.FAILED, ErrorCode.STORAGE_ERROR)
        assert first.result.detail is not None
        assert "does not answer" in first.result.detail
        assert second.state is State.COMPLETED
        release_threads.set()


async def test_many_sources_that_hang_are_tried_one_after_the_other(
    memory_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.manager.stall_detection.STALL_MARGIN_SECONDS", 0.2)
    monkeypatch.setattr("downloadd.manager.stall_monitor.STALL_CHECK_SECONDS", 0.05)
    hanging = [f"/hangs/{number}" for number in range(5)]
    for path in hanging:
        origin.script(path, ScriptedResponse(size=1000, head_event=asyncio.Event()))
    origin.script("/f", ScriptedResponse(size=1000))
    async with open_stack(memory_path, ONE_SLOT) as stack:
        request = DownloadRequest(
            url=origin.url(hanging[0]), mirrors=list(map(origin.url, [*hanging[1:], "/f"])), directory="d"
        )
        started = await stack.manager.start([request], user="u")
        ended = await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)
        assert ended.state is State.COMPLETED
        assert [len(origin.requests(path)) for path in hanging] == [1] * 5


async def test_a_source_that_hangs_costs_little_time_if_there_are_others(
    memory_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.transfer.source_requests.SOURCE_TIMEOUT", 0.2)
    hanging = [f"/hangs/{number}" for number in range(5)]
    for path in hanging:
        origin.script(path, ScriptedResponse(size=1000, head_event=asyncio.Event()))
    origin.script("/f", ScriptedResponse(size=1000))
    async with open_stack(memory_path, replace(ONE_SLOT, stall_timeout=2 * CONDITION_TIMEOUT)) as stack:
        request = DownloadRequest(
            url=origin.url(hanging[0]), mirrors=list(map(origin.url, [*hanging[1:], "/f"])), directory="d"
        )
        started = await stack.manager.start([request], user="u")
        assert (await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)).state is State.COMPLETED


async def test_a_slow_source_is_waited_for_if_no_other_has_the_file(
    memory_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.transfer.source_requests.SOURCE_TIMEOUT", 0.5)
    # The first request is aborted; the second one, without a limit, gets a response.
    release = asyncio.Event()
    origin.script("/slow", ScriptedResponse(size=1000, head_event=release))
    origin.script("/gone", error_response(404))
    async with open_stack(memory_path, replace(ONE_SLOT, stall_timeout=2 * CONDITION_TIMEOUT, max_retries=0)) as stack:
        request = DownloadRequest(url=origin.url("/slow"), mirrors=[origin.url("/gone")], directory="d")
        started = await stack.manager.start([request], user="u")
        async with asyncio.timeout(CONDITION_TIMEOUT):
            await origin.wait_requested("/slow", times=2)
        release.set()
        assert (await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)).state is State.COMPLETED
        assert (len(origin.requests("/slow")), len(origin.requests("/gone"))) == (2, 1)


async def test_a_run_that_waits_for_a_low_speed_limit_is_not_aborted(
    memory_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloadd.manager.stall_detection.STALL_MARGIN_SECONDS", 0.2)
    monkeypatch.setattr("downloadd.manager.stall_monitor.STALL_CHECK_SECONDS", 0.05)
    origin.script("/f", ScriptedResponse(size=3000))
    # Each portion of the limiter takes a second.
    async with open_stack(memory_path, replace(ONE_SLOT, speed_limit=1024)) as stack:
        started = await stack.manager.start([DownloadRequest(url=origin.url("/f"), directory="d")], user="u")
        assert (await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)).state is State.COMPLETED


def test_a_run_that_makes_progress_is_not_aborted() -> None:
    begun = Activity(state=State.DOWNLOADING, received_bytes=0, request_count=1, since=0)

    def observed(
        state: State = State.DOWNLOADING, received_bytes: int = 0, request_count: int = 1, *, waits: bool = False
    ) -> Activity:
        return observe(
            begun, state=state, received_bytes=received_bytes, request_count=request_count, waits=waits, now=5
        )

    assert observed() is begun
    assert observed(received_bytes=1).since == 5
    assert observed(request_count=2).since == 5
    assert observed(state=State.VERIFYING).since == 5
    assert observed(waits=True).since == 5


@pytest.mark.parametrize(
    ("state", "stall_timeout", "after"),
    [
        (State.STARTING, 10.0, 10 + STALL_MARGIN_SECONDS),
        (State.DOWNLOADING, 10.0, 10 + STALL_MARGIN_SECONDS),
        (State.VERIFYING, 10.0, 10 + STALL_MARGIN_SECONDS + 100),
        (State.DOWNLOADING, 0.0, None),
    ],
)
def test_a_run_is_aborted_later_than_by_every_other_limit(
    state: State, stall_timeout: float, after: float | None
) -> None:
    last = Activity(state=state, received_bytes=0, request_count=0, since=0)

    def stalled(now: float) -> bool:
        return is_stalled(last, size=100 * MIN_DISK_BYTES_PER_SECOND, wait_limit=stall_timeout, now=now)

    if after is None:
        assert not stalled(1e9)
    else:
        assert not stalled(after)
        assert stalled(after + 1)
