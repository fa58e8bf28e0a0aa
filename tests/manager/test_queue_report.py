"""Reports on the queue."""

import pytest

from downloadd.manager.queue_report import count_wait_reasons, describe_wait, measure_origins
from downloadd.manager.scheduler import Limits, Scheduler
from downloadd.metrics import OriginUsage
from downloadd.records.protocol import WaitingDownload
from downloadd.states import WaitReason


def scheduler(max_concurrent: int = 100, max_per_host: int = 100) -> Scheduler:
    return Scheduler(Limits(max_concurrent=max_concurrent, max_per_host=max_per_host))


def waiting(seq: int, host: str = "a", not_before: float | None = None) -> WaitingDownload:
    return WaitingDownload(seq=seq, host=host, priority=0, not_before=not_before)


def test_waiting_downloads_are_counted_by_reason_and_hosts_by_use() -> None:
    queue = scheduler(max_concurrent=3, max_per_host=2)
    for seq in range(1, 6):
        queue.add(waiting(seq, host="full"))
    queue.add(waiting(10, host="later", not_before=50))
    queue.block("asked", until=30)
    queue.add(waiting(20, host="asked"))
    queue.add(waiting(30, host="free"))
    assert queue.select_ready(now=0) == [1, 2, 30]
    queue.add(waiting(31, host="free"))
    assert count_wait_reasons(queue, now=0) == {
        WaitReason.DELAYED: 1,
        WaitReason.HOST_LIMIT: 3,
        WaitReason.HOST_BACKOFF: 1,
        WaitReason.TOTAL_LIMIT: 1,
    }
    assert measure_origins(queue, now=0) == OriginUsage(connections=3, busiest=2, connected=2, waiting=3, blocked=1)
    queue.dequeue(10)
    queue.dequeue(3)
    queue.acquire("free", 1)
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
    queue.block("blocked", until=30)
    return queue


@pytest.mark.parametrize(
    ("host", "not_before", "description"),
    [
        ("a", None, "1 downloads from a are running (max_per_host)"),
        ("c", None, "2 downloads are running (max_concurrent)"),
        ("blocked", None, "blocked asked to wait, 20 s more"),
        ("a", 15.0, "the next attempt starts in 5 s"),
        # Its delay has ended.
        ("a", 10.0, "1 downloads from a are running (max_per_host)"),
    ],
)
def test_the_reason_of_a_waiting_download_is_described(
    busy: Scheduler, host: str, not_before: float | None, description: str
) -> None:
    assert describe_wait(busy, host, not_before, 10) == description


def test_a_suspension_precedes_other_reasons_except_a_time(busy: Scheduler) -> None:
    busy.suspension = "the disk is full"
    assert describe_wait(busy, "blocked", None, 10) == "the disk is full"
    assert describe_wait(busy, "a", 15, 10) == "the next attempt starts in 5 s"
