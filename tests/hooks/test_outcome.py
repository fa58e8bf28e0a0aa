import pytest

from downloadd.hooks.outcome import (
    INITIAL_DELAY_SECONDS,
    MAX_AGE_SECONDS,
    MAX_DELAY_SECONDS,
    Abort,
    DeliveryFailed,
    RetryAt,
    decide,
)

END_TIME = 1_700_000_000.0


def test_the_delay_between_attempts_grows_for_a_day() -> None:
    now = END_TIME
    delays: list[float] = []
    while True:
        follows = decide(DeliveryFailed(reason="x"), tries=len(delays) + 1, created=END_TIME, now=now, random=0.999_999)
        if isinstance(follows, Abort):
            break
        delays.append(follows.due - now)
        now = follows.due
    assert delays[0] == pytest.approx(INITIAL_DELAY_SECONDS, rel=0.01)
    assert delays == sorted(delays)
    assert max(delays) == pytest.approx(MAX_DELAY_SECONDS, rel=0.01)
    assert 10 < len(delays) < 25
    assert MAX_AGE_SECONDS - MAX_DELAY_SECONDS <= now - END_TIME <= MAX_AGE_SECONDS


def test_jitter_shortens_a_delay_by_up_to_half() -> None:
    dues = [
        decide(DeliveryFailed(reason="x"), tries=1, created=END_TIME, now=END_TIME, random=random)
        for random in (0.0, 0.999)
    ]
    assert dues[0] == RetryAt(due=END_TIME + INITIAL_DELAY_SECONDS / 2)
    assert isinstance(dues[1], RetryAt)
    assert dues[1].due == pytest.approx(END_TIME + INITIAL_DELAY_SECONDS, abs=0.01)


def test_the_delay_is_at_least_what_the_receiver_asks_for() -> None:
    follows = decide(DeliveryFailed(reason="x", retry_after=600), tries=1, created=END_TIME, now=END_TIME, random=0.5)
    assert follows == RetryAt(due=END_TIME + 600)


def test_a_permanent_failure_aborts_at_once() -> None:
    assert (
        decide(DeliveryFailed(reason="x", permanent=True), tries=1, created=END_TIME, now=END_TIME, random=0.5)
        == Abort()
    )


def test_no_attempt_follows_a_day_after_the_end() -> None:
    late = END_TIME + 3 * MAX_AGE_SECONDS
    assert decide(DeliveryFailed(reason="x"), tries=1, created=END_TIME, now=late, random=0.5) == Abort()
