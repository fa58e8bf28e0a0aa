"""Queues of waiting downloads by route."""

import pytest

from downloadd.manager.waiting_queues import QueueKey, Route, WaitingQueue, WaitingQueues, seq_of

DIRECT: Route = ("a", "", "u")
LED: Route = ("a", "cdn", "u")


def key(seq: int, route: Route = DIRECT, *, priority: int = 0) -> QueueKey:
    return (-priority, seq, seq, route)


def drain(queues: WaitingQueues) -> list[int]:
    """Return the downloads in the order in which their queues offer them."""
    order = []
    while (queue := queues.pop_offered()) is not None:
        seq = seq_of(queues.head(queue))
        order.append(seq)
        queues.discard(seq)
        if queue.count:
            queues.offer(queue)
    return order


def filled(*keys: QueueKey) -> WaitingQueues:
    queues = WaitingQueues()
    for each in keys:
        queues.push(each)
    return queues


def test_downloads_are_offered_in_order_over_all_queues() -> None:
    queues = filled(key(4), key(2, LED), key(3, priority=1), key(1, ("b", "", "u")))
    assert (len(queues), queues.route(2), queues.route(9)) == (4, LED, None)
    assert drain(queues) == [3, 1, 2, 4]
    assert (len(queues), list(queues)) == (0, [])


def test_a_withdrawn_download_is_not_offered() -> None:
    queues = filled(key(1), key(2), key(3, LED))
    assert (queues.discard(1), queues.discard(3), queues.discard(3)) == (DIRECT, LED, None)
    assert queues.get(LED) is None
    assert drain(queues) == [2]


def test_a_download_is_offered_at_its_new_place() -> None:
    queues = filled(key(1), key(2), key(3), key(4, LED))
    assert queues.reorder(4, 0, 0.5)
    assert queues.reorder(1, 0, 2.5)
    assert queues.reorder(3, 1, 99)
    assert not queues.reorder(9, 0, 0)
    assert len(queues) == 4
    assert drain(queues) == [3, 4, 2, 1]


def test_a_blocked_queue_is_offered_by_a_download_that_was_moved_to_its_head() -> None:
    queues = filled(key(1), key(2))
    queue = queues.pop_offered()
    assert queue is not None
    queues.block(queue, "a")
    queues.reorder(1, 0, 1.5)
    assert queues.pop_offered() is None
    queues.reorder(2, 0, 0.5)
    assert drain(queues) == [2, 1]


def test_a_blocked_queue_is_offered_when_it_is_unblocked() -> None:
    queues = filled(key(1), key(2, LED))
    for _ in range(2):
        queue = queues.pop_offered()
        assert queue is not None
        queues.block(queue, "cdn")
    assert (queues.pop_offered(), list(queues.blockers)) == (None, ["cdn"])
    queues.unblock("elsewhere", 9)
    queues.unblock("cdn", 0)
    assert queues.pop_offered() is None
    queues.unblock("cdn", 1)
    assert drain(queues) == [1]
    queues.unblock("cdn", 1)
    assert drain(queues) == [2]
    assert list(queues.blockers) == []


def test_a_blocked_queue_is_offered_with_a_new_first_download_and_forgotten_without_any() -> None:
    queues = filled(key(2))
    queue = queues.pop_offered()
    assert queue is not None
    queues.block(queue, "a")
    queues.push(key(3))
    assert queues.pop_offered() is None
    queues.push(key(1))
    offered = queues.pop_offered()
    assert offered is queue
    queues.block(queue, "a")
    for seq in (1, 2, 3):
        queues.discard(seq)
    assert (list(queues.blockers), list(queues)) == ([], [])


def test_the_turns_of_a_queue_with_a_target_are_kept_in_the_order_of_addition() -> None:
    queues = filled(key(1, LED), key(2, LED), key(3))
    led, direct = queues.get(LED), queues.get(DIRECT)
    assert led is not None
    assert direct is not None
    queues.discard(1)
    queues.push(key(1, LED))
    assert (list(led.turns), list(direct.turns)) == ([2, 1], [])


def block_all(queues: WaitingQueues, name: str) -> None:
    while (queue := queues.pop_offered()) is not None:
        queues.block(queue, name)


def test_the_first_of_the_queues_that_have_changed_while_they_were_blocked_is_offered() -> None:
    queues = filled(key(1), key(6), key(2, ("b", "", "u")), key(3, ("c", "", "u")), key(4, ("d", "", "u")))
    block_all(queues, "x")
    # One has another head, one is gone, and one is blocked elsewhere.
    queues.discard(1)
    queues.discard(2)
    queue = queues.get(("c", "", "u"))
    assert queue is not None
    queues.block(queue, "y")
    queues.unblock("x", 1)
    assert drain(queues) == [4]
    queues.unblock("x", 9)
    assert (drain(queues), list(queues.blockers)) == ([6], ["y"])
    queues.unblock("y", 1)
    assert drain(queues) == [3]


def test_a_free_slot_costs_as_much_however_many_queues_are_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = filled(*(key(seq, (str(seq), "", "u")) for seq in range(1, 1001)))
    block_all(queues, "user:u")
    heads = 0
    head = WaitingQueues.head

    def count(self: WaitingQueues, queue: WaitingQueue) -> QueueKey:
        nonlocal heads
        heads += 1
        return head(self, queue)

    monkeypatch.setattr(WaitingQueues, "head", count)
    for _ in range(100):
        queues.unblock("user:u", 1)
        block_all(queues, "user:u")
    assert heads < 1000
