from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from downloadd.manager.scheduler import Limits, Scheduler
from downloadd.metrics import Origins
from downloadd.records.protocol import Waiting
from downloadd.states import Hold


def scheduler(max_concurrent: int = 100, max_per_host: int = 100) -> Scheduler:
    return Scheduler(Limits(max_concurrent=max_concurrent, max_per_host=max_per_host))


def waiting(seq: int, host: str = "a", priority: int = 0, not_before: float | None = None) -> Waiting:
    return Waiting(seq=seq, host=host, priority=priority, not_before=not_before)


def test_the_oldest_goes_first() -> None:
    line = scheduler()
    for seq in (3, 1, 2):
        line.add(waiting(seq))
    assert line.pick(now=0) == [1, 2, 3]


def test_a_higher_priority_goes_before_an_older_download() -> None:
    line = scheduler(max_concurrent=2)
    line.add(waiting(1))
    line.add(waiting(2, priority=-1))
    line.add(waiting(3, host="b", priority=5))
    assert line.pick(now=0) == [3, 1]


def test_a_full_host_does_not_hold_up_another() -> None:
    line = scheduler(max_per_host=1)
    for seq in range(1, 6):
        line.add(waiting(seq, host="slow", priority=9))
    line.add(waiting(6, host="quick"))
    assert line.pick(now=0) == [1, 6]
    assert "max_per_host" in line.reason("slow", None, 0)


def test_a_free_place_goes_to_the_next_of_the_same_host() -> None:
    line = scheduler(max_per_host=1)
    line.add(waiting(1))
    line.add(waiting(2))
    assert line.pick(now=0) == [1]
    assert line.pick(now=0) == []
    line.finished(1)
    assert line.pick(now=0) == [2]


def test_no_more_run_than_allowed_in_all() -> None:
    line = scheduler(max_concurrent=2)
    for seq, host in enumerate("abcd"):
        line.add(waiting(seq, host=host))
    assert line.pick(now=0) == [0, 1]
    assert "max_concurrent" in line.reason("c", None, 0)
    line.finished(0)
    assert line.pick(now=0) == [2]


def test_a_delayed_download_joins_when_it_is_due() -> None:
    line = scheduler()
    line.add(waiting(1, not_before=10))
    assert line.pick(now=9) == []
    assert line.next_due() == 10
    assert "in 1 s" in line.reason("a", 10, 9)
    assert line.pick(now=10) == [1]


def test_a_blocked_host_waits_as_a_whole_and_says_so() -> None:
    line = scheduler()
    line.add(waiting(1))
    line.add(waiting(2, host="b"))
    line.block("a", until=30)
    assert line.pick(now=0) == [2]
    assert "asked to wait, 30 s" in line.reason("a", None, 0)
    line.add(waiting(3))
    assert line.pick(now=29) == []
    assert line.next_due() == 30
    assert line.pick(now=30) == [1, 3]


def test_a_host_that_is_blocked_while_idle_is_blocked_for_what_comes() -> None:
    line = scheduler()
    line.block("a", until=30)
    line.add(waiting(1))
    assert line.pick(now=0) == []
    assert line.pick(now=31) == [1]


def test_a_longer_block_replaces_a_shorter_one() -> None:
    line = scheduler()
    line.add(waiting(1))
    line.block("a", until=30)
    line.block("a", until=60)
    line.block("a", until=10)
    assert line.pick(now=31) == []
    assert line.pick(now=60) == [1]


def test_a_withdrawn_download_never_starts_and_no_longer_counts() -> None:
    line = scheduler(max_concurrent=1)
    line.add(waiting(1))
    line.add(waiting(2))
    line.withdraw(1)
    assert line.waiting == 1
    assert line.pick(now=0) == [2]


def test_withdrawing_the_head_lets_the_rest_of_its_line_go_on() -> None:
    line = scheduler(max_per_host=1)
    line.add(waiting(1))
    line.add(waiting(2))
    line.add(waiting(3))
    assert line.pick(now=0) == [1]
    line.finished(1)
    line.withdraw(2)
    assert line.pick(now=0) == [3]


def test_a_download_that_is_added_again_moves_to_its_new_priority() -> None:
    line = scheduler(max_concurrent=1)
    line.add(waiting(1))
    line.add(waiting(2))
    line.add(waiting(1, priority=-5))
    assert line.waiting == 2
    assert line.pick(now=0) == [2]
    line.finished(2)
    assert line.pick(now=0) == [1]
    line.finished(1)
    assert line.pick(now=0) == []


def test_a_download_that_is_added_while_it_runs_has_one_place_and_joins_when_its_run_ends() -> None:
    line = scheduler(max_per_host=2)
    line.add(waiting(1))
    assert line.pick(now=0) == [1]
    line.add(waiting(1, priority=5))
    assert line.pick(now=0) == []
    line.add(waiting(2))
    line.add(waiting(3))
    assert line.pick(now=0) == [2]
    line.finished(1)
    assert line.pick(now=0) == [1]
    line.add(waiting(1))
    line.withdraw(1)
    line.finished(1)
    assert line.pick(now=0) == [3]


def test_a_delay_can_be_cut_short() -> None:
    line = scheduler()
    line.add(waiting(1, not_before=1000))
    line.add(waiting(1))
    assert line.pick(now=0) == [1]
    line.finished(1)
    assert line.pick(now=2000) == []


def test_without_room_nothing_starts_and_it_is_said_why() -> None:
    line = scheduler()
    line.add(waiting(1))
    line.add(waiting(2, not_before=10))
    line.lack_room("there is no room on the disk")
    assert line.pick(now=20) == []
    assert line.next_due() is None
    assert line.reason("a", None, 20) == "there is no room on the disk"
    assert line.holds(now=5) == {Hold.LATER: 1, Hold.NO_ROOM: 1}
    line.lack_room("the disk is gone")
    assert line.reason("a", None, 20) == "the disk is gone"
    line.lack_room(None)
    assert line.pick(now=20) == [1, 2]


def test_higher_limits_let_more_start_at_once() -> None:
    line = scheduler(max_concurrent=1, max_per_host=1)
    line.add(waiting(1))
    line.add(waiting(2))
    assert line.pick(now=0) == [1]
    line.change_limits(Limits(max_concurrent=2, max_per_host=2))
    assert line.pick(now=0) == [2]


def test_what_is_waited_for_is_counted() -> None:
    line = scheduler(max_concurrent=3, max_per_host=2)
    for seq in range(1, 6):
        line.add(waiting(seq, host="full"))
    line.add(waiting(10, host="later", not_before=50))
    line.block("asked", until=30)
    line.add(waiting(20, host="asked"))
    line.add(waiting(30, host="free"))
    assert line.pick(now=0) == [1, 2, 30]
    line.add(waiting(31, host="free"))
    assert line.holds(now=0) == {Hold.LATER: 1, Hold.HOST_FULL: 3, Hold.HOST_ASKED: 1, Hold.ALL_FULL: 1}
    assert line.origins(now=0) == Origins(connections=3, busiest=2, connected=2, waiting=3, blocked=1)
    line.withdraw(10)
    line.withdraw(3)
    line.borrow("free", 1)
    assert line.holds(now=0)[Hold.LATER] == 0
    assert line.holds(now=0)[Hold.HOST_FULL] == 3
    assert line.origins(now=0).connections == 4


def test_idle_hosts_are_forgotten() -> None:
    line = scheduler(max_concurrent=1000)
    for seq in range(1000):
        line.add(waiting(seq, host=f"host{seq}"))
    for seq in line.pick(now=0):
        line.finished(seq)
    assert not line._hosts


class SchedulerAgainstAModel(RuleBasedStateMachine):
    """Random events against a plain list; no limit is ever passed and nobody starves."""

    def __init__(self) -> None:
        super().__init__()
        self.line = scheduler(max_concurrent=4, max_per_host=2)
        self.model: dict[int, Waiting] = {}
        self.running: dict[int, str] = {}
        self.returning: dict[int, Waiting] = {}
        self.blocked: dict[str, float] = {}
        self.now = 0.0
        self.seq = 0

    @rule(host=st.sampled_from("abc"), priority=st.integers(-2, 2), delay=st.none() | st.integers(0, 20))
    def add(self, host: str, priority: int, delay: int | None) -> None:
        self.seq += 1
        one = waiting(self.seq, host, priority, None if delay is None else self.now + delay)
        self.model[one.seq] = one
        self.line.add(one)

    @rule(data=st.data(), priority=st.integers(-2, 2))
    def move(self, data: st.DataObject, priority: int) -> None:
        if self.model:
            one = self.model[data.draw(st.sampled_from(sorted(self.model)))]
            one = waiting(one.seq, one.host, priority)
            self.model[one.seq] = one
            self.line.add(one)

    @rule(data=st.data(), host=st.sampled_from("abc"))
    def add_while_it_runs(self, data: st.DataObject, host: str) -> None:
        if self.running:
            seq = data.draw(st.sampled_from(sorted(self.running)))
            self.returning[seq] = waiting(seq, host)
            self.line.add(self.returning[seq])

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        if self.model:
            seq = data.draw(st.sampled_from(sorted(self.model)))
            del self.model[seq]
            self.line.withdraw(seq)

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        if self.running:
            seq = data.draw(st.sampled_from(sorted(self.running)))
            del self.running[seq]
            if seq in self.returning:
                self.model[seq] = self.returning.pop(seq)
            self.line.finished(seq)

    @rule(host=st.sampled_from("abc"), seconds=st.integers(1, 20))
    def block(self, host: str, seconds: int) -> None:
        self.line.block(host, self.now + seconds)
        self.blocked[host] = max(self.blocked.get(host, 0), self.now + seconds)

    @rule(seconds=st.integers(0, 15))
    def pick(self, seconds: int) -> None:
        self.now += seconds
        expected: list[int] = []
        places = Counter(self.running.values())
        for one in sorted(self.model.values(), key=lambda w: (-w.priority, w.seq)):
            if len(self.running) + len(expected) >= 4:
                break
            due = one.not_before is None or one.not_before <= self.now
            if due and places[one.host] < 2 and self.blocked.get(one.host, 0) <= self.now:
                places[one.host] += 1
                expected.append(one.seq)
        assert self.line.pick(self.now) == expected
        for seq in expected:
            self.running[seq] = self.model.pop(seq).host

    @invariant()
    def every_waiting_download_is_counted_by_what_it_waits_for(self) -> None:
        holds = self.line.holds(self.now)
        assert sum(holds.values()) == self.line.waiting
        assert min(holds.values()) >= 0

    @invariant()
    def counts_agree(self) -> None:
        assert self.line.waiting == len(self.model)
        assert self.line.running == len(self.running)


TestSchedulerAgainstAModel = SchedulerAgainstAModel.TestCase
TestSchedulerAgainstAModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_borrowed_places_are_the_hosts_and_come_back() -> None:
    line = scheduler(max_per_host=3)
    for seq in (1, 2):
        line.add(Waiting(seq=seq, host="a", priority=0))
    line.add(Waiting(seq=3, host="b", priority=0))
    assert line.borrow("a", 9) == 3
    # Its places are lent, so only the other host's download starts.
    assert line.pick(0) == [3]
    assert line.borrow("a", 1) == 0
    line.give_back("a", 1)
    assert line.pick(0) == [1]
    line.give_back("a", 2)
    assert line.pick(0) == [2]
    line.give_back("a", 0)


def test_a_host_that_asked_to_be_left_alone_lends_no_place() -> None:
    line = scheduler(max_per_host=3)
    line.block("a", 10)
    assert (line.borrow("a", 1), line.borrow("b", 1)) == (0, 1)
    line.pick(10)
    assert line.borrow("a", 1) == 1
