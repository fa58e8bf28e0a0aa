"""Does a run move? One that does not is ended, so that its place is free again.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from downloadd.states import State

STALL_MARGIN_SECONDS: Final = 60.0
"""Seconds beyond the stall timeout: what waits for the origin is ended by its own timeout before."""

MIN_DISK_BYTES_PER_SECOND: Final = 1 << 20
"""Bytes a second at which a file may be verified and brought to stable storage, during which nothing is received."""


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was seen at."""

    state: State
    received_bytes: int
    """Bytes that the origin has sent."""
    request_count: int
    """Requests that were made, of whichever source."""
    since: float
    """Seconds of the monotonic clock: the first time that it was seen so."""


def observe(
    before: Activity | None, *, state: State, received_bytes: int, request_count: int, waits: bool, now: float
) -> Activity:
    """The activity now; that of `before`, with its time, when nothing has moved since.

    What `waits` counts as moving: for its share of a speed limit, which lets everybody go on, if slowly; or for the
    records, which are to blame then.
    """
    activity = Activity(state=state, received_bytes=received_bytes, request_count=request_count, since=now)
    if before is None or waits or replace(before, since=now) != activity:
        return activity
    return before


def is_stalled(activity: Activity, *, size: int, stall_timeout: float, now: float) -> bool:
    """Whether a run is to be ended.

    Args:
        activity: what it was seen at last.
        size: bytes in its part file.
        stall_timeout: seconds, as configured; 0 for no limit.
        now: of the monotonic clock.
    """
    if not stall_timeout:
        return False
    limit = stall_timeout + STALL_MARGIN_SECONDS
    if activity.state is State.VERIFYING:
        limit += size / MIN_DISK_BYTES_PER_SECOND
    return now - activity.since > limit
