"""Contract of a `Dispatcher`, for each implementation."""

from collections.abc import Sequence

import pytest
from support.clocks import ManualClock
from support.protocol_methods import differences
from support.virtual_time import in_virtual_time
from support.waiting import wait_until

from downloadd.manager.dispatcher import Dispatcher
from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.tasks import TaskSet
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry
from downloadd.states import WaitReason


@pytest.fixture
def dispatcher() -> Dispatcher:
    return LocalDispatcher(Limits(max_concurrent=2, max_per_host=2), ManualClock())


def waiting(seq: int) -> WaitingDownload:
    return WaitingDownload(seq=seq, origin="http://a", priority=0)


def test_an_implementation_has_the_methods_of_the_interface() -> None:
    assert list(differences(Dispatcher, LocalDispatcher)) == []


def test_a_queue_counts_its_downloads_by_reason(dispatcher: Dispatcher) -> None:
    dispatcher.enqueue([waiting(1), waiting(2), waiting(2)])
    dispatcher.set_suspension("no disk")
    assert dispatcher.waiting == 2
    assert dispatcher.wait_reasons()[WaitReason.STORAGE_UNAVAILABLE] == 2
    assert dispatcher.describe_wait("http://a", None, seq=1) == "no disk"
    dispatcher.dequeue(1)
    dispatcher.dequeue(9)
    assert dispatcher.waiting == 1


def test_slots_of_an_origin_are_acquired_up_to_its_limit(dispatcher: Dispatcher) -> None:
    assert [dispatcher.acquire("http://a", 2), dispatcher.acquire("http://a", 1)] == [2, 0]
    dispatcher.release("http://a", 1)
    assert dispatcher.acquire("http://a", 5) == 1
    dispatcher.change_limits(Limits(max_concurrent=2, max_per_host=3))
    assert (dispatcher.limits.max_per_host, dispatcher.acquire("http://a", 5)) == (3, 1)


@in_virtual_time
async def test_downloads_start_in_their_order_and_the_next_one_when_one_ends(dispatcher: Dispatcher) -> None:
    started: list[int] = []

    async def start(seqs: Sequence[int]) -> None:
        started.extend(seqs)

    dispatcher.enqueue([waiting(seq) for seq in (1, 2, 3)])
    dispatcher.reorder([QueueEntry(3, 0, 0.5), QueueEntry(99, 0)])
    tasks = TaskSet()
    tasks.spawn(dispatcher.dispatch(start))
    await wait_until(lambda: started == [3, 1])
    dispatcher.finish(3)
    await wait_until(lambda: started == [3, 1, 2])
    await tasks.cancel()
