"""Table of the origins in use or in trouble."""

import pytest

from downloadd.manager import origin_table
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import HEALTHY, KEEP_SECONDS, FailureKind, OriginFailure, OriginHealth, Verdict
from downloadd.manager.origin_table import KnownHealth, OriginTable, make_known_health, make_record

A = "https://a.example"
LIMITS = Limits(max_concurrent=9, max_per_host=9)


def fail(
    table: OriginTable,
    seq: int = 1,
    *,
    origin: str = A,
    kind: FailureKind = FailureKind.REFUSED,
    now: float = 0,
    retry_after: float | None = None,
    has_response: bool = False,
) -> Verdict:
    failure = OriginFailure(kind=kind, seq=seq, detail="refused", retry_after=retry_after, has_response=has_response)
    return table.report_failure(origin, failure, now=now, random=0.0)


def answer(table: OriginTable, seq: int = 1, *, now: float = 0) -> bool:
    return table.report_answer(A, seq, now=now)


def run(table: OriginTable, *seqs: int, now: float = 0) -> None:
    for seq in seqs:
        table.use(A)
        table.begin_run(A, seq, now=now)


def end(table: OriginTable, seq: int) -> None:
    table.end_run(A, seq)
    table.forget_unused(A)


def test_an_unused_healthy_origin_is_forgotten() -> None:
    table = OriginTable(LIMITS)
    run(table, 1, 2)
    answer(table)
    for seq in (1, 2):
        assert table.get(A) is not None
        end(table, seq)
    assert table.get(A) is None


def test_an_unused_origin_in_trouble_is_kept_for_a_while() -> None:
    table = OriginTable(LIMITS)
    fail(table)
    table.forget_unused(A)
    assert table.get(A) is not None
    list(table.pop_due(KEEP_SECONDS - 1))
    table.forget_unused(A)
    assert table.get(A) is not None
    assert list(table.pop_due(KEEP_SECONDS)) == [A]
    table.forget_unused(A)
    assert (table.get(A), table.next_due()) == (None, None)


def test_a_refusal_beside_a_run_that_receives_lowers_the_slots() -> None:
    table = OriginTable(LIMITS)
    run(table, 1, 2, 3)
    answer(table, 1)
    assert fail(table, 3) == Verdict(is_counted=False, is_timed=False)
    assert table.use(A).health.slots == 2


def test_a_run_that_was_answered_itself_is_no_other() -> None:
    table = OriginTable(LIMITS)
    run(table, 1)
    answer(table, 1)
    fail(table, 1)
    assert table.use(A).health.is_open


def test_an_answer_to_a_download_without_a_slot_does_not_count_as_a_run() -> None:
    table = OriginTable(LIMITS)
    run(table, 1)
    answer(table, 7)
    fail(table, 1)
    assert table.use(A).health.is_open


def test_a_probe_without_an_outcome_is_followed_by_another_one_after_the_same_pause() -> None:
    table = OriginTable(LIMITS)
    fail(table)
    run(table, 2, now=1)
    queue = table.use(A)
    assert (queue.probe, queue.free_slots(9, 2)) == (2, 0)
    end(table, 2)
    assert (queue.probe, queue.health.failures) == (None, 1)
    assert (queue.free_slots(9, 1.3), queue.free_slots(9, 1.4)) == (0, 1)


def test_only_the_probe_makes_the_pause_longer() -> None:
    table = OriginTable(LIMITS)
    run(table, 1, 3)
    fail(table, 1)
    run(table, 2, now=1)
    assert fail(table, 3, now=1).failing_seconds == 1
    assert table.use(A).health.failures == 1
    fail(table, 2, now=1.1)
    assert (table.use(A).health.failures, table.use(A).probe) == (2, None)


def test_an_answer_offers_the_origin_again() -> None:
    table = OriginTable(LIMITS)
    fail(table)
    run(table, 1, now=1)
    assert answer(table, now=2)
    assert A in list(table.pop_due(2))
    assert (table.use(A).health, table.use(A).probe) == (HEALTHY, None)
    assert not answer(table, now=3)


def test_a_missing_resource_offers_the_origin_again() -> None:
    table = OriginTable(LIMITS)
    fail(table)
    run(table, 1, now=1)
    fail(table, 1, kind=FailureKind.RESOURCE, now=2)
    assert A in list(table.pop_due(2))
    assert table.use(A).health == HEALTHY


def test_an_origin_that_redirects_lead_to_is_probed_by_any_download() -> None:
    table = OriginTable(LIMITS)
    assert fail(table, 1).pause == 0.25
    assert fail(table, 2, now=0.1).pause == pytest.approx(0.15)
    assert fail(table, 1, now=0.3).pause == 0.5


def test_an_origin_that_has_ever_answered_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    table = OriginTable(LIMITS)
    assert fail(table).is_timed
    assert not table.is_awaited(A)
    answer(table)
    assert not fail(table).is_timed
    assert table.is_awaited(A)
    assert fail(table, origin="b", kind=FailureKind.ATTEMPT, has_response=True).is_timed is not False
    fail(table, origin="b")
    assert table.is_awaited("b")
    monkeypatch.setattr(origin_table, "MAX_ANSWERED_ORIGINS", 1)
    table.report_answer("c", 1, now=0)
    table.report_answer("d", 1, now=0)
    assert not table.is_awaited(A)


def test_a_health_that_must_survive_a_restart_is_recorded_and_restored() -> None:
    table = OriginTable(LIMITS)
    answer(table)
    assert table.health_to_store(A, now=0) is None
    fail(table, now=10)
    fail(table, origin="b", kind=FailureKind.BUSY, retry_after=60, now=10)
    records = [make_record(known, 1000) for origin in (A, "b") if (known := table.health_to_store(origin, now=10))]
    assert [(one.origin, one.is_open, one.probe_at, one.backoff_until) for one in records] == [
        (A, True, 1010.25, 0),
        ("b", False, 0, 1070),
    ]
    restored = OriginTable(LIMITS)
    for record in records:
        restored.restore(make_known_health(record, now=20, to_own_time=lambda time: time - 1000))
    assert restored.is_awaited(A)
    assert fail(restored, now=20).failing_seconds == 10
    assert (restored.use("b").free_slots(9, 69), restored.use("b").free_slots(9, 70)) == (0, 9)
    assert restored.health_to_store("b", now=70) is None


def test_a_recorded_backoff_that_has_passed_is_not_restored() -> None:
    known = KnownHealth(origin=A, health=OriginHealth(backoff_until=50), has_answered=False)
    restored = make_known_health(make_record(known, 0), now=60, to_own_time=lambda time: time)
    assert restored.health.backoff_until == 0
