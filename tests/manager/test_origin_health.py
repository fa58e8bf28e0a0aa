"""Health of one origin."""

import pytest

from downloadd.errors import (
    ChecksumMismatchError,
    DownloadError,
    DownloadTimeoutError,
    InsufficientStorageError,
    NetworkError,
    NetworkErrorKind,
    RemoteError,
    RemoteFileNotFoundError,
    TooManyRedirectsError,
)
from downloadd.manager.origin_health import (
    HEALTHY,
    KEEP_SECONDS,
    MAX_PAUSE_SECONDS,
    MAX_STREAK,
    RAISE_SECONDS,
    FailureKind,
    OriginFailure,
    OriginHealth,
    OriginLoad,
    Verdict,
    classify_failure,
    end_backoff,
    hasten_probe,
    raise_slots,
    record_answer,
    record_failure,
)
from downloadd.manager.retry import MAX_HOST_BACKOFF_SECONDS

IDLE = OriginLoad(running=0, receiving=0, max_slots=16)


def failed(
    health: OriginHealth = HEALTHY,
    kind: FailureKind = FailureKind.REFUSED,
    *,
    now: float = 100,
    seq: int = 1,
    load: OriginLoad = IDLE,
    is_probe: bool = True,
    has_answered: bool = False,
    retry_after: float | None = None,
) -> tuple[OriginHealth, Verdict]:
    return record_failure(
        health,
        OriginFailure(kind=kind, seq=seq, detail="refused", retry_after=retry_after),
        load,
        is_probe=is_probe,
        has_answered=has_answered,
        now=now,
        random=0.0,
    )


def free_slots(health: OriginHealth, now: float, *, running: int = 0, is_probed: bool = False) -> int:
    return health.free_slots(running=running, is_probed=is_probed, max_slots=16, now=now)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NetworkError("x", kind=NetworkErrorKind.NAME), FailureKind.UNREACHABLE),
        (NetworkError("x", kind=NetworkErrorKind.CONNECT), FailureKind.REFUSED),
        (NetworkError("x", kind=NetworkErrorKind.TLS), FailureKind.REFUSED),
        (NetworkError("x", kind=NetworkErrorKind.NO_RESPONSE), FailureKind.REFUSED),
        (NetworkError("x", kind=NetworkErrorKind.TLS, permanent=True), FailureKind.RESOURCE),
        (NetworkError("x", kind=NetworkErrorKind.STALLED), FailureKind.ATTEMPT),
        (NetworkError("x", kind=NetworkErrorKind.CUT), FailureKind.ATTEMPT),
        (NetworkError("x"), FailureKind.ATTEMPT),
        (RemoteError(429), FailureKind.BUSY),
        (RemoteError(503), FailureKind.BUSY),
        (RemoteError(500), FailureKind.ATTEMPT),
        (RemoteError(403), FailureKind.RESOURCE),
        (RemoteFileNotFoundError(404), FailureKind.RESOURCE),
        (TooManyRedirectsError(10), FailureKind.RESOURCE),
        (InsufficientStorageError("full"), None),
        (DownloadTimeoutError(5), None),
        (ChecksumMismatchError("md5=0", "md5=1"), None),
    ],
    ids=repr,
)
def test_a_failure_is_attributed_to_its_cause(error: DownloadError, kind: FailureKind | None) -> None:
    assert classify_failure(error) is kind


@pytest.mark.parametrize("kind", [FailureKind.REFUSED, FailureKind.UNREACHABLE])
def test_a_failure_of_the_host_opens_the_circuit_and_is_not_counted(kind: FailureKind) -> None:
    health, verdict = failed(kind=kind)
    assert verdict == Verdict(is_counted=False, is_timed=True, failing_seconds=0, pause=0.25)
    assert (health.is_open, health.failures, health.error) == (True, 1, "refused")
    assert free_slots(health, 100.2) == 0


def test_one_probe_at_a_time_starts_after_each_pause() -> None:
    health, _ = failed()
    assert free_slots(health, 100.25) == 1
    assert free_slots(health, 100.25, running=16) == 0
    assert free_slots(health, 100.25, is_probed=True) == 0


def test_the_pauses_between_probes_grow_to_a_maximum() -> None:
    health, now, pauses = HEALTHY, 100.0, []
    for _ in range(9):
        health, verdict = failed(health, now=now)
        pauses.append(verdict.pause)
        now = health.probe_at
    assert pauses[:4] == pytest.approx([0.25, 0.5, 1, 2])
    assert pauses[-1] == pytest.approx(MAX_PAUSE_SECONDS / 2)


def test_failures_of_other_runs_do_not_delay_the_probe() -> None:
    health, _ = failed()
    after, verdict = failed(health, is_probe=False, now=100.1)
    assert (after.probe_at, after.failures, after.failing_since) == (health.probe_at, 1, 100)
    assert not verdict.is_counted
    assert verdict.failing_seconds == pytest.approx(0.1)


def test_a_host_that_has_answered_before_costs_no_time() -> None:
    assert not failed(has_answered=True)[1].is_timed


def test_an_answer_closes_the_circuit_and_restores_all_slots() -> None:
    health, _ = failed()
    assert record_answer(health, max_slots=16, now=200) == HEALTHY
    assert free_slots(HEALTHY, 200, running=3) == 13


def test_an_answer_keeps_a_backoff() -> None:
    health, _ = failed(kind=FailureKind.BUSY, retry_after=60)
    assert free_slots(record_answer(health, max_slots=16, now=110), 110) == 0


@pytest.mark.parametrize("kind", [FailureKind.REFUSED, FailureKind.BUSY])
def test_a_refusal_beside_others_lowers_the_slots_by_one_and_is_not_counted(kind: FailureKind) -> None:
    health = HEALTHY
    for running in range(15, 1, -1):
        health, verdict = failed(health, kind, load=OriginLoad(running=running, receiving=2, max_slots=16))
        assert verdict == Verdict(is_counted=False, is_timed=False)
    assert (health.slots, health.is_open) == (2, False)
    for _ in range(5):
        health, _ = failed(health, kind, load=OriginLoad(running=1, receiving=1, max_slots=16))
    assert (health.slots, free_slots(health, 100)) == (1, 1)


def test_a_name_that_cannot_be_resolved_says_nothing_about_slots() -> None:
    assert failed(kind=FailureKind.UNREACHABLE, load=OriginLoad(running=9, receiving=9, max_slots=16))[0].is_open


def test_answers_raise_lowered_slots_one_by_one() -> None:
    health, _ = failed(load=OriginLoad(running=14, receiving=14, max_slots=16))
    assert health.slots == 14
    assert record_answer(health, max_slots=16, now=101).slots == 14
    for expected in (15, None):
        health = record_answer(health, max_slots=16, now=health.slots_changed_at + RAISE_SECONDS)
        assert health.slots == expected
    assert health == HEALTHY


def test_time_raises_lowered_slots_while_other_downloads_keep_theirs() -> None:
    health, _ = failed(load=OriginLoad(running=1, receiving=1, max_slots=16))
    assert (health.slots, health.slots_raised_at) == (1, 100 + RAISE_SECONDS)
    assert raise_slots(health, max_slots=16, now=100 + RAISE_SECONDS - 0.1) == health
    raised = raise_slots(health, max_slots=16, now=100 + RAISE_SECONDS)
    assert (raised.slots, raised.slots_changed_at) == (2, 100 + RAISE_SECONDS)
    assert raise_slots(raised, max_slots=3, now=200).slots is None
    assert raise_slots(HEALTHY, max_slots=16, now=200) == HEALTHY


def test_a_busy_origin_that_serves_nothing_else_is_a_failed_attempt() -> None:
    health, verdict = failed(kind=FailureKind.BUSY)
    assert (verdict, health.is_open) == (Verdict(), False)


def test_a_pause_that_the_origin_asks_for_is_kept_and_not_counted() -> None:
    health, verdict = failed(kind=FailureKind.BUSY, retry_after=60)
    assert verdict == Verdict(is_counted=False)
    assert (free_slots(health, 159), free_slots(health, 160)) == (0, 16)
    assert end_backoff(health, now=159) == health
    assert end_backoff(health, now=160).backoff_until == 0
    longest, _ = failed(kind=FailureKind.ATTEMPT, retry_after=1e9)
    assert longest.backoff_until == 100 + MAX_HOST_BACKOFF_SECONDS


def test_many_failures_in_a_row_of_several_downloads_open_the_circuit() -> None:
    health = HEALTHY
    for number in range(MAX_STREAK - 1):
        health, verdict = failed(health, FailureKind.ATTEMPT, seq=number % 3)
        assert (health.is_open, verdict.is_counted) == (False, True)
    health, verdict = failed(health, FailureKind.ATTEMPT)
    assert (health.is_open, verdict.is_counted) == (True, False)


def test_a_single_download_that_always_fails_does_not_open_the_circuit() -> None:
    health = HEALTHY
    for _ in range(50):
        health, verdict = failed(health, FailureKind.ATTEMPT)
        assert verdict.is_counted
    assert not health.is_open


def test_an_answer_for_a_missing_resource_closes_the_circuit() -> None:
    health, verdict = failed(failed()[0], FailureKind.RESOURCE)
    assert (health, verdict) == (HEALTHY, Verdict())


def test_an_end_by_time_hastens_the_next_probe() -> None:
    health = OriginHealth(is_open=True, probe_at=130)
    assert hasten_probe(health, now=100).probe_at == 100.5
    assert hasten_probe(health, now=129.9).probe_at == 130


def test_the_health_is_kept_as_long_as_it_has_an_effect() -> None:
    assert HEALTHY.kept_until == 0
    assert failed()[0].kept_until == 100 + KEEP_SECONDS
    assert failed(kind=FailureKind.BUSY, retry_after=1000)[0].kept_until == 1100
