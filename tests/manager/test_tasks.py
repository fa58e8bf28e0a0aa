"""Tasks that have an owner."""

import asyncio

from structlog.testing import capture_logs
from support.waiting import CONDITION_TIMEOUT

from downloadd.manager.tasks import TaskSet


async def test_a_task_is_kept_until_it_ends() -> None:
    tasks, release = TaskSet(), asyncio.Event()

    async def work() -> None:
        await release.wait()

    tasks.spawn(work())
    assert len(list(tasks)) == 1
    release.set()
    await tasks.wait(5)
    await asyncio.sleep(0)
    assert list(tasks) == []


async def test_waiting_ends_at_the_time_limit_and_leaves_the_task_running() -> None:
    tasks = TaskSet()
    tasks.spawn(asyncio.sleep(3600))
    await tasks.wait(0.01)
    [task] = tasks
    assert not task.done()
    await tasks.cancel()
    assert task.cancelled()


async def test_waiting_for_no_tasks_returns_at_once() -> None:
    async with asyncio.timeout(CONDITION_TIMEOUT):
        await TaskSet().wait(3600)
        await TaskSet().cancel()


async def test_a_cancel_waits_until_the_task_has_cleaned_up() -> None:
    tasks, cleaned = TaskSet(), []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    tasks.spawn(work())
    await asyncio.sleep(0)
    await tasks.cancel()
    assert cleaned == [True]


async def test_a_failure_is_logged_and_a_cancel_is_not() -> None:
    tasks = TaskSet()

    async def fail() -> None:
        raise ValueError("broken")

    with capture_logs() as lines:
        tasks.spawn(fail())
        await tasks.wait(5)
        tasks.spawn(asyncio.sleep(3600))
        await tasks.cancel()
    assert [(line["event"], str(line["exc_info"])) for line in lines] == [("task_failed", "broken")]
