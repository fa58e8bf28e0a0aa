"""Limits that are changed while downloads run: manager with real parts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download_request import DownloadRequest
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.policy import Policy
from downloadd.runtime_settings import RuntimeSettings
from downloadd.states import State

SMALL = RuntimeSettings(max_concurrent=2, max_per_host=2, speed_limit=0)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        yield origin


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    config = replace(CONFIG, max_concurrent=SMALL.max_concurrent, max_per_host=SMALL.max_per_host)
    async with open_stack(tmp_path, config) as stack:
        yield stack


async def start(stack: ManagerStack, *urls: str) -> list[str]:
    requests = [DownloadRequest(url=url, directory="d") for url in urls]
    return [one.id for one in (await stack.manager.start(requests, user="ann")).downloads]


def test_the_configured_limits_hold_first(stack: ManagerStack) -> None:
    assert stack.limits.settings == SMALL


async def test_more_downloads_start_at_once_when_the_limits_are_raised(stack: ManagerStack, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=10, body_event=asyncio.Event()))
    await start(stack, *[origin.url("/f")] * 6)
    await wait_until(lambda: origin.active("/f") == 2)
    stack.limits.change(replace(SMALL, max_concurrent=5))
    assert stack.limits.settings == replace(SMALL, max_concurrent=5)
    # The host has its own limit.
    assert len(stack.runs) == 2
    stack.limits.change(replace(SMALL, max_concurrent=5, max_per_host=4))
    await wait_until(lambda: origin.active("/f") == 4)
    stack.limits.change(replace(SMALL, max_concurrent=5, max_per_host=100))
    await wait_until(lambda: origin.active("/f") == 5)
    assert (len(stack.runs), stack.dispatcher.queue._scheduler.waiting) == (5, 1)


@pytest.mark.parametrize("lowered", [{"max_concurrent": 1}, {"max_per_host": 1}])
async def test_a_lowered_limit_stops_nothing_and_holds_for_what_starts_next(
    stack: ManagerStack, origin: Origin, lowered: dict[str, int]
) -> None:
    releases = [asyncio.Event() for _ in range(4)]
    for number, release in enumerate(releases):
        origin.script(f"/{number}", ScriptedResponse(size=10, body_event=release))
    ids = await start(stack, *(origin.url(f"/{number}") for number in range(4)))
    await wait_until(lambda: origin.active("/0") == origin.active("/1") == 1)
    stack.limits.change(replace(SMALL, **lowered))
    assert len(stack.runs) == 2
    releases[0].set()
    assert (await stack.manager.wait(ids[0], CONDITION_TIMEOUT)).state is State.COMPLETED
    # One still runs, and one may.
    assert (len(stack.runs), stack.dispatcher.queue._scheduler.waiting) == (1, 2)
    for number in (1, 2, 3):
        releases[number].set()
        assert (await stack.manager.wait(ids[number], CONDITION_TIMEOUT)).state is State.COMPLETED
    assert [len(origin.requests(f"/{number}")) for number in range(4)] == [1] * 4


async def test_a_changed_speed_limit_slows_and_speeds_up_downloads_that_run(
    stack: ManagerStack, origin: Origin
) -> None:
    # It takes seconds without a limit, and minutes with the one that follows.
    origin.script("/f", ScriptedResponse(size=8_000_000, rate=2_000_000))
    [id] = await start(stack, origin.url("/f"))
    limit = 50_000
    active = await wait_until(lambda: stack.runs.get(id))
    await wait_until(lambda: active.run.received_bytes > 0)
    stack.limits.change(replace(SMALL, speed_limit=limit))
    assert stack.limits.settings.speed_limit == limit
    # A read that began without a limit has ended then.
    await wait_until(lambda: active.limiter.is_waiting)
    loop = asyncio.get_running_loop()
    before, since = active.run.received_bytes, loop.time()
    await wait_until(lambda: active.run.received_bytes > before + limit)
    assert loop.time() - since > 0.5
    stack.limits.change(SMALL)
    assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED


async def test_a_new_configuration_replaces_changed_limits(stack: ManagerStack) -> None:
    stack.limits.change(RuntimeSettings(max_concurrent=7, max_per_host=7, speed_limit=7))
    stack.manager.configure(policy=Policy.from_config(CONFIG), directories=DirectoryRules(), config=CONFIG)
    assert stack.limits.settings == RuntimeSettings(
        max_concurrent=CONFIG.max_concurrent, max_per_host=CONFIG.max_per_host, speed_limit=CONFIG.speed_limit
    )


async def test_slots_of_a_host_of_their_own_stay(stack: ManagerStack) -> None:
    dispatcher = stack.dispatcher
    dispatcher.queue.change_limits(replace(dispatcher.queue.limits, slots_by_host={"slow.example": 1}))
    stack.limits.change(replace(SMALL, max_per_host=9))
    assert dispatcher.queue.limits.slots_of("http://slow.example:80") == 1
    assert dispatcher.queue.limits.slots_of("http://other.example:80") == 9
