"""Detection of runs that do not move any more.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from downloadd.attempt_options import AttemptOptions
from downloadd.states import State

STALL_MARGIN_SECONDS: Final = 60.0
"""Seconds added to the stall timeout, so that waits for the origin end by their own timeout before."""

MIN_DISK_BYTES_PER_SECOND: Final = 1 << 20
"""Bytes a second at which a file is verified and written to stable storage at least; nothing is received then."""


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """State and counters of a run, with the time since when they are unchanged."""

    state: State
    received_bytes: int
    """Bytes that origins have sent."""
    request_count: int
    """Requests that were made to all sources."""
    since: float
    """Seconds of the monotonic clock when this was observed first."""


def observe(
    before: Activity | None, *, state: State, received_bytes: int, request_count: int, waits: bool, now: float
) -> Activity:
    """Return the present activity; `before`, with its time, if nothing has changed since.

    A run that `waits` counts as moving: for a speed limit, which grants bytes to every run in time, or for the records,
    whose unavailability is not the run's fault.
    """
    activity = Activity(state=state, received_bytes=received_bytes, request_count=request_count, since=now)
    if before is None or waits or replace(before, since=now) != activity:
        return activity
    return before


def select_wait_limit(
    state: State, options: AttemptOptions, *, stall_timeout: float, connect_timeout: float | None = None
) -> float:
    """Return the seconds that a run may wait for its origin; 0 for no limit.

    Args:
        state: the state of the run.
        options: those of its download, which come first.
        stall_timeout: seconds, as configured; 0 for no limit.
        connect_timeout: seconds, the longest that a host is configured with, which may be the one that redirects lead
            to; None if no host has one.
    """
    stall = stall_timeout if options.stall_timeout is None else options.stall_timeout
    connect = connect_timeout if options.connect_timeout is None else options.connect_timeout
    if connect is None or state is not State.STARTING:
        return stall
    return max(stall, connect) if stall and connect else 0.0


def is_stalled(activity: Activity, *, size: int, wait_limit: float, now: float) -> bool:
    """Return True if a run is to be aborted.

    Args:
        activity: its last activity.
        size: bytes in its part file.
        wait_limit: seconds; see `select_wait_limit`.
        now: of the monotonic clock.
    """
    if not wait_limit:
        return False
    limit = wait_limit + STALL_MARGIN_SECONDS
    if activity.state is State.VERIFYING:
        limit += size / MIN_DISK_BYTES_PER_SECOND
    return now - activity.since > limit
