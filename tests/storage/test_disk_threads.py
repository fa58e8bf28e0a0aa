import asyncio
import errno
import threading
from typing import NoReturn

import pytest
from support.waiting import CONDITION_TIMEOUT

from downloadd.errors import InsufficientStorageError, StorageAwayError, StorageError
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools


class Job:
    """Work that waits until it may end."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_finish = threading.Event()
        self.done = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_finish.wait(10)
        self.done.set()
        return threading.current_thread().name


async def test_work_runs_in_a_thread_of_its_pool() -> None:
    threads = DiskThreadPools()
    for pool in DiskPool:
        job = Job()
        job.may_finish.set()
        assert pool.name.lower() in await threads.run(pool, "", job)
    await threads.close()


async def test_an_error_of_the_system_is_mapped_and_kept_as_the_cause() -> None:
    threads = DiskThreadPools()

    def refuse(number: int) -> NoReturn:
        raise OSError(number, "full")

    with pytest.raises(InsufficientStorageError, match="a/b: full") as refused:
        await threads.run(DiskPool.CALLS, "a/b", refuse, errno.ENOSPC)
    assert isinstance(refused.value.__cause__, OSError)
    await threads.close()


@pytest.mark.parametrize("is_away", [True, False])
@pytest.mark.parametrize(
    ("number", "is_tried"),
    [(errno.EIO, True), (errno.EROFS, True), (errno.EACCES, True), (errno.ENOSPC, False), (errno.ENOENT, False)],
    ids=lambda value: errno.errorcode[value] if not isinstance(value, bool) else "",
)
async def test_an_error_that_may_concern_the_whole_storage_is_followed_by_a_trial(
    number: int, is_tried: bool, is_away: bool
) -> None:
    trials: list[str] = []

    def try_storage() -> None:
        trials.append(threading.current_thread().name)
        if is_away:
            raise StorageAwayError("takes no writes")

    def refuse() -> NoReturn:
        raise OSError(number, "refused")

    threads = DiskThreadPools(try_storage)
    with pytest.raises((StorageError, InsufficientStorageError)) as refused:
        await threads.run(DiskPool.SYNCS, "a/b", refuse)
    assert [name.partition("_")[0] for name in trials] == (["disk-calls"] if is_tried else [])
    assert isinstance(refused.value, StorageAwayError) is (is_tried and is_away)
    assert refused.value.detail == ("takes no writes" if is_tried and is_away else "a/b: refused")
    assert isinstance(refused.value.__cause__, OSError)
    await threads.close()


async def test_one_pool_does_not_delay_another() -> None:
    threads = DiskThreadPools()
    hanging = [Job() for _ in range(20)]
    async with asyncio.TaskGroup() as tasks:
        for job in hanging:
            tasks.create_task(threads.run(DiskPool.DIGESTS, "", job))
        async with asyncio.timeout(CONDITION_TIMEOUT):
            assert await threads.run(DiskPool.CALLS, "", lambda: 7) == 7
        for job in hanging:
            job.may_finish.set()
    await threads.close()


@pytest.mark.parametrize("to_end", [False, True])
async def test_of_work_cancelled_before_its_start_only_shielded_work_is_done(to_end: bool) -> None:
    threads = DiskThreadPools()
    blockers = [Job() for _ in range(4)]
    blocking = [asyncio.create_task(threads.run(DiskPool.DIGESTS, "", job)) for job in blockers]
    for job in blockers:
        assert await asyncio.to_thread(job.begun.wait, 10)
    late = Job()
    late.may_finish.set()
    run = threads.run_shielded if to_end else threads.run
    task = asyncio.create_task(run(DiskPool.DIGESTS, "", late))
    # One turn to start the task, one for the task that a shield makes.
    for _ in range(2):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for job in blockers:
        job.may_finish.set()
    await asyncio.gather(*blocking)
    await threads.close()
    assert late.done.is_set() is to_end


async def test_closing_waits_for_work_whose_caller_was_cancelled() -> None:
    threads = DiskThreadPools()
    job = Job()
    task = asyncio.create_task(threads.run(DiskPool.SYNCS, "", job))
    assert await asyncio.to_thread(job.begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    closing = asyncio.create_task(threads.close())
    await asyncio.wait([closing], timeout=0.05)
    assert not closing.done()
    job.may_finish.set()
    await closing
    assert job.done.is_set()
