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


class Trigger(StrEnum):
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


class WaitReason(StrEnum):
    """What a waiting download waits for."""

    DELAYED = "later"
    """The time of its next attempt."""
    STORAGE_UNAVAILABLE = "no_room"
    """Room on the disk, or the disk itself: nothing starts without."""
    HOST_BACKOFF = "host_asked"
    """Its host asked to be left alone for a while."""
    HOST_LIMIT = "max_per_host"
    """As many run from its host as may."""
    TOTAL_LIMIT = "max_concurrent"
    """As many run as may."""
    READY = "about_to_start"


WAITING: Final = frozenset({State.QUEUED, State.RETRYING})
"""States in which a run may take the download up."""

RUNNING: Final = frozenset({State.STARTING, State.DOWNLOADING, State.VERIFYING})
"""States in which a run holds the download."""

FINISHED: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.SKIPPED})
"""States that are history."""

ACTIVE: Final = frozenset(State) - FINISHED
"""States that the listings show."""

TRANSITIONS: Final[dict[tuple[State, Trigger], State]] = {
    (State.QUEUED, Trigger.CLAIM): State.STARTING,
    (State.QUEUED, Trigger.PAUSE): State.PAUSED,
    (State.QUEUED, Trigger.CANCEL): State.CANCELLED,
    (State.STARTING, Trigger.RESPOND): State.DOWNLOADING,
    (State.STARTING, Trigger.RECEIVE): State.VERIFYING,
    (State.STARTING, Trigger.DEFER): State.RETRYING,
    (State.STARTING, Trigger.INTERRUPT): State.QUEUED,
    (State.STARTING, Trigger.PAUSE): State.PAUSED,
    (State.STARTING, Trigger.CANCEL): State.CANCELLED,
    (State.STARTING, Trigger.FAIL): State.FAILED,
    (State.STARTING, Trigger.SKIP): State.SKIPPED,
    (State.DOWNLOADING, Trigger.RESPOND): State.DOWNLOADING,
    (State.DOWNLOADING, Trigger.RECEIVE): State.VERIFYING,
    (State.DOWNLOADING, Trigger.DEFER): State.RETRYING,
    (State.DOWNLOADING, Trigger.INTERRUPT): State.QUEUED,
    (State.DOWNLOADING, Trigger.PAUSE): State.PAUSED,
    (State.DOWNLOADING, Trigger.CANCEL): State.CANCELLED,
    (State.DOWNLOADING, Trigger.FAIL): State.FAILED,
    (State.DOWNLOADING, Trigger.SKIP): State.SKIPPED,
    (State.RETRYING, Trigger.CLAIM): State.DOWNLOADING,
    (State.RETRYING, Trigger.RETRY): State.QUEUED,
    (State.RETRYING, Trigger.PAUSE): State.PAUSED,
    (State.RETRYING, Trigger.CANCEL): State.CANCELLED,
    (State.VERIFYING, Trigger.COMMIT): State.COMPLETED,
    (State.VERIFYING, Trigger.DEFER): State.RETRYING,
    (State.VERIFYING, Trigger.INTERRUPT): State.QUEUED,
    (State.VERIFYING, Trigger.PAUSE): State.PAUSED,
    (State.VERIFYING, Trigger.CANCEL): State.CANCELLED,
    (State.VERIFYING, Trigger.FAIL): State.FAILED,
    (State.VERIFYING, Trigger.SKIP): State.SKIPPED,
    (State.PAUSED, Trigger.RESUME): State.QUEUED,
    (State.PAUSED, Trigger.CANCEL): State.CANCELLED,
    (State.FAILED, Trigger.RETRY): State.QUEUED,
    (State.CANCELLED, Trigger.RETRY): State.QUEUED,
    (State.SKIPPED, Trigger.RETRY): State.QUEUED,
}
"""Every allowed transition. What is not here is a bug."""


class IllegalTransitionError(RuntimeError):
    """An trigger that its state does not allow: a bug in the daemon, never a user's mistake."""

    def __init__(self, state: State, trigger: Trigger) -> None:
        super().__init__(f"a download that is {state} cannot {trigger}")
        self.state = state
        self.trigger = trigger


def allows(state: State, trigger: Trigger) -> bool:
    """Whether `trigger` may happen in `state`."""
    return (state, trigger) in TRANSITIONS


def advance(state: State, trigger: Trigger) -> State:
    """The state after `trigger`.

    Raises:
        IllegalTransitionError: the table has no such transition.
    """
    try:
        return TRANSITIONS[state, trigger]
    except KeyError:
        raise IllegalTransitionError(state, trigger) from None
