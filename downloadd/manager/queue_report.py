"""Reports on the queue: wait reasons of downloads and use of hosts.

Pure: no I/O and no clock; `now` is a time of the clock that the scheduler is used with.
"""

from downloadd.manager.scheduler import HostQueue, Scheduler
from downloadd.metrics import OriginUsage
from downloadd.states import WaitReason

_STARTING = "about to start"


def describe_wait(scheduler: Scheduler, host: str, not_before: float | None, now: float) -> str:
    """Return the reason, in words, why a waiting download of `host` has not started."""
    queue = scheduler.hosts.get(host) or HostQueue()
    match WaitReason.DELAYED if not_before is not None and not_before > now else _wait_reason(scheduler, queue, now):
        case WaitReason.DELAYED:
            return f"the next attempt starts in {(not_before or now) - now:.0f} s"
        case WaitReason.STORAGE_UNAVAILABLE:
            return scheduler.suspension or _STARTING
        case WaitReason.HOST_BACKOFF:
            return f"{host} asked to wait, {queue.blocked_until - now:.0f} s more"
        case WaitReason.HOST_LIMIT:
            return f"{queue.running} downloads from {host} are running (max_per_host)"
        case WaitReason.TOTAL_LIMIT:
            return f"{scheduler.running} downloads are running (max_concurrent)"
        case WaitReason.READY:
            return _STARTING


def count_wait_reasons(scheduler: Scheduler, now: float) -> dict[WaitReason, int]:
    """Return the number of waiting downloads per reason; takes time in proportion to the number of hosts."""
    reasons = {WaitReason.DELAYED: scheduler.delayed}
    for queue in scheduler.hosts.values():
        reason = _wait_reason(scheduler, queue, now)
        reasons[reason] = reasons.get(reason, 0) + queue.waiting
    return reasons


def measure_origins(scheduler: Scheduler, now: float) -> OriginUsage:
    """Return the use of slots per host."""
    queues = scheduler.hosts.values()
    used = [queue.running for queue in queues if queue.running]
    return OriginUsage(
        connections=sum(used),
        busiest=max(used, default=0),
        connected=len(used),
        waiting=sum(queue.waiting > 0 for queue in queues),
        blocked=sum(queue.blocked_until > now for queue in queues),
    )


def _wait_reason(scheduler: Scheduler, queue: HostQueue, now: float) -> WaitReason:
    """Return the reason of a download in this queue that has no time to wait for."""
    if scheduler.suspension is not None:
        return WaitReason.STORAGE_UNAVAILABLE
    if queue.blocked_until > now:
        return WaitReason.HOST_BACKOFF
    if queue.running >= scheduler.limits.max_per_host:
        return WaitReason.HOST_LIMIT
    if scheduler.running >= scheduler.limits.max_concurrent:
        return WaitReason.TOTAL_LIMIT
    return WaitReason.READY
