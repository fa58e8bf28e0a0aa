import pytest

from downloadd.hooks.outcome import FIRST_DELAY, LIFETIME, LONGEST_DELAY, GiveUp, Later, NotTold, decide

ENDED = 1_700_000_000.0


def test_tries_come_ever_later_for_a_day() -> None:
    now = ENDED
    delays: list[float] = []
    while True:
        follows = decide(NotTold(reason="x"), tries=len(delays) + 1, created=ENDED, now=now, random=0.999_999)
        if isinstance(follows, GiveUp):
            break
        delays.append(follows.due - now)
        now = follows.due
    assert delays[0] == pytest.approx(FIRST_DELAY, rel=0.01)
    assert delays == sorted(delays)
    assert max(delays) == pytest.approx(LONGEST_DELAY, rel=0.01)
    assert 10 < len(delays) < 25
    assert LIFETIME - LONGEST_DELAY <= now - ENDED <= LIFETIME


def test_jitter_takes_off_up_to_half() -> None:
    dues = [decide(NotTold(reason="x"), tries=1, created=ENDED, now=ENDED, random=random) for random in (0.0, 0.999)]
    assert dues[0] == Later(due=ENDED + FIRST_DELAY / 2)
    assert isinstance(dues[1], Later)
    assert dues[1].due == pytest.approx(ENDED + FIRST_DELAY, abs=0.01)


def test_a_receiver_is_left_alone_as_long_as_it_asks() -> None:
    follows = decide(NotTold(reason="x", retry_after=600), tries=1, created=ENDED, now=ENDED, random=0.5)
    assert follows == Later(due=ENDED + 600)


def test_one_that_wants_to_hear_no_more_is_given_up_at_once() -> None:
    assert decide(NotTold(reason="x", final=True), tries=1, created=ENDED, now=ENDED, random=0.5) == GiveUp()


def test_a_day_after_the_end_no_further_try_is_made() -> None:
    late = ENDED + 3 * LIFETIME
    assert decide(NotTold(reason="x"), tries=1, created=ENDED, now=late, random=0.5) == GiveUp()
