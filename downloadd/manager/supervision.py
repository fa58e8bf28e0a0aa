"""Does a run move? One that does not is ended, so that its place is free again.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

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
    asked: int
    """Requests that were made, of whichever source."""
    seen_at: float
    """Seconds of the monotonic clock: the first time that it was seen so."""


def feel(before: Pulse | None, *, state: State, taken: int, asked: int, waits: bool, now: float) -> Pulse:
    """The pulse now; that of `before`, with its time, when nothing has moved since.

    What `waits` counts as moving: for its share of a speed limit, which lets everybody go on, if slowly; or for the
    records, which are to blame then.
    """
    pulse = Pulse(state=state, taken=taken, asked=asked, seen_at=now)
    if before is None or waits or replace(before, seen_at=now) != pulse:
        return pulse
    return before


def stands_still(pulse: Pulse, *, size: int, stall_timeout: float, now: float) -> bool:
    """Whether a run is to be ended.

    Args:
        pulse: what it was seen at last.
        size: bytes in its part file.
        stall_timeout: seconds, as configured; 0 for no limit.
        now: of the monotonic clock.
    """
    if not stall_timeout:
        return False
    patience = stall_timeout + MARGIN
    if pulse.state is State.VERIFYING:
        patience += size / SLOWEST_DISK
    return now - pulse.seen_at > patience
