"""Running downloads and their slots at origins and targets of redirects."""

import pytest

from downloadd.manager import redirect_targets
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import FailureKind, OriginFailure
from downloadd.manager.origin_table import OriginTable
from downloadd.manager.redirect_targets import RedirectTargets
from downloadd.manager.running_downloads import RunningDownloads

MAX_SLOTS = 2


class Runs:
    """Runs of the origin `a`, of which redirects lead to `cdn`."""

    def __init__(self) -> None:
        self.origins = OriginTable(Limits(max_concurrent=9, max_per_host=MAX_SLOTS))
        self.targets = RedirectTargets()
        self.running = RunningDownloads(self.origins, self.targets)

    def begin(self, *seqs: int, expected: str = "", has_target_slot: bool = True) -> None:
        for seq in seqs:
            self.running.begin(seq, ("a", expected, "u"), expected, has_target_slot=has_target_slot, now=0)

    def enter(self, seq: int, origin: str = "cdn", *, now: float = 0) -> bool:
        return self.running.enter(seq, "a", origin, now=now)

    def fail(self, origin: str, seq: int = 0, *, kind: FailureKind = FailureKind.REFUSED) -> None:
        failure = OriginFailure(kind=kind, seq=seq, detail="refused")
        self.origins.report_failure(origin, failure, now=0, random=0)

    def in_use(self) -> dict[str, int]:
        return {origin: entry.running for origin, entry in self.origins.entries.items() if entry.running}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setattr(redirect_targets, "MIN_DOWNLOADS", 1)
    return Runs()


def test_a_run_that_is_led_elsewhere_takes_a_slot_there_until_its_end(runs: Runs) -> None:
    runs.begin(1, 2, 3)
    assert [runs.enter(seq) for seq in (1, 2, 3)] == [True, True, False]
    assert runs.in_use() == {"a": 3, "cdn": 2}
    # Its later requests need no further slot.
    assert runs.enter(1)
    assert runs.in_use() == {"a": 3, "cdn": 2}
    runs.running.end(1)
    assert (runs.in_use(), runs.running.freed, len(runs.running)) == ({"a": 2, "cdn": 1}, {"a", "cdn"}, 2)
    assert runs.enter(3)


def test_a_run_that_is_led_on_has_the_slot_of_the_last_origin_only(runs: Runs) -> None:
    runs.begin(1)
    assert runs.enter(1, "between")
    assert runs.enter(1, "cdn")
    assert runs.in_use() == {"a": 1, "cdn": 1}
    runs.running.leave(1)
    assert runs.in_use() == {"a": 1}


def test_a_slot_that_was_taken_in_advance_is_used_or_given_back(runs: Runs) -> None:
    runs.begin(1, 2, expected="cdn")
    assert runs.in_use() == {"a": 2, "cdn": 2}
    assert runs.enter(1)
    assert runs.enter(2, "mirror")
    assert runs.in_use() == {"a": 2, "cdn": 1, "mirror": 1}


def test_a_slot_in_advance_is_given_back_if_the_origin_has_fewer_slots_since_then(runs: Runs) -> None:
    runs.begin(1, 2, expected="cdn")
    assert runs.enter(1)
    runs.origins.report_answer("cdn", 1, now=0)
    runs.fail("cdn")
    assert not runs.enter(2)
    assert runs.in_use() == {"a": 2, "cdn": 1}


def test_an_open_circuit_lets_one_run_through_as_the_probe(runs: Runs) -> None:
    runs.fail("cdn")
    runs.begin(1, 2)
    assert not runs.enter(1)
    assert runs.enter(1, now=1)
    assert runs.origins.use("cdn").probe == 1
    assert not runs.enter(2, now=1)
    # It is still the probe when it is led there again, or there by way of another origin.
    assert runs.enter(1, now=1)
    runs.running.end(1)
    assert runs.origins.use("cdn").probe is None


def test_a_probe_that_was_expected_at_the_target_may_enter(runs: Runs) -> None:
    runs.fail("cdn")
    runs.running.begin(1, ("a", "cdn", "u"), "cdn", has_target_slot=True, now=1)
    assert runs.enter(1, now=1)


def test_a_redirect_back_to_the_origin_of_the_run_needs_no_slot(runs: Runs) -> None:
    runs.begin(1)
    assert runs.running.enter(1, "mirror", "a", now=0)
    assert runs.in_use() == {"a": 1}


def test_a_run_that_was_aborted_gets_no_slot(runs: Runs) -> None:
    assert not runs.enter(1)
    runs.running.leave(1)
    runs.running.end(1)
    assert not runs.running.learn_from_answer(1, "a", now=0)
    assert runs.in_use() == {}


def test_targets_are_learned_from_answers_failures_and_missing_slots(runs: Runs) -> None:
    runs.begin(1)
    assert runs.enter(1, "between")
    # The way to the target says nothing.
    assert runs.targets.likely("a", now=0) is None
    assert runs.enter(1)
    assert not runs.running.learn_from_answer(1, "elsewhere", now=0)
    assert runs.targets.likely("a", now=0) is None
    runs.running.learn_from_answer(1, "cdn", now=0)
    assert runs.targets.likely("a", now=0) == "cdn"
    runs.begin(2)
    runs.enter(2, "down")
    runs.running.learn_from_failure(2, "down", now=0)
    assert runs.targets.likely("a", now=0) is None


def test_a_missing_slot_shows_where_redirects_lead(runs: Runs) -> None:
    runs.begin(1)
    runs.origins.use("cdn").running = MAX_SLOTS
    assert not runs.enter(1)
    assert runs.targets.likely("a", now=0) == "cdn"


@pytest.mark.parametrize(
    ("expected", "led", "is_elsewhere"), [("cdn", "mirror", True), ("cdn", "cdn", False), ("", "cdn", False)]
)
def test_an_answer_from_elsewhere_than_expected_is_reported(
    runs: Runs, expected: str, led: str, is_elsewhere: bool
) -> None:
    runs.begin(1, expected=expected)
    assert runs.enter(1, led)
    assert runs.running.learn_from_answer(1, led, now=0) == is_elsewhere


def test_a_direct_answer_is_elsewhere_than_an_expected_target(runs: Runs) -> None:
    runs.begin(1, expected="cdn", has_target_slot=False)
    assert runs.running.learn_from_answer(1, "a", now=0)
    assert runs.in_use() == {"a": 1}
