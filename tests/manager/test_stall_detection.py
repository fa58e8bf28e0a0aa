"""Detection of runs that do not move."""

from typing import Any

import pytest

from downloadd.attempt_options import AttemptOptions
from downloadd.manager.stall_detection import (
    MIN_DISK_BYTES_PER_SECOND,
    STALL_MARGIN_SECONDS,
    is_stalled,
    observe,
    select_wait_limit,
)
from downloadd.states import State

SEEN = observe(None, state=State.DOWNLOADING, received_bytes=5, request_count=1, waits=False, now=100)


def test_an_unchanged_run_keeps_the_time_of_its_last_change() -> None:
    again = observe(SEEN, state=State.DOWNLOADING, received_bytes=5, request_count=1, waits=False, now=200)
    assert again is SEEN


@pytest.mark.parametrize(
    "change",
    [{"state": State.VERIFYING}, {"received_bytes": 6}, {"request_count": 2}, {"waits": True}],
    ids=["state", "bytes", "requests", "waits"],
)
def test_a_change_and_a_wait_count_as_moving(change: dict[str, Any]) -> None:
    facts: dict[str, Any] = {"state": State.DOWNLOADING, "received_bytes": 5, "request_count": 1, "waits": False}
    assert observe(SEEN, **{**facts, **change}, now=200).since == 200


def test_a_run_is_stalled_after_its_timeout_and_the_margin() -> None:
    last = 100 + 30 + STALL_MARGIN_SECONDS
    assert not is_stalled(SEEN, size=0, wait_limit=30, now=last)
    assert is_stalled(SEEN, size=0, wait_limit=30, now=last + 1)


@pytest.mark.parametrize(
    ("state", "options", "expected"),
    [
        (State.DOWNLOADING, AttemptOptions(), 30),
        (State.DOWNLOADING, AttemptOptions(stall_timeout=90), 90),
        (State.DOWNLOADING, AttemptOptions(stall_timeout=0), 0),
        (State.DOWNLOADING, AttemptOptions(connect_timeout=90), 30),
        (State.STARTING, AttemptOptions(connect_timeout=90), 90),
        (State.STARTING, AttemptOptions(connect_timeout=5), 30),
        (State.STARTING, AttemptOptions(connect_timeout=0), 0),
    ],
)
def test_a_run_waits_as_long_as_the_options_of_its_download_say(
    state: State, options: AttemptOptions, expected: float
) -> None:
    assert select_wait_limit(state, options, stall_timeout=30) == expected


@pytest.mark.parametrize(
    ("state", "options", "expected"),
    [
        (State.STARTING, AttemptOptions(), 90),
        (State.DOWNLOADING, AttemptOptions(), 30),
        (State.STARTING, AttemptOptions(connect_timeout=5), 30),
    ],
)
def test_a_run_connects_for_as_long_as_a_host_may_take(state: State, options: AttemptOptions, expected: float) -> None:
    assert select_wait_limit(state, options, stall_timeout=30, connect_timeout=90) == expected


def test_without_a_timeout_no_run_is_stalled() -> None:
    assert not is_stalled(SEEN, size=0, wait_limit=0, now=1e12)


def test_a_large_file_has_more_time_to_be_verified() -> None:
    verifying = observe(None, state=State.VERIFYING, received_bytes=5, request_count=1, waits=False, now=100)
    last = 100 + 30 + STALL_MARGIN_SECONDS + 1000
    size = 1000 * MIN_DISK_BYTES_PER_SECOND
    assert not is_stalled(verifying, size=size, wait_limit=30, now=last)
    assert is_stalled(verifying, size=size, wait_limit=30, now=last + 1)
    assert is_stalled(SEEN, size=size, wait_limit=30, now=last)
