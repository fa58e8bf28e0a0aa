"""Scheduling of downloads: selects which waiting downloads start now, within the limits.

Pure: no I/O, no clock; the caller passes the time, always by the same clock. Memory: about 200 bytes for each waiting
download. Time: every call is logarithmic in the number of waiting downloads and of origins.
"""

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import Final

from msgspec.structs import replace

from downloadd.manager.delayed_downloads import DelayedDownloads
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import OriginFailure, Verdict
from downloadd.manager.origin_table import OriginTable
from downloadd.manager.redirect_targets import RedirectTargets
from downloadd.manager.running_downloads import RunningDownloads
from downloadd.manager.user_slots import UserHold, UserSlots, name_slots, user_of
from downloadd.manager.waiting_queues import QueueKey, Route, WaitingQueue, WaitingQueues, route_of, seq_of
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry

DISK_FULL_REASON: Final = "the disk is full"
"""Suspension while the disk is full; the others are failures of the storage."""
RECHECK_SECONDS: Final = 30.0
"""Seconds after which one of the downloads that wait for a target asks its origin if it is led elsewhere now."""
PRESUMED_RECHECK_SECONDS: Final = 1.0
"""The same for downloads that were never led to a target, and wait for the one that others of their origin were led to.
"""
PRESUMED_RECHECK_SHARE: Final = 4
"""One in so many of these asks each time, so that all have asked after about half a minute."""
FURTHER_RECHECKS: Final = 4
"""Downloads that ask too when one was led elsewhere; so their number grows as long as there is a slot elsewhere."""


class Scheduler:
    """The queues of all origins, and what starts next.

    A download is either waiting here, running (between `select_ready` and `finish`), or unknown. Within an origin the
    one with the higher priority starts first, then the one with the smaller place, which is the older one unless a user
    has moved it. The same order holds among origins that have a free slot, so that an origin that is full, slow or
    blocked never delays another one.

    A download whose target is known or presumed also needs a slot of that. From time to time, one that waits for such a
    slot starts without it, because its origin may lead it elsewhere.

    Attributes:
        origins: the slots and the health of the origins.
        targets: the targets of redirects.
        runs: the running downloads and their slots.
        users: the running downloads of each user.
        queues: the waiting downloads, without those that wait for a time.
        delayed: the downloads that wait for a time.
        suspension: the reason, in words, why nothing starts; None while downloads may start.
    """

    def __init__(self, limits: Limits) -> None:
        self.origins = OriginTable(limits)
        self.targets = RedirectTargets()
        self.runs = RunningDownloads(self.origins, self.targets)
        self.users = UserSlots()
        self.queues = WaitingQueues()
        self.delayed = DelayedDownloads()
        self._rechecks: list[tuple[float, Route]] = []
        # Downloads that were added while they ran: they join when the run has ended, or are dequeued before.
        self._requeued: dict[int, WaitingDownload] = {}
        # True if the last selection ended at the limit of runs.
        self._is_cut_short = False
        self.suspension: str | None = None

    @property
    def waiting(self) -> int:
        """Return the number of waiting downloads."""
        return len(self.queues) + len(self.delayed)

    @property
    def is_held(self) -> bool:
        """Return True while nothing may start."""
        return self.suspension is not None or self.limits.hold_reason is not None

    @property
    def limits(self) -> Limits:
        """Return the limits."""
        return self.origins.limits

    def change_limits(self, limits: Limits) -> None:
        """Set new limits; running downloads continue."""
        before, self.origins.limits = self.origins.limits, limits
        self.runs.freed.update(self.origins.entries, map(name_slots, {*before.runs_by_user, *limits.runs_by_user}))

    def hold_users(self, held: Mapping[str, UserHold]) -> None:
        """Set the users of whom nothing starts; running downloads continue."""
        self.runs.freed.update(map(name_slots, self.users.held.keys() - held.keys()))
        self.users.held = held

    def set_used(self, used: Mapping[str, int]) -> None:
        """Set the slots that other nodes hold, by origin, or by the name of the slots of a user."""
        before, self.origins.used = self.origins.used, used
        self.users.used = used
        self.runs.freed.update(origin for origin, number in before.items() if used.get(origin, 0) < number)

    def add(self, waiting: WaitingDownload) -> None:
        """Add a download to its queue, at `not_before` if it has one.

        One that waits already is moved. One that runs is added when its run has ended, so that it never has two slots.
        """
        if self.runs.get(waiting.seq) is not None:
            self._requeued[waiting.seq] = waiting
            return
        self._drop(waiting.seq)
        target = "" if waiting.target in {None, waiting.origin} else waiting.target or ""
        route = (waiting.origin, target, waiting.user)
        queue = self.queues.get(route)
        # The downloads of a queue share its route.
        key = (-waiting.priority, waiting.position, waiting.seq, route if queue is None else queue.route)
        if waiting.not_before is not None:
            self.delayed.add(key, waiting.not_before)
        else:
            self._push(key)

    def reorder(self, entries: Iterable[QueueEntry]) -> None:
        """Give downloads other places in their queues; those that do not wait are ignored."""
        for one in entries:
            requeued = self._requeued.get(one.seq)
            if requeued is not None:
                self._requeued[one.seq] = replace(requeued, priority=one.priority, place=one.place)
            elif not self.delayed.reorder(one.seq, one.priority, one.position):
                self.queues.reorder(one.seq, one.priority, one.position)

    def dequeue(self, seq: int) -> None:
        """Remove a download from the queue; an unknown one is ignored."""
        self._drop(seq)
        self._requeued.pop(seq, None)

    def finish(self, seq: int) -> None:
        """Free the slots of a run that has ended; an unknown one is ignored."""
        running = self.runs.get(seq)
        self.runs.end(seq)
        if running is not None:
            self.users.end(running.user)
            self.runs.freed.add(name_slots(running.user))
        requeued = self._requeued.pop(seq, None)
        if requeued is not None:
            self.add(requeued)

    def enter(self, seq: int, source: str, origin: str, *, now: float) -> bool:
        """Take a slot of the origin that redirects of `source` lead to; see `RunningDownloads.enter`."""
        has_slot = self.runs.enter(seq, source, origin, now=now)
        self._offer_untargeted(source)
        return has_slot

    def report_answer(self, origin: str, seq: int, *, is_redirect: bool = False, now: float) -> bool:
        """Record that an origin has answered a request of a download; return True if it closed the circuit."""
        running = self.runs.get(seq)
        if running is not None and not is_redirect:
            if self.runs.learn_from_answer(seq, origin, now=now):
                self._recheck(running.route)
            self._offer_untargeted(running.source)
        return self.origins.report_answer(origin, seq, is_receiving=not is_redirect, now=now)

    def report_failure(self, origin: str, failure: OriginFailure, *, now: float, random: float) -> Verdict:
        """Record a failed attempt; return the consequence for its download."""
        running = self.runs.get(failure.seq)
        if running is not None:
            self.runs.learn_from_failure(failure.seq, origin, now=now)
            self._offer_untargeted(running.source)
        return self.origins.report_failure(origin, failure, now=now, random=random)

    def route(self, seq: int) -> Route | None:
        """Return the origin of a waiting download, the target that it waits for if it does, and its user.

        None if it is unknown.
        """
        return self.delayed.route(seq) or self.queues.route(seq)

    def select_ready(self, now: float) -> list[int]:
        """Return the downloads (`seq`) that start now, in order; they count as running from now on."""
        if self.is_held:
            return []
        self._end_waits(now)
        picked: list[int] = []
        while len(self.runs) < self.limits.max_concurrent:
            queue = self.queues.pop_offered()
            if queue is None:
                break
            origin, target = queue.route[0], self.targets.expected(queue.route, now=now)
            blocker = self._blocker(queue.route[2]) or self.origins.blocker(origin, target, now=now)
            if blocker is None:
                queue.rechecks = 0
                picked.append(
                    self._start(queue, seq_of(self.queues.head(queue)), target, has_target_slot=True, now=now)
                )
            elif blocker == target and queue.rechecks:
                queue.rechecks -= 1
                seq = next(iter(queue.turns), seq_of(self.queues.head(queue)))
                picked.append(self._start(queue, seq, target, has_target_slot=False, now=now))
            else:
                self._block(queue, blocker, target, now)
        self._is_cut_short = len(self.runs) >= self.limits.max_concurrent
        return picked

    def max_slots(self, name: str) -> int:
        """Return the slots of an origin as its health allows, or those of a user by their name."""
        user = user_of(name)
        return self.origins.max_slots(name) if user is None else self.limits.runs_by_user.get(user, 0)

    def next_due(self) -> float | None:
        """Return the time at which `select_ready` may return downloads if nothing changes before; None for never."""
        if self.is_held:
            return None
        recheck = self._rechecks[0][0] if self._rechecks else None
        times = (self.delayed.next_due(), recheck, self.origins.next_due())
        return min((time for time in times if time is not None), default=None)

    def _end_waits(self, now: float) -> None:
        """Offer what has waited for a time, or for a slot that is free now."""
        for key in self.delayed.pop_due(now):
            self._push(key)
        while self._rechecks and self._rechecks[0][0] <= now:
            _, route = heappop(self._rechecks)
            queue = self.queues.get(route)
            if queue is not None and queue.recheck_at is not None and queue.recheck_at <= now:
                queue.recheck_at = None
                count = 1 if route[1] else -(-queue.count // PRESUMED_RECHECK_SHARE)
                queue.rechecks = max(queue.rechecks, count)
                self.queues.offer(queue)
        freed, self.runs.freed = self.runs.freed, set()
        if self._is_cut_short and len(self.runs) < self.limits.max_concurrent:
            # Queues that were offered for a free slot did not use it, and may be gone.
            freed.update(self.queues.blockers)
        for name in (*freed, *self.origins.pop_due(now)):
            self._unblock(name, now)

    def _blocker(self, user: str) -> str | None:
        """Return the name of the slots of a user who has no free one; None if a download may start."""
        return None if self.users.free_slots(user, self.limits) else name_slots(user)

    def _unblock(self, name: str, now: float) -> None:
        user = user_of(name)
        if user is None:
            self.queues.unblock(name, self.origins.free_slots(name, now=now))
            self.origins.forget_unused(name)
        else:
            self.queues.unblock(name, self.users.free_slots(user, self.limits))

    def _start(self, queue: WaitingQueue, seq: int, target: str, *, has_target_slot: bool, now: float) -> int:
        self._drop(seq)
        self.runs.begin(seq, queue.route, target, has_target_slot=has_target_slot, now=now)
        self.users.begin(queue.route[2])
        if queue.count:
            self.queues.offer(queue)
        return seq

    def _block(self, queue: WaitingQueue, blocker: str, target: str, now: float) -> None:
        self.queues.block(queue, blocker)
        if blocker == target and queue.recheck_at is None:
            queue.recheck_at = now + (RECHECK_SECONDS if queue.route[1] else PRESUMED_RECHECK_SECONDS)
            heappush(self._rechecks, (queue.recheck_at, queue.route))
        for name in {queue.route[0], target, name_slots(queue.route[2])} - {blocker, ""}:
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
        for queue in self.queues.untargeted(origin):
            if queue.blocked_at not in {None, origin, name_slots(queue.route[2])}:
                self.queues.offer(queue)

    def _push(self, key: QueueKey) -> None:
        self.origins.use(route_of(key)[0]).waiting += 1
        self.queues.push(key)

    def _drop(self, seq: int) -> None:
        """Remove a download from its queue, or from those that wait for a time."""
        if not self.delayed.discard(seq):
            route = self.queues.discard(seq)
            if route is not None:
                self.origins.use(route[0]).waiting -= 1
                self.origins.forget_unused(route[0])
