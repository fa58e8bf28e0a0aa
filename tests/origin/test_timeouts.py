"""Time limits of the requests to origins."""

import pytest

from downloadd.attempt_options import AttemptOptions
from downloadd.config import HostConfig
from downloadd.origin.timeouts import Timeouts

QUICK = HostConfig(host="a.example", connect_timeout=5.0)


def test_without_settings_a_connection_has_the_time_of_a_stall() -> None:
    for host in (None, HostConfig(host="a.example")):
        assert Timeouts.select(stall_timeout=30, host=host) == Timeouts(connect=30, stall=30)
    assert Timeouts.select(stall_timeout=30, host=QUICK) == Timeouts(connect=5, stall=30)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (AttemptOptions(stall_timeout=2), Timeouts(connect=5, stall=2)),
        (AttemptOptions(connect_timeout=3), Timeouts(connect=3, stall=30)),
        (AttemptOptions(connect_timeout=0, stall_timeout=0), Timeouts(connect=None, stall=None)),
        (AttemptOptions(max_retries=1), Timeouts(connect=5, stall=30)),
    ],
)
def test_the_options_of_a_download_come_before_the_settings(options: AttemptOptions, expected: Timeouts) -> None:
    assert Timeouts.select(stall_timeout=30, host=QUICK, options=options) == expected


def test_a_stall_timeout_of_the_download_holds_for_connecting_too() -> None:
    options = AttemptOptions(stall_timeout=2)
    assert Timeouts.select(stall_timeout=30, host=None, options=options) == Timeouts(connect=2, stall=2)


def test_zero_is_no_limit() -> None:
    assert Timeouts.select(stall_timeout=0, host=None) == Timeouts(connect=None, stall=None)
