"""Selection of the downloads that start now."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from downloadd.config import DownloadsConfig, HostConfig
from downloadd.manager.origin_health import FailureKind, OriginFailure
from downloadd.manager.queue_report import count_wait_reasons, describe_wait
from downloadd.manager.scheduler import Limits, Scheduler
from downloadd.records.protocol import WaitingDownload
from downloadd.states import WaitReason


def scheduler(max_concurrent: int = 100, max_per_host: int = 100) -> Scheduler:
    return Scheduler(Limits(max_concurrent=max_concurrent, max_per_host=max_per_host))


def waiting(seq: int, origin: str = "a", priority: int = 0, not_before: float | None = None) -> WaitingDownload:
    return WaitingDownload(seq=seq, origin=origin, priority=priority, not_before=not_before)


def block(queue: Scheduler, origin: str, *, until: float, now: float = 0) -> None:
    """Report that the origin asked to wait."""
    failure = OriginFailure(kind=FailureKind.BUSY, seq=-1, detail="429", retry_after=until - now)
    queue.origins.report_failure(origin, failure, max_slots=100, now=now, random=0.5)


def test_the_oldest_download_starts_first() -> None:
    queue = scheduler()
    for seq in (3, 1, 2):
        queue.add(waiting(seq))
    assert queue.select_ready(now=0) == [1, 2, 3]


def test_a_higher_priority_starts_before_an_older_download() -> None:
    queue = scheduler(max_concurrent=2)
    queue.add(waiting(1))
    queue.add(waiting(2, priority=-1))
    queue.add(waiting(3, origin="b", priority=5))
    assert queue.select_ready(now=0) == [3, 1]


def test_a_full_host_does_not_delay_another() -> None:
    queue = scheduler(max_per_host=1)
    for seq in range(1, 6):
        queue.add(waiting(seq, origin="slow", priority=9))
    queue.add(waiting(6, origin="quick"))
    assert queue.select_ready(now=0) == [1, 6]
    assert "max_per_host" in describe_wait(queue, "slow", None, 0)


def test_a_free_slot_goes_to_the_next_download_of_the_same_host() -> None:
    queue = scheduler(max_per_host=1)
    queue.add(waiting(1))
    queue.add(waiting(2))
    assert queue.select_ready(now=0) == [1]
    assert queue.select_ready(now=0) == []
    queue.finish(1)
    assert queue.select_ready(now=0) == [2]


def test_no_more_downloads_run_than_max_concurrent() -> None:
    queue = scheduler(max_concurrent=2)
    for seq, origin in enumerate("abcd"):
        queue.add(waiting(seq, origin=origin))
    assert queue.select_ready(now=0) == [0, 1]
    assert "max_concurrent" in describe_wait(queue, "c", None, 0)
    queue.finish(0)
    assert queue.select_ready(now=0) == [2]


def test_a_delayed_download_is_queued_when_it_is_due() -> None:
    queue = scheduler()
    queue.add(waiting(1, not_before=10))
    assert queue.select_ready(now=9) == []
    assert queue.next_due() == 10
    assert "in 1 s" in describe_wait(queue, "a", 10, 9)
    assert queue.select_ready(now=10) == [1]


def test_all_downloads_of_a_blocked_host_wait_with_a_reason() -> None:
    queue = scheduler()
    queue.add(waiting(1))
    queue.add(waiting(2, origin="b"))
    block(queue, "a", until=30)
    assert queue.select_ready(now=0) == [2]
    assert "asked to wait, 30 s" in describe_wait(queue, "a", None, 0)
    queue.add(waiting(3))
    assert queue.select_ready(now=29) == []
    assert queue.next_due() == 30
    assert queue.select_ready(now=30) == [1, 3]


def test_a_host_that_is_blocked_while_idle_is_blocked_for_later_downloads() -> None:
    queue = scheduler()
    block(queue, "a", until=30)
    queue.add(waiting(1))
    assert queue.select_ready(now=0) == []
    assert queue.select_ready(now=31) == [1]


def test_a_longer_block_replaces_a_shorter_one() -> None:
    queue = scheduler()
    queue.add(waiting(1))
    block(queue, "a", until=30)
    block(queue, "a", until=60)
    block(queue, "a", until=10)
    assert queue.select_ready(now=31) == []
    assert queue.select_ready(now=60) == [1]


def test_a_dequeued_download_never_starts_and_does_not_count() -> None:
    queue = scheduler(max_concurrent=1)
    queue.add(waiting(1))
    queue.add(waiting(2))
    queue.dequeue(1)
    assert queue.waiting == 1
    assert queue.select_ready(now=0) == [2]


def test_dequeuing_the_first_download_lets_the_next_one_start() -> None:
    queue = scheduler(max_per_host=1)
    queue.add(waiting(1))
    queue.add(waiting(2))
    queue.add(waiting(3))
    assert queue.select_ready(now=0) == [1]
    queue.finish(1)
    queue.dequeue(2)
    assert queue.select_ready(now=0) == [3]


def test_a_download_that_is_added_again_moves_to_its_new_priority() -> None:
    queue = scheduler(max_concurrent=1)
    queue.add(waiting(1))
    queue.add(waiting(2))
    queue.add(waiting(1, priority=-5))
    assert queue.waiting == 2
    assert queue.select_ready(now=0) == [2]
    queue.finish(2)
    assert queue.select_ready(now=0) == [1]
    queue.finish(1)
    assert queue.select_ready(now=0) == []


def test_a_download_that_is_added_while_it_runs_has_one_slot_and_is_queued_when_its_run_ends() -> None:
    queue = scheduler(max_per_host=2)
    queue.add(waiting(1))
    assert queue.select_ready(now=0) == [1]
    queue.add(waiting(1, priority=5))
    assert queue.select_ready(now=0) == []
    queue.add(waiting(2))
    queue.add(waiting(3))
    assert queue.select_ready(now=0) == [2]
    queue.finish(1)
    assert queue.select_ready(now=0) == [1]
    queue.add(waiting(1))
    queue.dequeue(1)
    queue.finish(1)
    assert queue.select_ready(now=0) == [3]


def test_a_delay_can_be_shortened() -> None:
    queue = scheduler()
    queue.add(waiting(1, not_before=1000))
    queue.add(waiting(1))
    assert queue.select_ready(now=0) == [1]
    queue.finish(1)
    assert queue.select_ready(now=2000) == []


def test_a_suspended_queue_starts_nothing_and_gives_the_reason() -> None:
    queue = scheduler()
    queue.add(waiting(1))
    queue.add(waiting(2, not_before=10))
    queue.suspension = "the disk is full"
    assert queue.select_ready(now=20) == []
    assert queue.next_due() is None
    assert describe_wait(queue, "a", None, 20) == "the disk is full"
    assert count_wait_reasons(queue, now=5) == {WaitReason.DELAYED: 1, WaitReason.STORAGE_UNAVAILABLE: 1}
    queue.suspension = "the disk is gone"
    assert describe_wait(queue, "a", None, 20) == "the disk is gone"
    queue.suspension = None
    assert queue.select_ready(now=20) == [1, 2]


def test_higher_limits_start_more_downloads_at_once() -> None:
    queue = scheduler(max_concurrent=1, max_per_host=1)
    queue.add(waiting(1))
    queue.add(waiting(2))
    assert queue.select_ready(now=0) == [1]
    queue.change_limits(Limits(max_concurrent=2, max_per_host=2))
    assert queue.select_ready(now=0) == [2]


def test_an_origin_is_offered_once_while_the_total_limit_is_reached() -> None:
    queue = scheduler(max_concurrent=2)
    for seq in range(100):
        queue.add(waiting(seq, origin=f"http://h{seq % 5}"))
    for _ in range(40):
        for seq in queue.select_ready(now=0):
            queue.finish(seq)
        assert len(queue._ready) <= 15


def test_state_of_idle_origins_is_removed() -> None:
    queue = scheduler(max_concurrent=1000)
    for seq in range(1000):
        queue.add(waiting(seq, origin=f"http://h{seq}"))
    for seq in queue.select_ready(now=0):
        queue.finish(seq)
    assert not queue.origins.queues


class SchedulerModel(RuleBasedStateMachine):
    """Random events, compared with a plain list; no limit is exceeded and no download starves."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = scheduler(max_concurrent=4, max_per_host=2)
        self.model: dict[int, WaitingDownload] = {}
        self.running: dict[int, str] = {}
        self.requeued: dict[int, WaitingDownload] = {}
        self.blocked: dict[str, float] = {}
        self.now = 0.0
        self.seq = 0

    @rule(origin=st.sampled_from("abc"), priority=st.integers(-2, 2), delay=st.none() | st.integers(0, 20))
    def add(self, origin: str, priority: int, delay: int | None) -> None:
        self.seq += 1
        one = waiting(self.seq, origin, priority, None if delay is None else self.now + delay)
        self.model[one.seq] = one
        self.queue.add(one)

    @rule(data=st.data(), priority=st.integers(-2, 2))
    def move(self, data: st.DataObject, priority: int) -> None:
        if self.model:
            one = self.model[data.draw(st.sampled_from(sorted(self.model)))]
            one = waiting(one.seq, one.origin, priority)
            self.model[one.seq] = one
            self.queue.add(one)

    @rule(data=st.data(), origin=st.sampled_from("abc"))
    def add_while_it_runs(self, data: st.DataObject, origin: str) -> None:
        if self.running:
            seq = data.draw(st.sampled_from(sorted(self.running)))
            self.requeued[seq] = waiting(seq, origin)
            self.queue.add(self.requeued[seq])

    @rule(data=st.data())
    def dequeue(self, data: st.DataObject) -> None:
        if self.model:
            seq = data.draw(st.sampled_from(sorted(self.model)))
            del self.model[seq]
            self.queue.dequeue(seq)

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        if self.running:
            seq = data.draw(st.sampled_from(sorted(self.running)))
            del self.running[seq]
            if seq in self.requeued:
                self.model[seq] = self.requeued.pop(seq)
            self.queue.finish(seq)

    @rule(origin=st.sampled_from("abc"), seconds=st.integers(1, 20))
    def block(self, origin: str, seconds: int) -> None:
        block(self.queue, origin, until=self.now + seconds, now=self.now)
        self.blocked[origin] = max(self.blocked.get(origin, 0), self.now + seconds)

    @rule(seconds=st.integers(0, 15))
    def pick(self, seconds: int) -> None:
        self.now += seconds
        expected: list[int] = []
        slots = Counter(self.running.values())
        for one in sorted(self.model.values(), key=lambda w: (-w.priority, w.seq)):
            if len(self.running) + len(expected) >= 4:
                break
            due = one.not_before is None or one.not_before <= self.now
            if due and slots[one.origin] < 2 and self.blocked.get(one.origin, 0) <= self.now:
                slots[one.origin] += 1
                expected.append(one.seq)
        assert self.queue.select_ready(self.now) == expected
        for seq in expected:
            self.running[seq] = self.model.pop(seq).origin

    @invariant()
    def every_waiting_download_is_counted_by_what_it_waits_for(self) -> None:
        reasons = count_wait_reasons(self.queue, self.now)
        assert sum(reasons.values()) == self.queue.waiting
        assert min(reasons.values()) >= 0

    @invariant()
    def counts_agree(self) -> None:
        assert self.queue.waiting == len(self.model)
        assert self.queue.running == len(self.running)


TestSchedulerModel = SchedulerModel.TestCase
TestSchedulerModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_acquired_slots_count_for_the_host_and_are_released() -> None:
    queue = scheduler(max_per_host=3)
    for seq in (1, 2):
        queue.add(WaitingDownload(seq=seq, origin="a", priority=0))
    queue.add(WaitingDownload(seq=3, origin="b", priority=0))
    assert queue.acquire("a", 9, now=0) == 3
    # Its slots are acquired, so only the download of the other host starts.
    assert queue.select_ready(0) == [3]
    assert queue.acquire("a", 1, now=0) == 0
    queue.release("a", 1)
    assert queue.select_ready(0) == [1]
    queue.release("a", 2)
    assert queue.select_ready(0) == [2]
    queue.release("a", 0)


def test_a_host_in_backoff_gives_no_slot() -> None:
    queue = scheduler(max_per_host=3)
    block(queue, "a", until=10)
    assert (queue.acquire("a", 1, now=0), queue.acquire("b", 1, now=0)) == (0, 1)
    assert queue.acquire("a", 1, now=10) == 1


# -- slots of hosts ----------------------------------------------------------------------------------------------------


def test_a_host_has_its_own_slots_at_each_origin() -> None:
    queue = Scheduler(
        Limits(max_concurrent=100, max_per_host=2, slots_by_host={"few.example": 1, "many.example": 4, "::1": 1})
    )
    origins = ("https://few.example", "http://few.example:81", "https://many.example", "https://other.example")
    for number, origin in enumerate((*origins, "http://[::1]:8080", "http://[::2]")):
        for seq in range(5):
            queue.add(waiting(10 * number + seq, origin=origin))
    assert Counter(seq // 10 for seq in queue.select_ready(now=0)) == {0: 1, 1: 1, 2: 4, 3: 2, 4: 1, 5: 2}
    assert "(slots)" in describe_wait(queue, "https://few.example", None, 0)
    assert "(max_per_host)" in describe_wait(queue, "https://other.example", None, 0)
    assert queue.acquire("https://many.example", 1, now=0) == 0
    queue.finish(20)
    assert queue.select_ready(now=0) == [24]


def test_changed_slots_apply_at_once() -> None:
    queue = scheduler(max_per_host=1)
    for seq in range(5):
        queue.add(waiting(seq, origin="https://a.example"))
    assert queue.select_ready(now=0) == [0]
    queue.change_limits(Limits(max_concurrent=100, max_per_host=1, slots_by_host={"a.example": 3}))
    assert queue.select_ready(now=0) == [1, 2]


def test_limits_are_those_of_the_configuration() -> None:
    config = DownloadsConfig(max_concurrent=5, max_per_host=2)
    hosts = (HostConfig(host="a.example", slots=7), HostConfig(host="b.example", min_tls_version="1.3"))
    assert Limits.from_config(config, hosts) == Limits(max_concurrent=5, max_per_host=2, slots_by_host={"a.example": 7})
