"""The states of a download, what may happen to it, and the one table that joins them.

Pure: no I/O and no clock.
"""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a download stands. The values are those of the API's `status` field."""

    QUEUED = "queued"
    STARTING = "starting"
    DOWNLOADING = "downloading"
    RETRYING = "retrying"
    VERIFYING = "verifying"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Event(StrEnum):
    """What may happen to a download."""

    CLAIM = "claim"
    """A run takes it up."""
    RESPOND = "respond"
    """The origin answered with a usable representation."""
    RECEIVE = "receive"
    """The last byte is in the part file."""
    COMMIT = "commit"
    """The file lies under its final name, on stable storage."""
    DEFER = "defer"
    """The attempt failed; another one follows later."""
    INTERRUPT = "interrupt"
    """The daemon stops, or was killed; the run is handed back."""
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    """A user asks for another try, now."""
    CANCEL = "cancel"
    FAIL = "fail"
    SKIP = "skip"
    """The name is taken and the download asked to leave it so."""


class Hold(StrEnum):
    """What a waiting download waits for."""

    LATER = "later"
    """The time of its next attempt."""
    NO_ROOM = "no_room"
    """Room on the disk, or the disk itself: nothing starts without."""
    HOST_ASKED = "host_asked"
    """Its host asked to be left alone for a while."""
    HOST_FULL = "max_per_host"
    """As many run from its host as may."""
    ALL_FULL = "max_concurrent"
    """As many run as may."""
    NOTHING = "about_to_start"


WAITING: Final = frozenset({State.QUEUED, State.RETRYING})
"""States in which a run may take the download up."""

RUNNING: Final = frozenset({State.STARTING, State.DOWNLOADING, State.VERIFYING})
"""States in which a run holds the download."""

ENDED: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.SKIPPED})
"""States that are history."""

ACTIVE: Final = frozenset(State) - ENDED
"""States that the listings show."""

TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.QUEUED, Event.CLAIM): State.STARTING,
    (State.QUEUED, Event.PAUSE): State.PAUSED,
    (State.QUEUED, Event.CANCEL): State.CANCELLED,
    (State.STARTING, Event.RESPOND): State.DOWNLOADING,
    (State.STARTING, Event.RECEIVE): State.VERIFYING,
    (State.STARTING, Event.DEFER): State.RETRYING,
    (State.STARTING, Event.INTERRUPT): State.QUEUED,
    (State.STARTING, Event.PAUSE): State.PAUSED,
    (State.STARTING, Event.CANCEL): State.CANCELLED,
    (State.STARTING, Event.FAIL): State.FAILED,
    (State.STARTING, Event.SKIP): State.SKIPPED,
    (State.DOWNLOADING, Event.RESPOND): State.DOWNLOADING,
    (State.DOWNLOADING, Event.RECEIVE): State.VERIFYING,
    (State.DOWNLOADING, Event.DEFER): State.RETRYING,
    (State.DOWNLOADING, Event.INTERRUPT): State.QUEUED,
    (State.DOWNLOADING, Event.PAUSE): State.PAUSED,
    (State.DOWNLOADING, Event.CANCEL): State.CANCELLED,
    (State.DOWNLOADING, Event.FAIL): State.FAILED,
    (State.DOWNLOADING, Event.SKIP): State.SKIPPED,
    (State.RETRYING, Event.CLAIM): State.DOWNLOADING,
    (State.RETRYING, Event.RETRY): State.QUEUED,
    (State.RETRYING, Event.PAUSE): State.PAUSED,
    (State.RETRYING, Event.CANCEL): State.CANCELLED,
    (State.VERIFYING, Event.COMMIT): State.COMPLETED,
    (State.VERIFYING, Event.DEFER): State.RETRYING,
    (State.VERIFYING, Event.INTERRUPT): State.QUEUED,
    (State.VERIFYING, Event.PAUSE): State.PAUSED,
    (State.VERIFYING, Event.CANCEL): State.CANCELLED,
    (State.VERIFYING, Event.FAIL): State.FAILED,
    (State.VERIFYING, Event.SKIP): State.SKIPPED,
    (State.PAUSED, Event.RESUME): State.QUEUED,
    (State.PAUSED, Event.CANCEL): State.CANCELLED,
    (State.FAILED, Event.RETRY): State.QUEUED,
    (State.CANCELLED, Event.RETRY): State.QUEUED,
    (State.SKIPPED, Event.RETRY): State.QUEUED,
}
"""Every allowed transition. What is not here is a bug."""


class IllegalTransitionError(RuntimeError):
    """An event that its state does not allow: a bug in the daemon, never a user's mistake."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"a download that is {state} cannot {event}")
        self.state = state
        self.event = event


def allows(state: State, event: Event) -> bool:
    """Whether `event` may happen in `state`."""
    return (state, event) in TRANSITIONS


def advance(state: State, event: Event) -> State:
    """The state after `event`.

    Raises:
        IllegalTransitionError: the table has no such transition.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(state, event) from None
