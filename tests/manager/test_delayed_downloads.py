"""Downloads that wait for a time."""

import pytest

from downloadd.manager.delayed_downloads import DelayedDownloads
from downloadd.manager.waiting_queues import QueueKey, Route

ROUTE: Route = ("a", "cdn", "u")


def key(seq: int, *, priority: int = 0) -> QueueKey:
    return (-priority, seq, seq, ROUTE)


@pytest.fixture
def delayed() -> DelayedDownloads:
    downloads = DelayedDownloads()
    downloads.add(key(1), 10)
    downloads.add(key(2), 5)
    return downloads


def test_downloads_are_due_at_their_time_in_its_order(delayed: DelayedDownloads) -> None:
    assert (len(delayed), delayed.next_due()) == (2, 5)
    assert list(delayed.pop_due(4)) == []
    assert list(delayed.pop_due(10)) == [key(2), key(1)]
    assert (len(delayed), delayed.next_due()) == (0, None)


def test_a_download_that_is_added_again_has_its_last_key_and_time_only(delayed: DelayedDownloads) -> None:
    delayed.add(key(2, priority=3), 20)
    assert len(delayed) == 2
    assert list(delayed.pop_due(19)) == [key(1)]
    assert list(delayed.pop_due(20)) == [key(2, priority=3)]


def test_a_moved_download_is_due_at_the_same_time(delayed: DelayedDownloads) -> None:
    assert delayed.reorder(1, 2, 0.5)
    assert not delayed.reorder(3, 0, 0)
    assert (len(delayed), list(delayed.pop_due(9))) == (2, [key(2)])
    assert list(delayed.pop_due(10)) == [(-2, 0.5, 1, ROUTE)]


def test_a_discarded_download_is_never_due(delayed: DelayedDownloads) -> None:
    assert delayed.discard(1)
    assert not delayed.discard(1)
    assert list(delayed.pop_due(99)) == [key(2)]


def test_the_route_of_a_download_is_known_while_it_waits(delayed: DelayedDownloads) -> None:
    assert delayed.route(1) == ROUTE
    assert delayed.route(3) is None
