"""Callers that wait for a download."""

from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.manager.waiters import Waiters
from downloadd.states import State

ROW = sample_download(1, state=State.COMPLETED)


async def test_only_the_waiters_of_the_download_are_woken_and_once() -> None:
    waiters = Waiters()
    first, second = waiters.add(ROW.id), waiters.add(ROW.id)
    other = waiters.add(sample_download(2).id)
    waiters.notify(ROW)
    assert (await first, await second, other.done()) == (ROW, ROW, False)
    # There are no waiters any more.
    waiters.notify(with_fields(ROW, state=State.FAILED))
    assert (first.result(), len(waiters)) == (ROW, 1)


async def test_a_removed_or_cancelled_waiter_is_not_woken() -> None:
    waiters = Waiters()
    removed, cancelled, kept = (waiters.add(ROW.id) for _ in range(3))
    waiters.remove(ROW.id, removed)
    cancelled.cancel()
    waiters.notify(ROW)
    assert (removed.done(), cancelled.cancelled(), kept.done()) == (False, True, True)
    waiters.remove(ROW.id, removed)
    assert len(waiters) == 0
