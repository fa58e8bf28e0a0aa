"""Window of a shared queue."""

from downloadd.manager.limits import Limits
from downloadd.manager.queue_window import MAX_PER_ROUTE, MIN_PER_ROUTE, QueueWindow
from downloadd.manager.scheduler import Scheduler
from downloadd.records.admission import FIRST_ROUTE, Backlog, Route
from downloadd.records.protocol import WaitingDownload

A, B, CDN = "https://a.example", "https://b.example", "https://cdn.example.net"


def make_window(max_per_host: int = 2) -> tuple[QueueWindow, Scheduler]:
    scheduler = Scheduler(Limits(max_concurrent=3, max_per_host=max_per_host))
    return QueueWindow(scheduler), scheduler


def waiting(*seqs: int, origin: str = A, target: str | None = None) -> list[WaitingDownload]:
    return [WaitingDownload(seq=seq, origin=origin, priority=0, target=target) for seq in seqs]


def backlog(ready: list[WaitingDownload], next_route: Route = FIRST_ROUTE) -> Backlog:
    return Backlog(ready=ready, next_route=next_route, next_due=None, used={}, origins=())


def test_the_scheduler_has_what_was_read_last() -> None:
    window, scheduler = make_window()
    window.replace(backlog(waiting(1, 2, 3)), targets={})
    window.replace(backlog(waiting(2, 4)), targets={})
    assert scheduler.waiting == 2
    picked = scheduler.select_ready(0.0)
    assert picked == [2, 4]
    window.take(picked)
    # One that runs here still is not added, and one that is held back or removed neither.
    window.replace(backlog(waiting(2, 5, 6, 7)), without={5}, targets={})
    window.remove(6)
    window.remove(99)
    assert [scheduler.route(seq) for seq in (2, 5, 6, 7)] == [None, None, None, (A, "", "")]


def test_a_target_that_is_not_recorded_yet_counts() -> None:
    window, scheduler = make_window()
    window.replace(backlog(waiting(1)), targets={1: CDN})
    assert scheduler.route(1) == (A, CDN, "")


def test_it_is_read_again_before_a_route_has_no_more() -> None:
    window, _ = make_window()
    request = window.next_request((7,))
    assert (request.after, request.per_route, list(request.held)) == (FIRST_ROUTE, MIN_PER_ROUTE, [7])
    window.replace(backlog(waiting(*range(1, MIN_PER_ROUTE + 1))), targets={})
    assert (window.is_short,) == (False,)
    window.take(range(1, MIN_PER_ROUTE // 2 + 1))
    assert (window.is_short,) == (True,)
    window.replace(backlog(waiting(1)), targets={})
    assert (window.is_short,) == (False,)


def test_further_routes_are_read_next() -> None:
    window, _ = make_window(100)
    window.replace(backlog(waiting(1), next_route=(B, "", "u")), targets={})
    assert (window.is_short,) == (True,)
    request = window.next_request(())
    assert (request.after, request.per_route) == ((B, "", "u"), MAX_PER_ROUTE)


def test_users_without_slots_are_left_out_while_there_are_more_routes_than_are_read() -> None:
    scheduler = Scheduler(Limits(max_concurrent=3, max_per_host=2, runs_by_user={"ann": 1}))
    window = QueueWindow(scheduler)
    ready = [WaitingDownload(seq=1, origin=A, priority=0, user="ann")]
    window.replace(backlog(ready, next_route=(A, "", "ann")), targets={})
    assert (window.next_request(()).full_users, window.is_outdated) == ([], False)
    window.take(scheduler.select_ready(0.0))
    assert (window.is_outdated,) == (True,)
    assert (window.next_request(()).full_users, window.is_outdated) == (["ann"], False)
    window.replace(backlog([]), targets={})
    scheduler.finish(1)
    # Then the downloads of this user are read before the next poll.
    assert (window.is_outdated, window.is_short) == (True, True)
    assert (window.next_request(()).full_users, window.is_outdated) == ([], False)
