"""Reports on the queue: wait reasons of downloads, use of origins, and their health.

Pure: no I/O and no clock; `now` is a time of the clock that the scheduler is used with.
"""

from collections.abc import Sequence
from enum import StrEnum
from heapq import nsmallest

import msgspec
from msgspec.structs import replace

from downloadd.manager.origin_table import OriginEntry
from downloadd.manager.scheduler import DISK_FULL_REASON, Scheduler
from downloadd.manager.waiting_queues import Route
from downloadd.metrics import OriginUsage
from downloadd.policy.url import host_of
from downloadd.states import WaitNotice, WaitReason


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


def describe_wait(
    scheduler: Scheduler, origin: str, not_before: float | None, now: float, *, seq: int | None = None
) -> str:
    """Return the reason, in words, why a waiting download of `origin` has not started; see `explain_wait`."""
    return explain_wait(scheduler, origin, not_before, now, seq=seq).text


def explain_wait(
    scheduler: Scheduler,
    origin: str,
    not_before: float | None,
    now: float,
    *,
    seq: int | None = None,
    user: str = "",
) -> WaitNotice:
    """Return the reason why a waiting download of `origin` has not started.

    `seq` is its number, by which the queue knows the target of its redirects, and `user` the id of its user.
    """
    route = (None if seq is None else scheduler.route(seq)) or (origin, "", user)
    target = scheduler.targets.expected(route, now=now)
    reason, blocker = _wait_reason(scheduler, (origin, target, route[2]), now)
    is_delayed = not_before is not None and not_before > now
    # The pause of a host that cannot be reached is also the delay of the download that probed it.
    if is_delayed and reason is not WaitReason.HOST_UNREACHABLE:
        seconds = (not_before or now) - now
        text = f"the next attempt starts in {seconds:.0f} s"
        return WaitNotice(code=WaitReason.DELAYED, text=text, seconds=round(seconds))
    if reason in {WaitReason.DAY_QUOTA, WaitReason.USER_LIMIT}:
        return _explain_user(scheduler, reason, route[2], now)
    notice = _explain(scheduler, reason, blocker, now)
    # A host that redirects to itself with TLS would be named twice.
    if _host(blocker) == _host(origin):
        return notice
    text = f"{_host(origin)} redirects to {_host(blocker)}: {notice.text}"
    return replace(notice, text=text, redirected_from=_host(origin))


def count_wait_reasons(scheduler: Scheduler, now: float) -> dict[WaitReason, int]:
    """Return the number of waiting downloads per reason; takes time in proportion to the number of queues."""
    reasons = {WaitReason.DELAYED: len(scheduler.delayed)}
    for queue in scheduler.queues:
        origin, _, user = queue.route
        route = origin, scheduler.targets.expected(queue.route, now=now), user
        reason, _ = _wait_reason(scheduler, route, now)
        reasons[reason] = reasons.get(reason, 0) + queue.count
    return reasons


def measure_origins(scheduler: Scheduler, now: float) -> OriginUsage:
    """Return the use of all origins; takes time in proportion to their number."""
    entries = scheduler.origins.entries.values()
    used = [entry.running for entry in entries if entry.running]
    return OriginUsage(
        connections=sum(used),
        busiest=max(used, default=0),
        connected=len(used),
        waiting=len(_count_waiting(scheduler, now)),
        blocked=sum(entry.health.backoff_until > now for entry in entries),
        unreachable=sum(entry.health.is_open for entry in entries),
        slowed=sum(
            _slots(scheduler, origin, entry) < scheduler.limits.slots_of(origin)
            for origin, entry in scheduler.origins.entries.items()
        ),
    )


def list_origins(scheduler: Scheduler, limit: int, *, now: float, wall_time: float) -> OriginList:
    """Return up to `limit` origins that are in use or not healthy: those in trouble first, then the busiest.

    `wall_time` is `now` as Unix time. It takes time in proportion to the number of origins.
    """
    waiting = _count_waiting(scheduler, now)
    entries = [
        (entry, origin, _state(scheduler, origin, entry, now))
        for origin, entry in scheduler.origins.entries.items()
        if entry.running or origin in waiting or entry.health.is_open or entry.health.backoff_until > now
    ]
    order = list(OriginState)
    first = nsmallest(
        limit, entries, key=lambda one: (order.index(one[2]), -one[0].running - waiting.get(one[1], 0), one[1])
    )
    return OriginList(
        origins=[
            OriginStatus(
                origin=origin,
                state=state,
                running=entry.running,
                waiting=waiting.get(origin, 0),
                slots=_slots(scheduler, origin, entry),
                failures=entry.health.failures,
                next_attempt=wall_time + _next_attempt(entry) - now if _next_attempt(entry) > now else None,
                error=entry.health.error,
            )
            for entry, origin, state in first
        ],
        total=len(entries),
    )


def _count_waiting(scheduler: Scheduler, now: float) -> dict[str, int]:
    """Return the number of downloads that wait for each origin, and for each target of redirects."""
    waiting: dict[str, int] = {}
    for queue in scheduler.queues:
        for origin in {queue.route[0], scheduler.targets.expected(queue.route, now=now)} - {""}:
            waiting[origin] = waiting.get(origin, 0) + queue.count
    return waiting


def _explain(scheduler: Scheduler, reason: WaitReason, origin: str, now: float) -> WaitNotice:
    """Return a reason with its values; `origin` is the one that it concerns."""
    entry, host = scheduler.origins.get(origin) or OriginEntry(), _host(origin)
    error = entry.health.error or ""
    match reason:
        case WaitReason.STORAGE_UNAVAILABLE if scheduler.suspension is not None:
            error = "" if scheduler.suspension == DISK_FULL_REASON else scheduler.suspension
            return WaitNotice(code=reason, text=scheduler.suspension, error=error)
        case WaitReason.STARTS_HELD if scheduler.limits.hold_reason is not None:
            return WaitNotice(code=reason, text=scheduler.limits.hold_reason, setting=scheduler.limits.hold_source)
        case WaitReason.HOST_UNREACHABLE:
            seconds = max(0.0, _next_attempt(entry) - now)
            is_probed = entry.probe is not None
            attempt = "another download tries it now" if is_probed else f"the next attempt starts in {seconds:.0f} s"
            text = f"{host} could not be reached; {attempt} ({entry.health.error})"
            return WaitNotice(
                code=reason, text=text, host=host, seconds=None if is_probed else round(seconds), error=error
            )
        case WaitReason.HOST_BACKOFF:
            seconds = entry.health.backoff_until - now
            text = f"{host} asked to wait, {seconds:.0f} s more"
            return WaitNotice(code=reason, text=text, host=host, seconds=round(seconds))
        case WaitReason.HOST_LIMIT:
            count = scheduler.origins.count_running(origin)
            running = _count_running(count, f" from {host}")
            if _slots(scheduler, origin, entry) < scheduler.limits.slots_of(origin):
                # An answer since then has left the slots lowered, but not the error.
                text = f"{running}; it refused more" + (f" ({error})" if error else "")
                return WaitNotice(code=reason, text=text, host=host, running=count, error=error)
            setting = "slots" if host_of(origin) in scheduler.limits.slots_by_host else "max_per_host"
            return WaitNotice(code=reason, text=f"{running} ({setting})", host=host, running=count, setting=setting)
        case WaitReason.TOTAL_LIMIT:
            source = scheduler.limits.max_concurrent_source
            setting = f"max_concurrent{source and f', {source}'}"
            count = len(scheduler.runs)
            return WaitNotice(code=reason, text=f"{_count_running(count)} ({setting})", running=count, setting=setting)
        case _:
            return WaitNotice(code=reason, text="about to start")


def _explain_user(scheduler: Scheduler, reason: WaitReason, user: str, now: float) -> WaitNotice:
    """Return a reason that concerns the user of a download."""
    hold = scheduler.users.held.get(user)
    if reason is WaitReason.DAY_QUOTA and hold is not None:
        return WaitNotice(code=reason, text=hold.text, user=user, seconds=max(0, round(hold.until - now)))
    count, setting = scheduler.users.count_running(user), "max_concurrent"
    text = f"{_count_running(count, f' of {user}')} ({setting} in [[users]])"
    return WaitNotice(code=reason, text=text, user=user, running=count, setting=setting)


def _count_running(count: int, source: str = "") -> str:
    return f"1 download{source} is running" if count == 1 else f"{count} downloads{source} are running"


def _host(origin: str) -> str:
    return origin.rpartition("://")[2]


def _state(scheduler: Scheduler, origin: str, entry: OriginEntry, now: float) -> OriginState:
    if entry.health.is_open:
        return OriginState.OPEN if entry.probe is None else OriginState.PROBING
    if entry.health.backoff_until > now:
        return OriginState.BACKOFF
    is_slowed = _slots(scheduler, origin, entry) < scheduler.limits.slots_of(origin)
    return OriginState.SLOWED if is_slowed else OriginState.HEALTHY


def _slots(scheduler: Scheduler, origin: str, entry: OriginEntry) -> int:
    limit = scheduler.limits.slots_of(origin)
    return min(limit, entry.health.slots or limit)


def _next_attempt(entry: OriginEntry) -> float:
    return max(entry.health.backoff_until, entry.health.probe_at if entry.health.is_open else 0.0)


def _wait_reason(scheduler: Scheduler, route: Route, now: float) -> tuple[WaitReason, str]:
    """Return why a download that has no time to wait for does not start, and which of the origins that concerns.

    The target of the `route` is the expected one.
    """
    origin, target, user = route
    if scheduler.suspension is not None:
        return WaitReason.STORAGE_UNAVAILABLE, origin
    if scheduler.limits.hold_reason is not None:
        return WaitReason.STARTS_HELD, origin
    if not scheduler.users.free_slots(user, scheduler.limits):
        return WaitReason.DAY_QUOTA if user in scheduler.users.held else WaitReason.USER_LIMIT, origin
    for name in filter(None, (origin, target)):
        entry = scheduler.origins.get(name) or OriginEntry()
        if entry.health.is_open:
            return WaitReason.HOST_UNREACHABLE, name
        if entry.health.backoff_until > now:
            return WaitReason.HOST_BACKOFF, name
        if scheduler.origins.count_running(name) >= _slots(scheduler, name, entry):
            return WaitReason.HOST_LIMIT, name
    if len(scheduler.runs) >= scheduler.limits.max_concurrent:
        return WaitReason.TOTAL_LIMIT, origin
    return WaitReason.READY, origin
