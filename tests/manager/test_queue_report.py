"""Reports on the queue."""

import pytest

from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import FailureKind, OriginFailure
from downloadd.manager.queue_report import (
    OriginList,
    OriginState,
    count_wait_reasons,
    describe_wait,
    explain_wait,
    list_origins,
    measure_origins,
)
from downloadd.manager.scheduler import Scheduler
from downloadd.metrics import OriginUsage
from downloadd.records.protocol import WaitingDownload
from downloadd.states import WaitReason


def scheduler(max_concurrent: int = 100, max_per_host: int = 100) -> Scheduler:
    return Scheduler(Limits(max_concurrent=max_concurrent, max_per_host=max_per_host))


def waiting(seq: int, origin: str = "a", not_before: float | None = None) -> WaitingDownload:
    return WaitingDownload(seq=seq, origin=origin, priority=0, not_before=not_before)


def fail(
    queue: Scheduler, origin: str, *, kind: FailureKind = FailureKind.BUSY, retry_after: float = 0, now: float = 0
) -> None:
    """Report a failed attempt of another download."""
    failure = OriginFailure(kind=kind, seq=-1, detail="no route", retry_after=retry_after)
    queue.report_failure(origin, failure, now=now, random=0.0)


def test_waiting_downloads_are_counted_by_reason_and_hosts_by_use() -> None:
    queue = scheduler(max_concurrent=3, max_per_host=2)
    for seq in range(1, 6):
        queue.add(waiting(seq, origin="full"))
    queue.add(waiting(10, origin="later", not_before=50))
    fail(queue, "asked", retry_after=30)
    queue.add(waiting(20, origin="asked"))
    queue.add(waiting(30, origin="free"))
    assert queue.select_ready(now=0) == [1, 2, 30]
    queue.add(waiting(31, origin="free"))
    assert count_wait_reasons(queue, now=0) == {
        WaitReason.DELAYED: 1,
        WaitReason.HOST_LIMIT: 3,
        WaitReason.HOST_BACKOFF: 1,
        WaitReason.TOTAL_LIMIT: 1,
    }
    assert measure_origins(queue, now=0) == OriginUsage(connections=3, busiest=2, connected=2, waiting=3, blocked=1)
    queue.dequeue(10)
    queue.dequeue(3)
    queue.runs.acquire("free", 1, now=0)
    assert count_wait_reasons(queue, now=0)[WaitReason.DELAYED] == 0
    assert count_wait_reasons(queue, now=0)[WaitReason.HOST_LIMIT] == 3
    assert measure_origins(queue, now=0).connections == 4


def test_an_empty_queue_has_nothing_to_report() -> None:
    assert count_wait_reasons(scheduler(), now=0) == {WaitReason.DELAYED: 0}
    assert measure_origins(scheduler(), now=0) == OriginUsage()
    assert describe_wait(scheduler(), "unknown", None, 0) == "about to start"


@pytest.fixture
def busy() -> Scheduler:
    """`max_concurrent` 2 and `max_per_host` 1 are used up, and one host is blocked."""
    queue = scheduler(max_concurrent=2, max_per_host=1)
    for seq, host in enumerate(("a", "b")):
        queue.add(waiting(seq, host))
    queue.select_ready(now=0)
    fail(queue, "blocked", retry_after=30)
    fail(queue, "http://down:81", kind=FailureKind.REFUSED)
    return queue


@pytest.mark.parametrize(
    ("origin", "not_before", "description"),
    [
        ("a", None, "1 download from a is running (max_per_host)"),
        ("c", None, "2 downloads are running (max_concurrent)"),
        ("blocked", None, "blocked asked to wait, 20 s more"),
        ("a", 15.0, "the next attempt starts in 5 s"),
        # Its delay has ended.
        ("a", 10.0, "1 download from a is running (max_per_host)"),
        ("http://down:81", None, "down:81 could not be reached; the next attempt starts in 0 s (no route)"),
        ("http://down:81", 12.0, "down:81 could not be reached; the next attempt starts in 0 s (no route)"),
    ],
)
def test_the_reason_of_a_waiting_download_is_described(
    busy: Scheduler, origin: str, not_before: float | None, description: str
) -> None:
    assert describe_wait(busy, origin, not_before, 10) == description


def test_a_suspension_precedes_other_reasons_except_a_time(busy: Scheduler) -> None:
    busy.suspension = "the disk is full"
    assert describe_wait(busy, "blocked", None, 10) == "the disk is full"
    assert describe_wait(busy, "a", 15, 10) == "the next attempt starts in 5 s"
    assert explain_wait(busy, "a", None, 10).error == ""
    busy.suspension = "the disk does not answer"
    assert explain_wait(busy, "a", None, 10).error == "the disk does not answer"


def test_lowered_slots_are_a_reason_of_their_own() -> None:
    queue = scheduler(max_per_host=3)
    for seq in range(4):
        queue.add(waiting(seq, "a"))
    queue.select_ready(now=0)
    queue.report_answer("a", 0, now=0)
    fail(queue, "a", kind=FailureKind.REFUSED)
    assert describe_wait(queue, "a", None, 0) == "3 downloads from a are running; it refused more (no route)"
    assert measure_origins(queue, now=0).slowed == 1
    queue.report_answer("a", 0, now=0)
    assert describe_wait(queue, "a", None, 0) == "3 downloads from a are running; it refused more"


def test_origins_are_listed_with_those_in_trouble_first(busy: Scheduler) -> None:
    busy.add(waiting(8, "a"))
    busy.add(waiting(9, "http://down:81"))
    listed = list_origins(busy, 10, now=0, wall_time=1000)
    assert [(one.origin, one.state) for one in listed.origins] == [
        ("http://down:81", OriginState.OPEN),
        ("blocked", OriginState.BACKOFF),
        ("a", OriginState.HEALTHY),
        ("b", OriginState.HEALTHY),
    ]
    down, blocked, full, _ = listed.origins
    assert (down.failures, down.next_attempt, down.error, down.waiting) == (1, 1000.25, "no route", 1)
    assert (blocked.next_attempt, full.running, full.waiting, full.slots) == (1030, 1, 1, 1)
    assert measure_origins(busy, now=0).unreachable == 1
    assert list_origins(busy, 1, now=0, wall_time=0) == OriginList(
        origins=list_origins(busy, 9, now=0, wall_time=0).origins[:1], total=4
    )


def test_a_probe_is_reported_until_it_has_an_outcome() -> None:
    queue = scheduler()
    fail(queue, "down", kind=FailureKind.REFUSED)
    for seq in (1, 2):
        queue.add(waiting(seq, "down"))
    assert queue.select_ready(now=5) == [1]
    assert (
        describe_wait(queue, "down", None, 5) == "down could not be reached; another download tries it now (no route)"
    )
    assert count_wait_reasons(queue, now=5)[WaitReason.HOST_UNREACHABLE] == 1
    assert list_origins(queue, 1, now=5, wall_time=5).origins[0].state is OriginState.PROBING


def test_what_a_target_of_redirects_holds_up_is_reported_with_its_name() -> None:
    queue = scheduler(max_per_host=2)
    fail(queue, "http://cdn:81", kind=FailureKind.REFUSED)
    fail(queue, "mirror", retry_after=30)
    for seq, target in ((1, "http://cdn:81"), (2, "mirror"), (3, None)):
        queue.add(WaitingDownload(seq=seq, origin="https://a", priority=0, target=target))
    queue.add(WaitingDownload(seq=4, origin="https://a", priority=0, target="http://cdn:81", not_before=5))
    assert [describe_wait(queue, "https://a", None, 0, seq=seq) for seq in (1, 2, 3)] == [
        "a redirects to cdn:81: cdn:81 could not be reached; the next attempt starts in 0 s (no route)",
        "a redirects to mirror: mirror asked to wait, 30 s more",
        "about to start",
    ]
    assert "a redirects to cdn:81" in describe_wait(queue, "https://a", 5, 0, seq=4)
    assert describe_wait(queue, "https://a", 5, 0, seq=3) == "the next attempt starts in 5 s"
    assert count_wait_reasons(queue, now=0) == {
        WaitReason.DELAYED: 1,
        WaitReason.HOST_UNREACHABLE: 1,
        WaitReason.HOST_BACKOFF: 1,
        WaitReason.READY: 1,
    }
    listed = list_origins(queue, 9, now=0, wall_time=0).origins
    assert [(one.origin, one.waiting) for one in listed] == [("http://cdn:81", 1), ("mirror", 1), ("https://a", 3)]
    assert measure_origins(queue, now=0).waiting == 3
    assert queue.select_ready(now=0) == [3]
    queue.runs.acquire("https://a", 1, now=0)
    # Its own origin comes first.
    assert describe_wait(queue, "https://a", None, 0, seq=2) == "2 downloads from a are running (max_per_host)"


def test_a_host_that_redirects_to_itself_with_tls_is_named_once() -> None:
    queue = scheduler()
    fail(queue, "https://a", retry_after=30)
    queue.add(WaitingDownload(seq=1, origin="http://a", priority=0, target="https://a"))
    assert describe_wait(queue, "http://a", None, 0, seq=1) == "a asked to wait, 30 s more"


def test_a_reason_has_its_values_for_programs() -> None:
    queue = scheduler(max_concurrent=1)
    for seq in (1, 2):
        queue.add(waiting(seq))
    assert queue.select_ready(now=0) == [1]
    notice = explain_wait(queue, "a", None, 0)
    assert (notice.code, notice.running, notice.setting) == (WaitReason.TOTAL_LIMIT, 1, "max_concurrent")
    assert notice.text == "1 download is running (max_concurrent)"
    delayed = explain_wait(queue, "b", 7.4, 0)
    assert (delayed.code, delayed.seconds) == (WaitReason.DELAYED, 7)
