"""Health of one origin: its slots, its backoff and its circuit, and the effect of each outcome on them.

A failure of the host opens the circuit: then one download at a time probes the origin, with growing pauses, until it
answers. A refused connection while others receive content lowers the slots instead; with time they rise again.

Pure: no I/O, no clock and no randomness; the caller passes both, the time always by the same clock.
"""

from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from downloadd.errors import (
    ORIGIN_ERRORS,
    DownloadError,
    NetworkError,
    NetworkErrorKind,
    RemoteError,
    RemoteFileNotFoundError,
)
from downloadd.manager.retry import MAX_HOST_BACKOFF_SECONDS, backoff

INITIAL_PAUSE_SECONDS: Final = 0.5
"""Seconds between the failure that opens a circuit and the first probe, before jitter."""
MAX_PAUSE_SECONDS: Final = 30.0
"""Seconds between two probes, before jitter."""
MAX_STREAK: Final = 8
"""Failed attempts in a row, of several downloads, that open the circuit, whatever failed."""
MIN_STREAK_DOWNLOADS: Final = 3
"""Downloads that these attempts belong to: a single file that always fails says little about its origin."""
RAISE_SECONDS: Final = 10.0
"""Seconds after a change of lowered slots before they are raised by one."""
KEEP_SECONDS: Final = 300.0
"""Seconds for which the health of an unused origin is kept after its last change."""

_REFUSALS: Final = frozenset(
    {NetworkErrorKind.CONNECT, NetworkErrorKind.TIMEOUT, NetworkErrorKind.TLS, NetworkErrorKind.NO_RESPONSE}
)
"""Failures before the head of a response."""


class FailureKind(StrEnum):
    """The part that a failed attempt is attributed to."""

    UNREACHABLE = "unreachable"
    """The host: its name could not be resolved."""
    REFUSED = "refused"
    """The host: the connection was refused, or ended before the head of a response."""
    BUSY = "busy"
    """The host, if others of its downloads receive content; else the attempt: status 429 or 503."""
    RESOURCE = "resource"
    """The resource: the origin answers, and another attempt would fail in the same way."""
    ATTEMPT = "attempt"
    """The attempt: it was cut, it stalled, or the origin answered with a transient error."""


class OriginFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A failed attempt, as far as it concerns the health of the origin."""

    kind: FailureKind
    seq: int
    """The download."""
    detail: str
    cause: NetworkErrorKind | None = None
    """The point at which the connection failed; None if the origin has responded."""
    has_response: bool = False
    """True if the origin sent the head of a response."""
    retry_after: float | None = None
    """Seconds that the origin asks for."""


class OriginHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The health of one origin. The times are those of one clock, 0 for none."""

    slots: int | None = None
    """Slots while they are lowered; None for `max_per_host`."""
    slots_changed_at: float = 0.0
    backoff_until: float = 0.0
    """The end of the pause that the origin asked for."""
    is_open: bool = False
    """True while the circuit is open: only probes start."""
    probe_at: float = 0.0
    """The time of the next probe of an open circuit."""
    failures: int = 0
    """Failures of the host in a row: the one that opened the circuit, and the failed probes."""
    failing_since: float | None = None
    """The time of the first failure of the host since the last answer."""
    streak: int = 0
    """Failed attempts in a row since the last answer, of any kind."""
    streak_seqs: frozenset[int] = frozenset()
    """Some of the downloads that they belong to."""
    error: str | None = None
    """Detail of the last failure."""
    cause: NetworkErrorKind | None = None
    """Its cause; None if the origin has responded, and after a restart."""
    failed_at: float | None = None
    """The time of the last failure, as long as it has an effect."""

    @property
    def slots_raised_at(self) -> float:
        """Return the time at which lowered slots are raised; 0 if they are not lowered."""
        return 0.0 if self.slots is None else self.slots_changed_at + RAISE_SECONDS

    @property
    def kept_until(self) -> float:
        """Return the time until which this health must be kept though the origin is unused."""
        return max(self.backoff_until, 0.0 if self.failed_at is None else self.failed_at + KEEP_SECONDS)

    def free_slots(self, *, running: int, is_probed: bool, max_slots: int, now: float) -> int:
        """Return the number of runs or connections that may start now."""
        free = max(0, min(max_slots, self.slots or max_slots) - running)
        if self.backoff_until > now:
            return 0
        if self.is_open:
            return 0 if is_probed or self.probe_at > now else min(free, 1)
        return free


HEALTHY: Final = OriginHealth()
"""Health of an origin of which no failure is known."""


class OriginLoad(msgspec.Struct, frozen=True, kw_only=True):
    """The use of an origin when an attempt failed, without that attempt."""

    running: int
    """Slots in use."""
    receiving: int
    """Runs whose requests were answered."""
    max_slots: int
    """`max_per_host`."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The consequence of a failed attempt for its download."""

    is_counted: bool = True
    """True if the attempt counts for `max_retries`."""
    is_timed: bool = True
    """True if the attempt and the wait after it count for the timeout of the download."""
    failing_seconds: float | None = None
    """Seconds since the first failure of the host in a row; None if it was not the host that failed."""
    pause: float = 0.0
    """Seconds until the origin may be asked again; 0 if other downloads of it may start now."""


class KnownFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Failure that an attempt would have, by the open circuit of an origin."""

    origin: str
    verdict: Verdict
    detail: str
    cause: NetworkErrorKind


def classify_failure(error: DownloadError) -> FailureKind | None:
    """Return the part that an error is attributed to; None if it does not concern the origin."""
    match error:
        case NetworkError(permanent=True) | RemoteFileNotFoundError():
            return FailureKind.RESOURCE
        case NetworkError(kind=NetworkErrorKind.NAME):
            return FailureKind.UNREACHABLE
        case NetworkError(kind=kind) if kind in _REFUSALS:
            return FailureKind.REFUSED
        case RemoteError(origin_status=429 | 503):
            return FailureKind.BUSY
        case NetworkError():
            return FailureKind.ATTEMPT
        case _ if isinstance(error, ORIGIN_ERRORS):
            return FailureKind.ATTEMPT if error.transient else FailureKind.RESOURCE
        case _:
            return None


def record_answer(health: OriginHealth, *, max_slots: int, now: float) -> OriginHealth:
    """Return the health after a usable response: the circuit is closed, and lowered slots may rise by one."""
    health = raise_slots(health, max_slots=max_slots, now=now)
    slots = None if health.is_open else health.slots
    return OriginHealth(
        slots=slots,
        slots_changed_at=0.0 if slots is None else health.slots_changed_at,
        backoff_until=health.backoff_until,
        failed_at=None if slots is None else health.failed_at,
    )


def raise_slots(health: OriginHealth, *, max_slots: int, now: float) -> OriginHealth:
    """Return the health with lowered slots raised by one, if `RAISE_SECONDS` have passed since their last change.

    The refusal may have concerned one resource or one moment, and the downloads that have the slots may take long.
    """
    if health.slots is None or now < health.slots_raised_at:
        return health
    if health.slots + 1 >= max_slots:
        return replace(health, slots=None, slots_changed_at=0.0)
    return replace(health, slots=health.slots + 1, slots_changed_at=now)


def record_failure(
    health: OriginHealth,
    failure: OriginFailure,
    load: OriginLoad,
    *,
    is_probe: bool,
    has_answered: bool,
    now: float,
    random: float,
) -> tuple[OriginHealth, Verdict]:
    """Return the health after a failed attempt, and the consequence for its download.

    Args:
        health: the health before.
        failure: the failure.
        load: the use of the origin by others.
        is_probe: True if the attempt was the probe of an open circuit.
        has_answered: True if the origin has ever answered: then waiting for it is worth while.
        now: the time.
        random: from [0, 1), for the jitter of the pause.
    """
    retry_after = min(failure.retry_after or 0.0, MAX_HOST_BACKOFF_SECONDS)
    if retry_after:
        health = replace(health, backoff_until=max(health.backoff_until, now + retry_after))
    if failure.kind is FailureKind.RESOURCE:
        return record_answer(health, max_slots=load.max_slots, now=now), Verdict()
    health = replace(health, error=failure.detail, cause=failure.cause, failed_at=now)
    if health.is_open:
        return _record_failed_probe(health, is_probe, has_answered, now, random)
    if failure.kind in {FailureKind.REFUSED, FailureKind.BUSY} and load.receiving > 0:
        # It accepts some connections: it is not down, but limits their number.
        slots = max(1, min((health.slots or load.max_slots) - 1, load.running))
        lowered = replace(health, slots=min(slots, load.max_slots), slots_changed_at=now)
        return lowered, Verdict(is_counted=False, is_timed=False)
    health = replace(
        health,
        streak=health.streak + 1,
        streak_seqs=health.streak_seqs
        if len(health.streak_seqs) >= MIN_STREAK_DOWNLOADS
        else health.streak_seqs | {failure.seq},
    )
    is_long = health.streak >= MAX_STREAK and len(health.streak_seqs) >= MIN_STREAK_DOWNLOADS
    if is_long or failure.kind in {FailureKind.UNREACHABLE, FailureKind.REFUSED}:
        opened = replace(health, is_open=True, failing_since=now)
        return _record_failed_probe(opened, True, has_answered, now, random)
    # A pause that the origin asks for is kept, so it ends by time only.
    return health, Verdict(is_counted=not (failure.kind is FailureKind.BUSY and retry_after >= 1))


def known_failure(health: OriginHealth, *, has_answered: bool, now: float) -> Verdict | None:
    """Return the verdict on an attempt that would fail like the last one; None unless the circuit is open."""
    if not health.is_open:
        return None
    return _record_failed_probe(health, False, has_answered, now, 0.0)[1]


def expect_probe(health: OriginHealth, *, now: float) -> OriginHealth:
    """Return the health while a probe runs: if it ends without an outcome, the next one keeps the same distance."""
    return replace(health, probe_at=now + _pause(health.failures, 0.5))


def hasten_probe(health: OriginHealth, *, now: float) -> OriginHealth:
    """Return the health after a download has ended by time: others of the origin may have reached their end too."""
    return replace(health, probe_at=min(health.probe_at, now + INITIAL_PAUSE_SECONDS))


def end_backoff(health: OriginHealth, *, now: float) -> OriginHealth:
    """Return the health without a backoff that has passed."""
    return replace(health, backoff_until=0.0) if 0 < health.backoff_until <= now else health


def _record_failed_probe(
    health: OriginHealth, is_probe: bool, has_answered: bool, now: float, random: float
) -> tuple[OriginHealth, Verdict]:
    if is_probe:
        failures = health.failures + 1
        health = replace(health, failures=failures, probe_at=now + _pause(failures, random))
    since = now if health.failing_since is None else health.failing_since
    return health, Verdict(
        is_counted=False,
        is_timed=not has_answered,
        failing_seconds=now - since,
        pause=max(0.0, health.probe_at - now),
    )


def _pause(failures: int, random: float) -> float:
    return backoff(max(1, failures), initial=INITIAL_PAUSE_SECONDS, maximum=MAX_PAUSE_SECONDS, random=random)
