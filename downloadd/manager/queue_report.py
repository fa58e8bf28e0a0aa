"""Reports on the queue: wait reasons of downloads, use of origins, and their health.

Pure: no I/O and no clock; `now` is a time of the clock that the scheduler is used with.
"""

from collections.abc import Sequence
from enum import StrEnum
from heapq import nsmallest

import msgspec

from downloadd.manager.origin_table import OriginQueue
from downloadd.manager.scheduler import Scheduler
from downloadd.metrics import OriginUsage
from downloadd.policy.url import host_of
from downloadd.states import WaitReason

_STARTING = "about to start"


class OriginState(StrEnum):
    """State of an origin, the most severe of those that apply."""

    OPEN = "open"
    """It could not be reached or fails; a probe starts at the time of the next attempt."""
    PROBING = "probing"
    """One download probes it."""
    BACKOFF = "backoff"
    """It asked to wait (`Retry-After`)."""
    SLOWED = "slowed"
    """It refused connections beside others, so that its slots are lowered."""
    HEALTHY = "healthy"


class OriginStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An origin that is in use or not healthy."""

    origin: str
    state: OriginState
    running: int
    """Slots in use."""
    waiting: int
    """Downloads that wait for a slot, without those that wait for their own time."""
    slots: int
    """Slots in all."""
    failures: int
    """Failures of the host in a row."""
    next_attempt: float | None
    """Unix time before which nothing is requested; None if there is none."""
    error: str | None
    """Detail of the last failure since the last answer."""


class OriginList(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the origins that are in use or not healthy."""

    origins: Sequence[OriginStatus]
    total: int
    """Their number."""


def describe_wait(scheduler: Scheduler, origin: str, not_before: float | None, now: float) -> str:
    """Return the reason, in words, why a waiting download of `origin` has not started."""
    queue = scheduler.origins.get(origin) or OriginQueue()
    reason = _wait_reason(scheduler, origin, queue, now)
    is_delayed = not_before is not None and not_before > now
    # The pause of a host that cannot be reached is also the delay of the download that probed it.
    if is_delayed and reason is not WaitReason.HOST_UNREACHABLE:
        reason = WaitReason.DELAYED
    health, host = queue.health, origin.rpartition("://")[2]
    match reason:
        case WaitReason.DELAYED:
            return f"the next attempt starts in {(not_before or now) - now:.0f} s"
        case WaitReason.STORAGE_UNAVAILABLE:
            return scheduler.suspension or _STARTING
        case WaitReason.HOST_UNREACHABLE:
            seconds = max(0.0, _next_attempt(queue) - now)
            attempt = (
                "another download tries it now"
                if queue.probe is not None
                else f"the next attempt starts in {seconds:.0f} s"
            )
            return f"{host} could not be reached; {attempt} ({health.error})"
        case WaitReason.HOST_BACKOFF:
            return f"{host} asked to wait, {health.backoff_until - now:.0f} s more"
        case WaitReason.HOST_LIMIT:
            if _slots(scheduler, origin, queue) < scheduler.limits.slots_of(origin):
                return f"{queue.running} downloads from {host} are running; it refused more ({health.error})"
            setting = "slots" if host_of(origin) in scheduler.limits.slots_by_host else "max_per_host"
            return f"{queue.running} downloads from {host} are running ({setting})"
        case WaitReason.TOTAL_LIMIT:
            return f"{scheduler.running} downloads are running (max_concurrent)"
        case WaitReason.READY:
            return _STARTING


def count_wait_reasons(scheduler: Scheduler, now: float) -> dict[WaitReason, int]:
    """Return the number of waiting downloads per reason; takes time in proportion to the number of origins."""
    reasons = {WaitReason.DELAYED: scheduler.delayed}
    for origin, queue in scheduler.origins.queues.items():
        if queue.waiting:
            reason = _wait_reason(scheduler, origin, queue, now)
            reasons[reason] = reasons.get(reason, 0) + queue.waiting
    return reasons


def measure_origins(scheduler: Scheduler, now: float) -> OriginUsage:
    """Return the use of all origins; takes time in proportion to their number."""
    queues = scheduler.origins.queues.values()
    used = [queue.running for queue in queues if queue.running]
    return OriginUsage(
        connections=sum(used),
        busiest=max(used, default=0),
        connected=len(used),
        waiting=sum(queue.waiting > 0 for queue in queues),
        blocked=sum(queue.health.backoff_until > now for queue in queues),
        unreachable=sum(queue.health.is_open for queue in queues),
        slowed=sum(
            _slots(scheduler, origin, queue) < scheduler.limits.slots_of(origin)
            for origin, queue in scheduler.origins.queues.items()
        ),
    )


def list_origins(scheduler: Scheduler, limit: int, *, now: float, wall_time: float) -> OriginList:
    """Return up to `limit` origins that are in use or not healthy: those in trouble first, then the busiest.

    `wall_time` is `now` as Unix time. It takes time in proportion to the number of origins.
    """
    queues = [
        (queue, origin, _state(scheduler, origin, queue, now))
        for origin, queue in scheduler.origins.queues.items()
        if queue.running or queue.waiting or queue.health.is_open or queue.health.backoff_until > now
    ]
    order = list(OriginState)
    first = nsmallest(limit, queues, key=lambda one: (order.index(one[2]), -one[0].running - one[0].waiting, one[1]))
    return OriginList(
        origins=[
            OriginStatus(
                origin=origin,
                state=state,
                running=queue.running,
                waiting=queue.waiting,
                slots=_slots(scheduler, origin, queue),
                failures=queue.health.failures,
                next_attempt=wall_time + _next_attempt(queue) - now if _next_attempt(queue) > now else None,
                error=queue.health.error,
            )
            for queue, origin, state in first
        ],
        total=len(queues),
    )


def _state(scheduler: Scheduler, origin: str, queue: OriginQueue, now: float) -> OriginState:
    if queue.health.is_open:
        return OriginState.OPEN if queue.probe is None else OriginState.PROBING
    if queue.health.backoff_until > now:
        return OriginState.BACKOFF
    is_slowed = _slots(scheduler, origin, queue) < scheduler.limits.slots_of(origin)
    return OriginState.SLOWED if is_slowed else OriginState.HEALTHY


def _slots(scheduler: Scheduler, origin: str, queue: OriginQueue) -> int:
    limit = scheduler.limits.slots_of(origin)
    return min(limit, queue.health.slots or limit)


def _next_attempt(queue: OriginQueue) -> float:
    return max(queue.health.backoff_until, queue.health.probe_at if queue.health.is_open else 0.0)


def _wait_reason(scheduler: Scheduler, origin: str, queue: OriginQueue, now: float) -> WaitReason:
    """Return the reason of a download in this queue that has no time to wait for."""
    if scheduler.suspension is not None:
        return WaitReason.STORAGE_UNAVAILABLE
    if queue.health.is_open:
        return WaitReason.HOST_UNREACHABLE
    if queue.health.backoff_until > now:
        return WaitReason.HOST_BACKOFF
    if queue.running >= _slots(scheduler, origin, queue):
        return WaitReason.HOST_LIMIT
    if scheduler.running >= scheduler.limits.max_concurrent:
        return WaitReason.TOTAL_LIMIT
    return WaitReason.READY
