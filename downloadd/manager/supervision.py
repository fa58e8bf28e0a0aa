"""Does a run move? One that does not is ended, so that its place is free again.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.states import State

MARGIN: Final = 60.0
"""Seconds beyond the stall timeout: what waits for the origin is ended by its own timeout before."""

SLOWEST_DISK: Final = 1 << 20
"""Bytes a second at which a file may be verified and brought to stable storage, during which nothing is received."""


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was seen at."""

    state: State
    taken: int
    """Bytes that the origin has sent."""
    seen_at: float
    """Seconds of the monotonic clock: the first time that it was seen so."""


def feel(before: Pulse | None, *, state: State, taken: int, now: float) -> Pulse:
    """The pulse now; that of `before`, with its time, when nothing has moved since."""
    if before is not None and (before.state, before.taken) == (state, taken):
        return before
    return Pulse(state=state, taken=taken, seen_at=now)


def stands_still(pulse: Pulse, *, size: int, stall_timeout: float, limited: bool, now: float) -> bool:
    """Whether a run is to be ended.

    Args:
        pulse: what it was seen at last.
        size: bytes in its part file.
        stall_timeout: seconds, as configured; 0 for no limit.
        limited: it may be waiting for a speed limit.
        now: of the monotonic clock.
    """
    if not stall_timeout or (limited and pulse.state is not State.VERIFYING):
        return False
    patience = stall_timeout + MARGIN
    if pulse.state is State.VERIFYING:
        patience += size / SLOWEST_DISK
    return now - pulse.seen_at > patience
