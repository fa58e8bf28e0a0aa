"""Assembly of the manager: its parts share the same queue, limits and rows."""

import asyncio
from pathlib import Path

from msgspec.structs import replace
from support.manager_stack import CONFIG, open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

from downloadd.download_request import DownloadRequest
from downloadd.runtime_settings import RuntimeSettings
from downloadd.states import State

SETTINGS = RuntimeSettings(max_concurrent=3, max_per_host=2, speed_limit=7000)


async def test_the_parts_have_the_limits_of_the_configuration_and_change_them_together(tmp_path: Path) -> None:
    config = replace(CONFIG, max_concurrent=5, max_per_host=4, speed_limit=9000)
    async with open_stack(tmp_path, config) as stack:
        assert stack.limits.settings == RuntimeSettings(max_concurrent=5, max_per_host=4, speed_limit=9000)
        assert (stack.dispatcher.queue.limits.max_concurrent, stack.dispatcher.queue.limits.max_per_host) == (5, 4)
        stack.limits.change(SETTINGS)
        assert (stack.dispatcher.queue.limits.max_concurrent, stack.dispatcher.queue.limits.max_per_host) == (3, 2)
        assert stack.runner._factory._speed_limit.limit == 7000


async def test_a_download_that_runs_is_known_to_all_parts(tmp_path: Path, origin: Origin) -> None:
    release = asyncio.Event()
    origin.script("/f", ScriptedResponse(size=10, head_event=release))
    async with open_stack(tmp_path, replace(CONFIG, max_concurrent=1)) as stack:
        requests = [DownloadRequest(url=origin.url("/f"), directory="d") for _ in range(2)]
        first, second = (await stack.manager.start(requests, user="ann")).downloads
        await wait_until(lambda: stack.runs.get(first.id))
        assert await stack.dispatcher.queue.count_waiting() == 1
        assert await stack.queue.pause_all(lambda directory: True) == 2
        counts = await stack.manager.counts()
        assert counts[State.PAUSED] == 2
        assert [each.download.id for each in await stack.queue.page(0, 9)] == [first.id, second.id]
        release.set()


async def test_without_a_time_for_parts_no_failed_download_keeps_its_part(tmp_path: Path) -> None:
    for seconds, keeps in ((0.0, False), (60.0, True)):
        async with open_stack(tmp_path / str(seconds), keep_parts=seconds) as stack:
            assert stack.runner._factory._keeps_parts is keeps
