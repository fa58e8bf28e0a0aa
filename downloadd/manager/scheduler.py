"""Scheduling of downloads: selects which waiting downloads start now, within the limits.

Pure: no I/O, no clock; the caller passes the time, always by the same clock. Memory: about 200 bytes for each waiting
download. Time: every call is logarithmic in the number of waiting downloads and of origins; a free slot also takes time
in proportion to the queues that wait for its origin.
"""

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Final, Self, TypeVar

import msgspec
from msgspec import UNSET

from downloadd.config import DownloadsConfig, HostConfig
from downloadd.manager.origin_health import OriginFailure, Verdict
from downloadd.manager.origin_table import OriginEntry, OriginTable
from downloadd.manager.redirect_targets import RedirectTargets
from downloadd.manager.running_downloads import RunningDownloads
from downloadd.manager.waiting_queues import QueueKey, Route, WaitingQueue, WaitingQueues
from downloadd.policy.url import host_of
from downloadd.records.protocol import WaitingDownload

RECHECK_SECONDS: Final = 30.0
"""Seconds after which one of the downloads that wait for a target asks its origin if it is led elsewhere now."""
PRESUMED_RECHECK_SECONDS: Final = 1.0
"""The same for downloads that were never led to a target, and wait for the one that others of their origin were led to.
"""
PRESUMED_RECHECK_SHARE: Final = 4
"""One in so many of these asks each time, so that all have asked after about half a minute."""
FURTHER_RECHECKS: Final = 4
"""Downloads that ask too when one was led elsewhere; so their number grows as long as there is a slot elsewhere."""

_Item = TypeVar("_Item")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on downloads that run at the same time."""

    max_concurrent: int
    """Runs of all origins together."""
    max_per_host: int
    """Slots of one origin."""
    slots_by_host: Mapping[str, int] = {}
    """Slots of each origin of some hosts, in the spelling of `parse_host`."""

    @classmethod
    def from_config(cls, config: DownloadsConfig, hosts: Iterable[HostConfig] = ()) -> Self:
        """Return the configured limits."""
        return cls(
            max_concurrent=config.max_concurrent,
            max_per_host=config.max_per_host,
            slots_by_host={each.host: each.slots for each in hosts if each.slots is not UNSET},
        )

    def slots_of(self, origin: str) -> int:
        """Return the slots of an origin."""
        if not self.slots_by_host:
            return self.max_per_host
        return self.slots_by_host.get(host_of(origin), self.max_per_host)


class Scheduler:
    """The queues and the running downloads of all origins.

    A download is either waiting here, running (between `select_ready` and `finish`), or unknown. Within an origin the
    one with the higher priority starts first, then the older one. The same order holds among origins that have a free
    slot, so that an origin that is full, slow or blocked never delays another one.

    A download whose target is known or presumed also needs a slot of that. From time to time, one that waits for such a
    slot starts without it, because its origin may lead it elsewhere.

    Attributes:
        origins: the slots and the health of the origins.
        targets: the targets of redirects.
        queues: the waiting downloads, without those that wait for a time.
        suspension: the reason, in words, why nothing starts; None while downloads may start.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.origins = OriginTable()
        self.targets = RedirectTargets()
        self.queues = WaitingQueues()
        self._running = RunningDownloads(self.origins, self.targets)
        # Entries of the heap may be stale, as those of the queues.
        self._delayed: dict[int, QueueKey] = {}
        self._delays: list[tuple[float, QueueKey]] = []
        self._rechecks: list[tuple[float, Route]] = []
        # Downloads that were added while they ran: they join when the run has ended, or are dequeued before.
        self._requeued: dict[int, WaitingDownload] = {}
        # True if the last selection ended at the limit of runs.
        self._is_cut_short = False
        self.suspension: str | None = None

    @property
    def waiting(self) -> int:
        """Return the number of waiting downloads."""
        return len(self.queues) + len(self._delayed)

    @property
    def delayed(self) -> int:
        """Return the number of downloads that wait for a time."""
        return len(self._delayed)

    @property
    def running(self) -> int:
        """Return the number of running downloads."""
        return len(self._running)

    @property
    def limits(self) -> Limits:
        """Return the limits."""
        return self._limits

    def change_limits(self, limits: Limits) -> None:
        """Set new limits; running downloads continue."""
        self._limits = limits
        self._running.freed.update(self.origins.entries)

    def add(self, waiting: WaitingDownload) -> None:
        """Add a download to its queue, at `not_before` if it has one.

        One that waits already is moved. One that runs is added when its run has ended, so that it never has two slots.
        """
        if self._running.get(waiting.seq) is not None:
            self._requeued[waiting.seq] = waiting
            return
        self._drop(waiting.seq)
        route = (waiting.origin, "" if waiting.target in {None, waiting.origin} else waiting.target or "")
        queue = self.queues.get(route)
        # The downloads of a queue share its route.
        key = (-waiting.priority, waiting.seq, route if queue is None else queue.route)
        if waiting.not_before is not None:
            self._delayed[waiting.seq] = key
            heappush(self._delays, (waiting.not_before, key))
        else:
            self._push(key)

    def dequeue(self, seq: int) -> None:
        """Remove a download from the queue; an unknown one is ignored."""
        self._drop(seq)
        self._requeued.pop(seq, None)

    def free_slots(self, seq: int) -> None:
        """Free the slots of a run that needs its origins no longer; it counts in `max_concurrent` until its end."""
        self._running.free_slots(seq)
        self._forget_unused()

    def finish(self, seq: int) -> None:
        """Free the slots of a run that has ended; an unknown one is ignored."""
        self._running.end(seq)
        self._forget_unused()
        requeued = self._requeued.pop(seq, None)
        if requeued is not None:
            self.add(requeued)

    def acquire(self, origin: str, count: int, *, now: float) -> int:
        """Take up to `count` free slots of an origin for further connections of a running download; return the number.

        An origin in backoff or with an open circuit has none.
        """
        entry = self.origins.get(origin) or OriginEntry()
        if entry.health.is_open:
            return 0
        acquired = min(count, entry.free_slots(self._limits.slots_of(origin), now))
        if acquired:
            self.origins.use(origin).running += acquired
        return acquired

    def release(self, origin: str, slots: int) -> None:
        """Free acquired slots."""
        if slots:
            self.origins.use(origin).running -= slots
            self._running.freed.add(origin)
            self._forget_unused()

    def enter(self, seq: int, source: str, origin: str, *, now: float) -> bool:
        """Take a slot of the origin that redirects of `source` lead a running download to; return False without one.

        It may be the probe of an open circuit. The slot is free again when the run ends or is led elsewhere.
        """
        has_slot = self._running.enter(seq, source, origin, max_slots=self._limits.slots_of(origin), now=now)
        self._offer_untargeted(source)
        self._forget_unused()
        return has_slot

    def expected_target(self, seq: int) -> str | None:
        """Return the target that a running download was expected to be led to, and has a slot of; None without one."""
        running = self._running.get(seq)
        return None if running is None or running.target != running.expected else running.target or None

    def leave(self, seq: int) -> None:
        """Free the slot of a run at the target of redirects, if it has one."""
        self._running.leave(seq)
        self._forget_unused()

    def report_answer(self, origin: str, seq: int, *, is_redirect: bool = False, now: float) -> bool:
        """Record that an origin has answered a request of a download; return True if it closed the circuit."""
        running = self._running.get(seq)
        if running is not None and not is_redirect:
            if self._running.learn_from_answer(seq, origin, now=now):
                self._recheck(running.route)
            self._offer_untargeted(running.source)
        return self.origins.report_answer(
            origin, seq, is_receiving=not is_redirect, max_slots=self._limits.slots_of(origin), now=now
        )

    def report_failure(self, origin: str, failure: OriginFailure, *, now: float, random: float) -> Verdict:
        """Record a failed attempt; return the consequence for its download."""
        running = self._running.get(failure.seq)
        if running is not None:
            self._running.learn_from_failure(failure.seq, origin, now=now)
            self._offer_untargeted(running.source)
        return self.origins.report_failure(
            origin, failure, max_slots=self._limits.slots_of(origin), now=now, random=random
        )

    def route(self, seq: int) -> Route | None:
        """Return the origin of a waiting download, and the target that it waits for if it does; None if unknown."""
        delayed = self._delayed.get(seq)
        return self.queues.route(seq) if delayed is None else delayed[2]

    def target(self, route: Route, now: float) -> str:
        """Return the target that the downloads of a route are led to; "" if that is not known."""
        return route[1] or self.targets.likely(route[0], now=now) or ""

    def blocker(self, origin: str, target: str, now: float) -> str | None:
        """Return which of an origin and a target has no free slot; None if a download may start."""
        for name in (origin, target):
            entry = self.origins.get(name) if name else None
            if not (entry or OriginEntry()).free_slots(self._limits.slots_of(name), now):
                return name
        return None

    def select_ready(self, now: float) -> list[int]:
        """Return the downloads (`seq`) that start now, in order; they count as running from now on."""
        if self.suspension is not None:
            return []
        self._end_waits(now)
        picked: list[int] = []
        while len(self._running) < self._limits.max_concurrent:
            queue = self.queues.pop_offered()
            if queue is None:
                break
            origin, target = queue.route[0], self.target(queue.route, now)
            blocker = self.blocker(origin, target, now)
            if blocker is None:
                queue.rechecks = 0
                picked.append(self._start(queue, self.queues.head(queue)[1], target, has_target_slot=True, now=now))
            elif blocker == target and queue.rechecks:
                queue.rechecks -= 1
                seq = next(iter(queue.turns), self.queues.head(queue)[1])
                picked.append(self._start(queue, seq, target, has_target_slot=False, now=now))
            else:
                self._block(queue, blocker, target, now)
        self._is_cut_short = len(self._running) >= self._limits.max_concurrent
        return picked

    def next_due(self) -> float | None:
        """Return the time at which `select_ready` may return downloads if nothing changes before; None for never."""
        if self.suspension is not None:
            return None
        firsts = (heap[0][0] if heap else None for heap in (self._delays, self._rechecks))
        return min((time for time in (*firsts, self.origins.next_due()) if time is not None), default=None)

    def _end_waits(self, now: float) -> None:
        """Offer what has waited for a time, or for a slot that is free now."""
        for key in _pop_due(self._delays, now):
            if self._delayed.get(key[1]) is key:
                del self._delayed[key[1]]
                self._push(key)
        for route in _pop_due(self._rechecks, now):
            queue = self.queues.get(route)
            if queue is not None and queue.recheck_at is not None and queue.recheck_at <= now:
                queue.recheck_at = None
                count = 1 if route[1] else -(-queue.count // PRESUMED_RECHECK_SHARE)
                queue.rechecks = max(queue.rechecks, count)
                self.queues.offer(queue)
        freed, self._running.freed = self._running.freed, set()
        if self._is_cut_short and len(self._running) < self._limits.max_concurrent:
            # Queues that were offered for a free slot did not use it, and may be gone.
            freed.update(self.queues.blockers)
        for name in (*freed, *self.origins.pop_due(now, slots_of=self._limits.slots_of)):
            self._unblock(name, now)

    def _unblock(self, name: str, now: float) -> None:
        entry = self.origins.get(name) or OriginEntry()
        self.queues.unblock(name, entry.free_slots(self._limits.slots_of(name), now))
        self.origins.forget_unused(name)

    def _start(self, queue: WaitingQueue, seq: int, target: str, *, has_target_slot: bool, now: float) -> int:
        self._drop(seq)
        self._running.begin(seq, queue.route, target, has_target_slot=has_target_slot, now=now)
        if queue.count:
            self.queues.offer(queue)
        return seq

    def _block(self, queue: WaitingQueue, blocker: str, target: str, now: float) -> None:
        self.queues.block(queue, blocker)
        if blocker == target and queue.recheck_at is None:
            queue.recheck_at = now + (RECHECK_SECONDS if queue.route[1] else PRESUMED_RECHECK_SECONDS)
            heappush(self._rechecks, (queue.recheck_at, queue.route))
        for name in {queue.route[0], target} - {blocker, ""}:
            # The queue may have been offered because of a slot of this one; then the slot is for the next.
            self._unblock(name, now)

    def _recheck(self, route: Route) -> None:
        """Let some downloads of a route ask their origin again, because one of them was led elsewhere."""
        queue = self.queues.get(route)
        if queue is not None:
            queue.rechecks += FURTHER_RECHECKS
            self.queues.offer(queue)

    def _offer_untargeted(self, origin: str) -> None:
        """Offer the downloads of an origin whose target is only presumed, because the presumption may have changed."""
        queue = self.queues.get((origin, ""))
        if queue is not None and queue.blocked_at not in {None, origin}:
            self.queues.offer(queue)

    def _push(self, key: QueueKey) -> None:
        self.origins.use(key[2][0]).waiting += 1
        self.queues.push(key)

    def _drop(self, seq: int) -> None:
        """Remove a download from its queue, or from those that wait for a time."""
        if self._delayed.pop(seq, None) is None:
            route = self.queues.discard(seq)
            if route is not None:
                self.origins.use(route[0]).waiting -= 1
                self.origins.forget_unused(route[0])

    def _forget_unused(self) -> None:
        for name in self._running.freed:
            self.origins.forget_unused(name)


def _pop_due(heap: list[tuple[float, _Item]], now: float) -> Iterator[_Item]:
    while heap and heap[0][0] <= now:
        yield heappop(heap)[1]
