"""Selection of the downloads that start now."""

from collections import Counter
from contextlib import ExitStack
from unittest.mock import patch

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from downloadd.config import DownloadsConfig, HostConfig
from downloadd.manager import redirect_targets
from downloadd.manager import scheduler as scheduler_module
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import FailureKind, OriginFailure
from downloadd.manager.queue_report import count_wait_reasons, describe_wait
from downloadd.manager.scheduler import RECHECK_SECONDS, Scheduler
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry
from downloadd.states import WaitReason


def scheduler(max_concurrent: int = 100, max_per_host: int = 100) -> Scheduler:
    return Scheduler(Limits(max_concurrent=max_concurrent, max_per_host=max_per_host))


def waiting(
    seq: int,
    origin: str = "a",
    priority: int = 0,
    not_before: float | None = None,
    target: str | None = None,
    place: float | None = None,
) -> WaitingDownload:
    return WaitingDownload(seq=seq, origin=origin, priority=priority, not_before=not_before, target=target, place=place)


def block(queue: Scheduler, origin: str, *, until: float, now: float = 0) -> None:
    """Report that the origin asked to wait."""
    failure = OriginFailure(kind=FailureKind.BUSY, seq=-1, detail="429", retry_after=until - now)
    queue.report_failure(origin, failure, now=now, random=0.5)


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


def test_the_place_decides_among_downloads_of_one_priority() -> None:
    queue = scheduler(max_concurrent=4)
    queue.add(waiting(1))
    queue.add(waiting(2, place=0.5))
    queue.add(waiting(3, origin="b", place=1.0))
    queue.add(waiting(4, place=-7, priority=-1))
    queue.add(waiting(5))
    assert queue.select_ready(now=0) == [2, 1, 3, 5]


def test_downloads_that_are_moved_start_in_their_new_order() -> None:
    queue = scheduler(max_concurrent=1)
    for seq in (1, 2, 3):
        queue.add(waiting(seq))
    queue.add(waiting(4, not_before=5, target="cdn"))
    assert queue.select_ready(now=0) == [1]
    queue.add(waiting(1))
    # The running one is not known to the queue until its run has ended; an unknown one is ignored.
    queue.reorder([QueueEntry(4, 1), QueueEntry(3, 0, 1.5), QueueEntry(1, 0, 2.5), QueueEntry(99, 9)])
    started: list[int] = []
    for now in (1, 5, 5, 5):
        queue.finish(([1, *started])[-1])
        started += queue.select_ready(now=now)
    assert started == [3, 4, 2, 1]


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


def test_a_run_that_needs_its_host_no_longer_frees_its_slot_there_and_counts_until_its_end() -> None:
    queue = scheduler(max_concurrent=2, max_per_host=1)
    for seq in (1, 2, 3):
        queue.add(waiting(seq))
    assert queue.select_ready(0) == [1]
    queue.runs.free_slots(1)
    queue.runs.free_slots(1)
    queue.runs.free_slots(7)
    assert queue.select_ready(0) == [2]
    queue.runs.free_slots(2)
    assert queue.select_ready(0) == [], "two run"
    # One that is added while it runs waits for its end.
    queue.add(waiting(1))
    queue.finish(1)
    assert len(queue.runs) == 1
    assert queue.select_ready(0) == [1]
    queue.finish(1)
    queue.finish(2)
    assert queue.select_ready(0) == [3]


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
        assert len(queue.queues.offered) <= 15


def test_state_of_idle_origins_is_removed() -> None:
    queue = scheduler(max_concurrent=1000)
    for seq in range(1000):
        queue.add(waiting(seq, origin=f"http://h{seq}"))
    for seq in queue.select_ready(now=0):
        queue.finish(seq)
    assert not queue.origins.entries


PLACES = st.none() | st.integers(-9, 9).map(float)


class SchedulerModel(RuleBasedStateMachine):
    """Random events, compared with a plain list; no limit is exceeded and no download starves."""

    def __init__(self) -> None:
        super().__init__()
        self.constants = ExitStack()
        for name in ("RECHECK_SECONDS", "PRESUMED_RECHECK_SECONDS"):
            self.constants.enter_context(patch.object(scheduler_module, name, 1e9))
        self.constants.enter_context(patch.object(scheduler_module, "FURTHER_RECHECKS", 0))
        self.constants.enter_context(patch.object(redirect_targets, "MIN_DOWNLOADS", 2))
        self.queue = scheduler(max_concurrent=4, max_per_host=2)
        self.model: dict[int, WaitingDownload] = {}
        self.running: dict[int, str] = {}
        self.targets: dict[int, str] = {}
        """Origins behind redirects of which running downloads have a slot."""
        self.entered: set[int] = set()
        self.requeued: dict[int, WaitingDownload] = {}
        self.blocked: dict[str, float] = {}
        self.now = 0.0
        self.seq = 0

    def teardown(self) -> None:
        self.constants.close()

    @rule(
        origin=st.sampled_from("abc"),
        priority=st.integers(-2, 2),
        delay=st.none() | st.integers(0, 20),
        led=st.sampled_from([None, None, "c", "d"]),
        place=PLACES,
    )
    def add(self, origin: str, priority: int, delay: int | None, led: str | None, place: float | None) -> None:
        self.seq += 1
        one = waiting(self.seq, origin, priority, None if delay is None else self.now + delay, led, place)
        self.model[one.seq] = one
        self.queue.add(one)

    @rule(data=st.data(), priority=st.integers(-2, 2))
    def move(self, data: st.DataObject, priority: int) -> None:
        if self.model:
            one = self.model[data.draw(st.sampled_from(sorted(self.model)))]
            one = waiting(one.seq, one.origin, priority, target=one.target)
            self.model[one.seq] = one
            self.queue.add(one)

    @rule(data=st.data(), priority=st.integers(-2, 2), place=PLACES)
    def reorder(self, data: st.DataObject, priority: int, place: float | None) -> None:
        known = {**self.model, **self.requeued}
        if known:
            seq = data.draw(st.sampled_from(sorted(known)))
            moved = msgspec.structs.replace(known[seq], priority=priority, place=place)
            (self.model if seq in self.model else self.requeued)[seq] = moved
            self.queue.reorder([QueueEntry(seq, priority, place)])

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
            self.targets.pop(seq, None)
            self.entered.discard(seq)
            if seq in self.requeued:
                self.model[seq] = self.requeued.pop(seq)
            self.queue.finish(seq)

    @rule(data=st.data(), led=st.sampled_from("cd"))
    def redirect(self, data: st.DataObject, led: str) -> None:
        if self.running:
            seq = data.draw(st.sampled_from(sorted(self.running)))
            origin = self.running[seq]
            if led == origin:
                return
            has_slot = seq in self.entered and self.targets.get(seq) == led
            if not has_slot:
                self.targets.pop(seq, None)
                has_slot = self.slots()[led] < 2 and self.blocked.get(led, 0) <= self.now
            assert self.queue.enter(seq, origin, led, now=self.now) == has_slot
            if has_slot:
                self.targets[seq] = led
                self.entered.add(seq)
                self.queue.report_answer(led, seq, now=self.now)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.running:
            seq = data.draw(st.sampled_from(sorted(self.running)))
            self.targets.pop(seq, None)
            self.queue.runs.leave(seq)

    @rule(origin=st.sampled_from("abcd"), seconds=st.integers(1, 20))
    def block(self, origin: str, seconds: int) -> None:
        # A busy origin that sends to others meanwhile would have fewer slots, which the model does not know.
        failure = OriginFailure(kind=FailureKind.RESOURCE, seq=-1, detail="404", retry_after=seconds)
        self.queue.report_failure(origin, failure, now=self.now, random=0.5)
        self.blocked[origin] = max(self.blocked.get(origin, 0), self.now + seconds)

    def slots(self) -> Counter[str]:
        """Return the slots in use by origin."""
        return Counter(self.running.values()) + Counter(self.targets.values())

    @rule(seconds=st.integers(0, 15))
    def pick(self, seconds: int) -> None:
        self.now += seconds
        expected: list[int] = []
        targets: dict[int, str] = {}
        slots = self.slots()
        for one in sorted(self.model.values(), key=lambda one: one.key):
            if len(self.running) + len(expected) >= 4:
                break
            target = None if one.target == one.origin else one.target
            target = self.queue.targets.likely(one.origin, now=self.now) if target is None else target
            needed = {one.origin} if target is None else {one.origin, target}
            due = one.not_before is None or one.not_before <= self.now
            if due and all(slots[name] < 2 and self.blocked.get(name, 0) <= self.now for name in needed):
                slots.update(needed)
                expected.append(one.seq)
                if target is not None:
                    targets[one.seq] = target
        assert self.queue.select_ready(self.now) == expected
        for seq in expected:
            self.running[seq] = self.model.pop(seq).origin
        self.targets |= targets

    @invariant()
    def every_waiting_download_is_counted_by_what_it_waits_for(self) -> None:
        reasons = count_wait_reasons(self.queue, self.now)
        assert sum(reasons.values()) == self.queue.waiting
        assert min(reasons.values()) >= 0

    @invariant()
    def counts_agree(self) -> None:
        assert self.queue.waiting == len(self.model)
        assert len(self.queue.runs) == len(self.running)
        in_use = {origin: entry.running for origin, entry in self.queue.origins.entries.items() if entry.running}
        assert in_use == self.slots()


TestSchedulerModel = SchedulerModel.TestCase
TestSchedulerModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_acquired_slots_count_for_the_host_and_are_released() -> None:
    queue = scheduler(max_per_host=3)
    for seq in (1, 2):
        queue.add(WaitingDownload(seq=seq, origin="a", priority=0))
    queue.add(WaitingDownload(seq=3, origin="b", priority=0))
    assert queue.runs.acquire("a", 9, now=0) == 3
    # Its slots are acquired, so only the download of the other host starts.
    assert queue.select_ready(0) == [3]
    assert queue.runs.acquire("a", 1, now=0) == 0
    queue.runs.release("a", 1)
    assert queue.select_ready(0) == [1]
    queue.runs.release("a", 2)
    assert queue.select_ready(0) == [2]
    queue.runs.release("a", 0)


def test_a_host_in_backoff_gives_no_slot() -> None:
    queue = scheduler(max_per_host=3)
    block(queue, "a", until=10)
    assert (queue.runs.acquire("a", 1, now=0), queue.runs.acquire("b", 1, now=0)) == (0, 1)
    assert queue.runs.acquire("a", 1, now=10) == 1


# -- targets of redirects ----------------------------------------------------------------------------------------------


def start_led(queue: Scheduler, *seqs: int, led: str = "cdn", now: float = 0) -> None:
    """Start downloads of the origin `a`, and let its redirects lead them to `led`."""
    for seq in seqs:
        queue.add(waiting(seq))
    assert queue.select_ready(now=now) == [*seqs]
    for seq in seqs:
        assert queue.enter(seq, "a", led, now=now)
        queue.report_answer("a", seq, is_redirect=True, now=now)
        queue.report_answer(led, seq, now=now)


def fail(queue: Scheduler, origin: str, seq: int = -1, *, now: float = 0) -> None:
    failure = OriginFailure(kind=FailureKind.REFUSED, seq=seq, detail="refused")
    queue.report_failure(origin, failure, now=now, random=0)


def learn_target(queue: Scheduler) -> None:
    """Let enough downloads of `a` be led to `cdn` for others to be expected there."""
    start_led(queue, *range(1000, 1000 + redirect_targets.MIN_DOWNLOADS))
    for seq in range(1000, 1000 + redirect_targets.MIN_DOWNLOADS):
        queue.finish(seq)


def test_a_download_that_was_led_to_a_full_target_waits_for_a_slot_there() -> None:
    queue = scheduler(max_per_host=3)
    queue.runs.acquire("cdn", 2, now=0)
    start_led(queue, 1)
    queue.add(waiting(2))
    assert queue.select_ready(now=0) == [2]
    assert not queue.enter(2, "a", "cdn", now=0)
    queue.finish(2)
    queue.add(waiting(2, target="cdn"))
    queue.add(waiting(3))
    # The target of the other one is not known.
    assert queue.select_ready(now=1) == [3]
    reason = describe_wait(queue, "a", None, 1, seq=2)
    assert reason == "a redirects to cdn: 3 downloads from cdn are running (max_per_host)"
    queue.finish(1)
    assert queue.select_ready(now=1) == [2]
    assert queue.enter(2, "a", "cdn", now=1)
    assert not queue.enter(3, "a", "cdn", now=1)


def test_downloads_are_expected_where_all_others_of_their_origin_were_led() -> None:
    queue = scheduler(max_per_host=8)
    learn_target(queue)
    fail(queue, "cdn", now=100)
    queue.add(waiting(1))
    queue.add(waiting(2))
    queue.add(waiting(3, origin="b"))
    assert queue.select_ready(now=100) == [3]
    assert "a redirects to cdn: cdn could not be reached" in describe_wait(queue, "a", None, 100, seq=1)
    # One of them probes the target.
    assert queue.select_ready(now=101) == [1]
    assert queue.runs.expected_target(1) == "cdn"
    assert queue.enter(1, "a", "cdn", now=101)
    assert queue.select_ready(now=101) == []
    queue.report_answer("cdn", 1, now=102)
    assert queue.select_ready(now=102) == [2]


def test_downloads_are_released_when_one_of_them_is_led_elsewhere() -> None:
    queue = scheduler(max_per_host=8)
    learn_target(queue)
    fail(queue, "cdn")
    for seq in range(1, 5):
        queue.add(waiting(seq))
    assert queue.select_ready(now=1) == [1]
    assert queue.enter(1, "a", "mirror", now=1)
    queue.report_answer("mirror", 1, now=1)
    assert queue.select_ready(now=1) == [2, 3, 4]


def test_an_origin_with_several_targets_does_not_hold_downloads_for_one_of_them() -> None:
    queue = scheduler(max_per_host=20)
    learn_target(queue)
    start_led(queue, 1, led="mirror")
    fail(queue, "cdn")
    for seq in range(2, 9):
        queue.add(waiting(seq))
    assert queue.select_ready(now=0.1) == [2, 3, 4, 5, 6, 7, 8]


def test_each_download_that_waits_for_a_presumed_target_asks_within_half_a_minute() -> None:
    queue = scheduler(max_per_host=100)
    learn_target(queue)
    queue.runs.acquire("cdn", 100, now=0)
    for seq in range(1000):
        queue.add(waiting(seq))
    asked: list[int] = []
    for now in range(30):
        assert len(asked) <= 1000 * now / 4
        for seq in queue.select_ready(now=now):
            asked.append(seq)
            assert not queue.enter(seq, "a", "cdn", now=now)
            queue.finish(seq)
            queue.add(waiting(seq, target="cdn"))
    assert asked == [*range(1000)]


def test_a_download_that_waits_for_a_target_asks_again_after_a_while() -> None:
    queue = scheduler(max_per_host=9)
    queue.runs.acquire("cdn", 9, now=0)
    for seq in range(1, 21):
        queue.add(waiting(seq, target="cdn"))
    assert queue.select_ready(now=0) == []
    assert queue.next_due() == RECHECK_SECONDS
    assert queue.select_ready(now=RECHECK_SECONDS) == [1]
    assert queue.runs.expected_target(1) is None
    assert not queue.enter(1, "a", "cdn", now=RECHECK_SECONDS)
    queue.finish(1)
    queue.add(waiting(1, target="cdn"))
    assert queue.select_ready(now=RECHECK_SECONDS + 1) == []
    # Each of them has its turn.
    assert queue.select_ready(now=2 * RECHECK_SECONDS) == [2]
    assert queue.enter(2, "a", "mirror", now=61)
    queue.report_answer("mirror", 2, now=61)
    # As it found a slot elsewhere, more of them ask.
    assert queue.select_ready(now=61) == [3, 4, 5, 6]
    for seq in (3, 4):
        assert queue.enter(seq, "a", "mirror", now=62)
        queue.report_answer("mirror", seq, now=62)
    assert len(queue.select_ready(now=62)) == 9 - 5
    queue.runs.release("cdn", 9)


def test_a_slot_that_is_free_ends_the_rechecks() -> None:
    queue = scheduler(max_per_host=3)
    queue.runs.acquire("cdn", 3, now=0)
    for seq in (1, 2, 3):
        queue.add(waiting(seq, target="cdn"))
    assert queue.select_ready(now=0) == []
    queue.runs.acquire("a", 3, now=0)
    assert queue.select_ready(now=RECHECK_SECONDS) == []
    queue.runs.release("a", 3)
    queue.runs.release("cdn", 1)
    assert queue.select_ready(now=RECHECK_SECONDS) == [1]


def test_slots_of_a_target_are_shared_by_all_that_lead_there() -> None:
    queue = scheduler(max_per_host=2)
    for seq, origin in enumerate(("cdn", "a", "b")):
        queue.add(waiting(seq, origin, target="cdn"))
    assert queue.select_ready(now=0) == [0, 1]
    assert count_wait_reasons(queue, 0) == {WaitReason.DELAYED: 0, WaitReason.HOST_LIMIT: 1}
    queue.finish(1)
    assert queue.select_ready(now=0) == [2]


def test_a_slot_is_given_to_the_next_queue_if_the_first_one_is_blocked_elsewhere() -> None:
    queue = scheduler(max_per_host=1)
    queue.runs.acquire("cdn", 1, now=0)
    for seq, origin in enumerate("abc"):
        queue.add(waiting(seq, origin, target="cdn"))
    assert queue.select_ready(now=0) == []
    queue.runs.acquire("a", 1, now=0)
    queue.runs.acquire("b", 1, now=0)
    queue.runs.release("cdn", 1)
    assert queue.select_ready(now=0) == [2]


def test_a_free_slot_is_not_lost_at_the_limit_of_runs() -> None:
    queue = scheduler(max_concurrent=1, max_per_host=1)
    queue.runs.acquire("cdn", 1, now=0)
    queue.add(waiting(1, "a", target="cdn"))
    queue.add(waiting(2, "b", target="cdn"))
    queue.add(waiting(3, "c"))
    assert queue.select_ready(now=0) == [3]
    queue.runs.release("cdn", 1)
    assert queue.select_ready(now=0) == []
    queue.dequeue(1)
    queue.finish(3)
    assert queue.select_ready(now=0) == [2]


def test_an_origin_that_redirects_is_reachable_though_its_target_is_not() -> None:
    queue = scheduler(max_per_host=2)
    fail(queue, "a")
    queue.add(waiting(1))
    queue.add(waiting(2))
    assert queue.select_ready(now=1) == [1]
    assert queue.enter(1, "a", "cdn", now=1)
    assert queue.report_answer("a", 1, is_redirect=True, now=1)
    fail(queue, "cdn", 1, now=1)
    assert queue.select_ready(now=1) == [2]
    assert not queue.origins.use("a").runs[1]


def test_state_of_idle_targets_is_removed() -> None:
    queue = scheduler()
    start_led(queue, 1)
    queue.enter(1, "a", "mirror", now=0)
    assert set(queue.origins.entries) == {"a", "mirror"}
    queue.runs.leave(1)
    assert set(queue.origins.entries) == {"a"}
    queue.finish(1)
    queue.add(waiting(2))
    queue.dequeue(2)
    assert not queue.origins.entries


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
    assert queue.runs.acquire("https://many.example", 1, now=0) == 0
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
