"""Lease of a node."""

import pytest

from downloadd.cluster.lease import Lease


@pytest.mark.parametrize(("seconds", "interval"), [(15, 0.75), (300, 0.75), (1.5, 0.5), (1, 1 / 3)])
def test_heartbeats_are_less_than_a_second_apart_or_a_third_of_a_short_lease(seconds: float, interval: float) -> None:
    assert Lease(seconds).interval == pytest.approx(interval)


def test_it_is_held_for_most_of_its_seconds_after_the_last_heartbeat_was_sent() -> None:
    lease = Lease(10)
    assert not lease.is_held(100)
    assert lease.silence(100) == 0
    lease.renew(100)
    assert lease.is_held(107.9)
    assert not lease.is_held(108)
    assert (lease.remaining(103), lease.remaining(109), lease.silence(109)) == (5, 0, 9)
    lease.renew(109)
    assert lease.is_held(116.9)


def test_an_older_heartbeat_that_is_answered_late_does_not_shorten_it() -> None:
    lease = Lease(10)
    lease.renew(105)
    lease.renew(100)
    assert lease.is_held(112)
