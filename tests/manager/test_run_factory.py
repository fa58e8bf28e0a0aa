"""Construction of runs."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.manager_stack import CONFIG, open_stack
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download_request import DownloadRequest
from downloadd.errors import ErrorCode
from downloadd.manager.run_factory import MAX_WRITES_PER_SECOND, MIN_FLUSH_SECONDS
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.states import State
from downloadd.transfer.speed_floor import SpeedPolicy


async def test_a_new_configuration_holds_for_runs_that_are_made_afterwards(tmp_path: Path) -> None:
    async with Origin() as origin, open_stack(tmp_path) as stack:
        origin.script("/a", ScriptedResponse(size=5000))

        async def run() -> tuple[State, ErrorCode | None, str | None]:
            request = DownloadRequest(url=origin.url("/a"), directory="d")
            started = await stack.manager.start([request], user="ann")
            ended = await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)
            return ended.state, ended.result.error, ended.result.checksum

        assert await run() == (State.COMPLETED, None, None)
        for config, expected in (
            (replace(CONFIG, max_size=1000), (State.FAILED, ErrorCode.FILE_TOO_LARGE)),
            (replace(CONFIG, record_checksum=True), (State.COMPLETED, None)),
        ):
            stack.manager.configure(policy=Policy.from_config(config), directories=DirectoryRules(), config=config)
            state, error, checksum = await run()
            assert (state, error) == expected
            assert (checksum is not None) is (state is State.COMPLETED)


async def test_the_shared_speed_limit_holds_for_a_run_that_is_under_way(tmp_path: Path) -> None:
    limit = 20_000
    config = replace(CONFIG, speed_limit=limit)
    async with Origin() as origin, open_stack(tmp_path, config) as stack:
        origin.script("/a", ScriptedResponse(size=1_000_000))
        request = DownloadRequest(url=origin.url("/a"), directory="d")
        started = await stack.manager.start([request], user="ann")
        assert (await stack.manager.wait(started.downloads[0].id, 0.3)).state is not State.COMPLETED
        stack.manager.configure(policy=Policy.from_config(CONFIG), directories=DirectoryRules(), config=CONFIG)
        # Under the old limit this would take 50 s.
        assert (await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)).state is State.COMPLETED


SHORT_WINDOW = SpeedPolicy(window_seconds=0.4, check_seconds=0.05)


@pytest.mark.parametrize(("size", "segments"), [(200_000, 1), (4 << 20, 1), (4 << 20, 2)], ids=["read", "moved", "two"])
async def test_an_attempt_below_the_least_speed_ends_and_the_next_one_continues(
    tmp_path: Path, size: int, segments: int
) -> None:
    async with Origin() as origin, open_stack(tmp_path, speed_policy=SHORT_WINDOW) as stack:
        slow = ScriptedResponse(size=size, etag='"v"', rate=40_000)
        origin.script("/a", slow)
        request = DownloadRequest(url=origin.url("/a"), directory="d", min_speed=400_000, segments=segments)
        [download] = (await stack.manager.start([request], user="ann")).downloads

        async def has_failed() -> bool:
            detail = (await stack.manager.get(download.id)).download.result.detail
            return detail is not None and "less than 400000 bytes a second" in detail

        await wait_until(has_failed)
        origin.script("/a", ScriptedResponse(size=size, etag='"v"'))
        ended = await stack.manager.wait(download.id, CONDITION_TIMEOUT)
        assert ended.state is State.COMPLETED
        assert origin.requests("/a")[-1].field("Range") is not None, "the bytes of the slow attempt are kept"
        assert (stack.root / ended.file_path).read_bytes() == expected_bytes(0, 0, size)


async def test_an_attempt_that_the_limits_of_the_daemon_make_slow_goes_on(tmp_path: Path) -> None:
    async with (
        Origin() as origin,
        open_stack(tmp_path, replace(CONFIG, speed_limit=50_000, max_retries=0), speed_policy=SHORT_WINDOW) as stack,
    ):
        origin.script("/a", ScriptedResponse(size=100_000))
        request = DownloadRequest(url=origin.url("/a"), directory="d", min_speed=400_000, max_retries=0)
        started = await stack.manager.start([request], user="ann")
        ended = await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)
        assert (ended.state, ended.progress.attempt) == (State.COMPLETED, 1)


@pytest.mark.parametrize("segments", [1, 2])
async def test_a_limit_of_the_daemon_never_times_a_download_out(tmp_path: Path, segments: int) -> None:
    async with Origin() as origin, open_stack(tmp_path, replace(CONFIG, speed_limit=60_000)) as stack:
        origin.script("/a", ScriptedResponse(size=100_000, etag='"v"'))
        request = DownloadRequest(url=origin.url("/a"), directory="d", timeout=1, segments=segments)
        loop = asyncio.get_running_loop()
        began = loop.time()
        started = await stack.manager.start([request], user="ann")
        ended = await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)
        assert (ended.state, loop.time() - began > 1) == (State.COMPLETED, True)


async def test_many_runs_flush_less_often(tmp_path: Path) -> None:
    async with open_stack(tmp_path) as stack:
        factory = stack.runner._factory
        assert factory._flush_interval() == MIN_FLUSH_SECONDS
        stack.runs._runs = dict.fromkeys(map(str, range(10 * MAX_WRITES_PER_SECOND)))  # type: ignore[assignment]
        assert factory._flush_interval() == 10
        stack.runs._runs = {}


async def test_cookies_are_kept_for_the_next_run_of_a_download_until_its_end(tmp_path: Path) -> None:
    async with Origin() as origin, open_stack(tmp_path, replace(CONFIG, max_retries=3)) as stack:
        whole = ScriptedResponse(size=5000, etag='"v"', headers=[("Set-Cookie", "visit=1")])
        origin.script("/a", [replace(whole, cut_after=1000), whole])
        for _ in range(2):
            started = await stack.manager.start([DownloadRequest(url=origin.url("/a"), directory="d")], user="ann")
            assert (await stack.manager.wait(started.downloads[0].id, CONDITION_TIMEOUT)).state is State.COMPLETED
            assert stack.runner._factory._cookies == {}
        assert [request.field("Cookie") for request in origin.requests("/a")] == [None, "visit=1", None]
