"""The states of a download and the triggers that change them, as one table.

The REST API, the clients, `downloadctl`, the web page and the metrics read this table. Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec


class State(StrEnum):
    """State of a download. The values are those of the `status` field of the API; `STATES` describes each."""

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
    """Cause of a state change."""

    CLAIM = "claim"
    """A run takes the download out of the queue."""
    RESPOND = "respond"
    """The origin answered with a usable representation."""
    RECEIVE = "receive"
    """The last byte is in the part file."""
    COMMIT = "commit"
    """The file has its final name and is on stable storage."""
    DEFER = "defer"
    """The attempt failed; another one follows later."""
    INTERRUPT = "interrupt"
    """The daemon stops, or was killed; the download returns to the queue."""
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    """A user requests another attempt now."""
    CANCEL = "cancel"
    FAIL = "fail"
    SKIP = "skip"
    """The name exists and its file is kept, or the origin has no other version."""


class WaitReason(StrEnum):
    """Reason why a waiting download does not start."""

    NOT_BEFORE = "not_before"
    """The time that its request states has not come."""
    DELAYED = "delayed"
    """The time of its next attempt has not come."""
    STARTS_HELD = "allow_starts"
    """The limits on all downloads let nothing start now."""
    STORAGE_UNAVAILABLE = "storage_unavailable"
    """The disk is full or unavailable; no download starts without it."""
    DAY_QUOTA = "bytes_per_day"
    """Its user has received all bytes that one day may have."""
    USER_LIMIT = "user_max_concurrent"
    """All slots of its user are taken."""
    HOST_UNREACHABLE = "host_unreachable"
    """Its host could not be reached or fails; one download at a time probes it."""
    HOST_BACKOFF = "host_backoff"
    """Its host requested a pause (`Retry-After`)."""
    HOST_LIMIT = "max_per_host"
    """All slots of its host are taken."""
    TOTAL_LIMIT = "max_concurrent"
    """All slots of the daemon are taken."""
    READY = "ready"


class WaitNotice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Reason why a waiting download does not start, for programs that have words of their own for it."""

    code: WaitReason
    text: str = ""
    """The reason in words."""
    host: str = ""
    """Host that it concerns."""
    user: str = ""
    """User that it concerns."""
    redirected_from: str = ""
    """Host that redirects to it, if that is another one."""
    seconds: int | None = None
    """Seconds until the next attempt."""
    running: int | None = None
    """Downloads that run."""
    setting: str = ""
    """Setting that limits them."""
    error: str = ""
    """Last failure of the host, or of the storage; empty for a full disk."""
    needed: int | None = None
    """Bytes that it needs on the disk."""
    available: int | None = None
    """Bytes that the disk had for it."""


class StateGroup(StrEnum):
    """Kind of a state. Downloads of all groups except `FINISHED` are active: the listings show them."""

    WAITING = "waiting"
    """A run may claim the download."""
    RUNNING = "running"
    """A run holds the download."""
    PAUSED = "paused"
    """The download waits for a user."""
    FINISHED = "finished"
    """The download is in the history."""


class StateDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table of states."""

    group: StateGroup
    label: str
    """Name for people, in lower case."""
    message: str = "Download started"
    """Sentence of an answer to a start of a download in this state."""
    is_success: bool = True
    """False if the download ended without the file that was requested."""
    transitions: Mapping[Trigger, State] = {}
    """Next state by trigger. Any other trigger is a bug."""


STATES: Final[Mapping[State, StateDescription]] = {
    State.QUEUED: StateDescription(
        group=StateGroup.WAITING,
        label="waiting",
        transitions={
            Trigger.CLAIM: State.STARTING,
            Trigger.PAUSE: State.PAUSED,
            Trigger.CANCEL: State.CANCELLED,
        },
    ),
    State.STARTING: StateDescription(
        group=StateGroup.RUNNING,
        label="starting",
        transitions={
            Trigger.RESPOND: State.DOWNLOADING,
            Trigger.RECEIVE: State.VERIFYING,
            Trigger.DEFER: State.RETRYING,
            Trigger.INTERRUPT: State.QUEUED,
            Trigger.PAUSE: State.PAUSED,
            Trigger.CANCEL: State.CANCELLED,
            Trigger.FAIL: State.FAILED,
            Trigger.SKIP: State.SKIPPED,
        },
    ),
    State.DOWNLOADING: StateDescription(
        group=StateGroup.RUNNING,
        label="downloading",
        transitions={
            Trigger.RESPOND: State.DOWNLOADING,
            Trigger.RECEIVE: State.VERIFYING,
            Trigger.DEFER: State.RETRYING,
            Trigger.INTERRUPT: State.QUEUED,
            Trigger.PAUSE: State.PAUSED,
            Trigger.CANCEL: State.CANCELLED,
            Trigger.FAIL: State.FAILED,
            Trigger.SKIP: State.SKIPPED,
        },
    ),
    State.RETRYING: StateDescription(
        group=StateGroup.WAITING,
        label="trying again",
        transitions={
            Trigger.CLAIM: State.DOWNLOADING,
            Trigger.RETRY: State.QUEUED,
            Trigger.PAUSE: State.PAUSED,
            Trigger.CANCEL: State.CANCELLED,
        },
    ),
    State.VERIFYING: StateDescription(
        group=StateGroup.RUNNING,
        label="verifying",
        transitions={
            Trigger.COMMIT: State.COMPLETED,
            Trigger.DEFER: State.RETRYING,
            Trigger.INTERRUPT: State.QUEUED,
            Trigger.PAUSE: State.PAUSED,
            Trigger.CANCEL: State.CANCELLED,
            Trigger.FAIL: State.FAILED,
            Trigger.SKIP: State.SKIPPED,
        },
    ),
    State.PAUSED: StateDescription(
        group=StateGroup.PAUSED,
        label="paused",
        message="Download paused",
        transitions={Trigger.RESUME: State.QUEUED, Trigger.CANCEL: State.CANCELLED},
    ),
    State.COMPLETED: StateDescription(
        group=StateGroup.FINISHED,
        label="completed",
        message="Download completed",
    ),
    State.FAILED: StateDescription(
        group=StateGroup.FINISHED,
        label="failed",
        message="Download failed",
        is_success=False,
        transitions={Trigger.RETRY: State.QUEUED},
    ),
    State.CANCELLED: StateDescription(
        group=StateGroup.FINISHED,
        label="cancelled",
        message="Download cancelled",
        is_success=False,
        transitions={Trigger.RETRY: State.QUEUED},
    ),
    State.SKIPPED: StateDescription(
        group=StateGroup.FINISHED,
        label="skipped",
        message="Download skipped",
        transitions={Trigger.RETRY: State.QUEUED},
    ),
}


def _states_of(*groups: StateGroup) -> frozenset[State]:
    return frozenset(state for state, row in STATES.items() if row.group in groups)


WAITING: Final = _states_of(StateGroup.WAITING)
"""States in which a run may claim the download."""

RUNNING: Final = _states_of(StateGroup.RUNNING)
"""States in which a run holds the download."""

FINISHED: Final = _states_of(StateGroup.FINISHED)
"""States of the history."""

ACTIVE: Final = frozenset(State) - FINISHED
"""States that the listings show."""

UNSUCCESSFUL: Final = frozenset(state for state, row in STATES.items() if not row.is_success)
"""Finished states without the file that was requested."""

TRANSITIONS: Final[dict[tuple[State, Trigger], State]] = {
    (state, trigger): after for state, row in STATES.items() for trigger, after in row.transitions.items()
}
"""Next state by state and trigger."""


CLAIMED_FROM: Final[Mapping[State, State]] = {
    after: before for (before, trigger), after in TRANSITIONS.items() if trigger is Trigger.CLAIM
}
"""State before a claim, by the state after it."""


class IllegalTransitionError(RuntimeError):
    """A trigger that the state does not allow: a bug in the daemon, never a mistake of a user."""

    def __init__(self, state: State, trigger: Trigger) -> None:
        super().__init__(f"a download that is {state} cannot {trigger}")
        self.state = state
        self.trigger = trigger


def allows(state: State, trigger: Trigger) -> bool:
    """Return True if `trigger` may happen in `state`."""
    return (state, trigger) in TRANSITIONS


def allowing(trigger: Trigger) -> frozenset[State]:
    """Return the states in which `trigger` may happen."""
    return frozenset(state for state in State if allows(state, trigger))


def advance(state: State, trigger: Trigger) -> State:
    """Return the state after `trigger`.

    Raises:
        IllegalTransitionError: The table has no such transition.
    """
    try:
        return TRANSITIONS[state, trigger]
    except KeyError:
        raise IllegalTransitionError(state, trigger) from None
