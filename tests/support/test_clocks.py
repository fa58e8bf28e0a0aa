"""Clocks, waits and stopwatches of the tests."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.clocks import NOW, JumpingClock, ManualClock
from support.stopwatch import Stopwatch
from support.virtual_time import in_virtual_time
from support.waiting import wait_until, wait_until_true


def test_a_manual_clock_moves_only_when_it_is_set() -> None:
    clock = ManualClock()
    assert (clock.wall(), clock.monotonic()) == (NOW, NOW)
    clock.now += 5
    assert (clock.wall(), clock.monotonic()) == (NOW + 5, NOW + 5)


def test_a_jump_changes_the_wall_clock_alone() -> None:
    clock = JumpingClock()
    clock.jump = 86_400
    assert clock.wall() - time.time() > 80_000
    assert abs(clock.monotonic() - time.monotonic()) < 80_000


@in_virtual_time
async def test_an_hour_of_virtual_time_takes_no_time_and_is_exact() -> None:
    loop, start = asyncio.get_running_loop(), time.monotonic()
    await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(1800))
    assert loop.time() == pytest.approx(3600, abs=1e-3)
    assert time.monotonic() - start < 60


@in_virtual_time
async def test_a_timeout_comes_at_its_virtual_second() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asyncio.Event().wait()
    assert loop.time() == pytest.approx(5, abs=1e-3)


@in_virtual_time
async def test_sockets_work_in_virtual_time() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello")
        assert await reader.read(100) == b"hello"
        writer.close()
        await writer.wait_closed()


async def test_waits_return_what_the_condition_returns() -> None:
    answers = iter([0, 0, 7])
    assert await wait_until(lambda: next(answers), every=0) == 7

    async def condition() -> str:
        return "yes"

    assert await wait_until(condition) == "yes"
    assert wait_until_true(lambda: 3) == 3


async def test_waiting_for_a_condition_that_never_holds_fails() -> None:
    with pytest.raises(AssertionError, match="not within 0 s"):
        await wait_until(lambda: False, seconds=0, every=0)
    with pytest.raises(AssertionError, match="not within 0 s"):
        wait_until_true(lambda: False, seconds=0, every=0)


def test_a_stopwatch_counts_the_time_of_waits() -> None:
    watch = Stopwatch()
    wait_until_true(lambda: watch.seconds > 0.1)
    assert watch.seconds <= watch.elapsed


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel does not count the delays")
def test_a_stopwatch_does_not_count_the_time_without_a_cpu() -> None:
    """Three processes share one CPU: each waits for two thirds of the time."""
    pin = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
    busy = f"{pin} print(flush=True)\nwhile True: pass"
    processes = [subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE) for _ in range(3)]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        watch = Stopwatch(processes[0].pid)
        wait_until_true(lambda: watch.elapsed - watch.seconds > 0.2)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
