"""Queues of waiting downloads, one for each origin, target of its redirects, and user.

A queue is offered by its first download, or blocked at an origin or a user that has no slot for it.

Pure: no I/O and no clock. Time: every call is logarithmic in the number of waiting downloads, `unblock` also linear in
the number of queues that it offers.
"""

from collections.abc import Collection, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

Route = tuple[str, str, str]
"""The origin of a download, the origin that its redirects lead to ("" if that is not known), and its user."""
QueueKey = tuple[int, float, int, Route]
"""(minus priority, place, seq, route): the smallest is the next; the route names its queue."""

_MIN_STALE: Final = 16
"""Stale entries of a heap of blocked queues that are always allowed."""


def seq_of(key: QueueKey) -> int:
    """Return the number of the download."""
    return key[-2]


def route_of(key: QueueKey) -> Route:
    """Return the route of the download."""
    return key[-1]


class WaitingQueue:
    """The waiting downloads of one route.

    Attributes:
        route: the origin and the target.
        heap: keys of the downloads; a withdrawn one stays until it is the smallest.
        turns: the downloads (`seq`) in the order in which they were added; empty without a target.
        count: the number of downloads.
        offered: the key under which the queue is offered or blocked.
        blocked_at: the origin, or the name of the slots of the user, that has no slot for the next download; None while
            the queue is offered.
        rechecks: downloads that may start without a slot of the target, to ask if they are led elsewhere now.
        recheck_at: the time at which another one may.
    """

    __slots__ = ("blocked_at", "count", "heap", "offered", "recheck_at", "rechecks", "route", "turns")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.heap: list[QueueKey] = []
        self.turns: dict[int, None] = {}
        self.count = 0
        self.offered: QueueKey | None = None
        self.blocked_at: str | None = None
        self.rechecks = 0
        self.recheck_at: float | None = None


class WaitingQueues:
    """The queues of all routes. A queue without downloads is forgotten."""

    def __init__(self) -> None:
        # Heaps cannot remove from the middle, so an entry is valid only while this holds the very same key object;
        # an entry that was withdrawn or added again is skipped when it is the smallest.
        self._keys: dict[int, QueueKey] = {}
        self._queues: dict[Route, WaitingQueue] = {}
        self._untargeted: dict[str, dict[Route, WaitingQueue]] = {}
        # Entries may be stale: one is valid while its queue is offered, and not blocked, under the very same key.
        self._offered: list[QueueKey] = []
        self._blocked: dict[str, dict[Route, None]] = {}
        # The keys of the queues that are blocked at each; stale in the same way.
        self._blocked_keys: dict[str, list[QueueKey]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[WaitingQueue]:
        return iter(self._queues.values())

    @property
    def offered(self) -> Collection[QueueKey]:
        """Return the keys of the offered queues, some of them stale."""
        return self._offered

    @property
    def blockers(self) -> Collection[str]:
        """Return the origins at which queues are blocked."""
        return self._blocked.keys()

    def get(self, route: Route) -> WaitingQueue | None:
        """Return the queue of a route; None if it has no downloads."""
        return self._queues.get(route)

    def untargeted(self, origin: str) -> Sequence[WaitingQueue]:
        """Return the queues of an origin whose downloads have no target yet, one for each user."""
        return tuple(self._untargeted.get(origin, {}).values())

    def route(self, seq: int) -> Route | None:
        """Return the route of a download; None if it is in no queue."""
        key = self._keys.get(seq)
        return None if key is None else route_of(key)

    def push(self, key: QueueKey) -> None:
        """Add a download that is in no queue."""
        seq, route = seq_of(key), route_of(key)
        queue = self._queues.get(route)
        if queue is None:
            queue = self._queues[route] = WaitingQueue(route)
            if not route[1]:
                self._untargeted.setdefault(route[0], {})[route] = queue
        self._keys[seq] = key
        queue.count += 1
        if route[1]:
            queue.turns[seq] = None
        heappush(queue.heap, key)
        if queue.heap[0] is key:
            self.offer(queue)

    def discard(self, seq: int) -> Route | None:
        """Remove a download; return its route, None if it is in no queue."""
        key = self._keys.pop(seq, None)
        if key is None:
            return None
        route = route_of(key)
        queue = self._queues[route]
        queue.count -= 1
        queue.turns.pop(seq, None)
        if not queue.count:
            self._unblock(queue)
            self._forget(route)
        return route

    def reorder(self, seq: int, priority: int, place: float) -> bool:
        """Give a download another place in its queue; return False if it is in no queue."""
        key = self._keys.get(seq)
        if key is None:
            return False
        queue = self._queues[route_of(key)]
        self._keys[seq] = moved = (-priority, place, seq, queue.route)
        heappush(queue.heap, moved)
        if queue.heap[0] is moved:
            self.offer(queue)
        return True

    def offer(self, queue: WaitingQueue) -> None:
        """Offer a queue by its next download, also if it was blocked."""
        key = self.head(queue)
        if queue.offered is not key or queue.blocked_at is not None:
            self._unblock(queue)
            queue.offered = key
            heappush(self._offered, key)

    def pop_offered(self) -> WaitingQueue | None:
        """Return the offered queue with the smallest key, which is not offered any more; None if there is none."""
        while self._offered:
            key = heappop(self._offered)
            queue = self._queues.get(route_of(key))
            if queue is None or queue.offered is not key or queue.blocked_at is not None:
                continue
            queue.offered = None
            if self.head(queue) is key:
                return queue
            # The head was withdrawn or moved since.
            self.offer(queue)
        return None

    def block(self, queue: WaitingQueue, origin: str) -> None:
        """Block a queue until a slot of `origin` is free, which may be the name of the slots of a user."""
        self._unblock(queue)
        queue.offered, queue.blocked_at = self.head(queue), origin
        self._blocked.setdefault(origin, {})[queue.route] = None
        self._push_blocked(queue.offered, origin)

    def unblock(self, origin: str, count: int) -> None:
        """Offer up to `count` of the queues that are blocked at `origin`, those with the smallest keys."""
        while count > 0 and origin in self._blocked:
            key = heappop(self._blocked_keys[origin])
            queue = self._queue_blocked_by(key, origin)
            if queue is None:
                continue
            head = self.head(queue)
            if head is key:
                self.offer(queue)
                count -= 1
            else:
                # The head was withdrawn or moved since.
                queue.offered = head
                heappush(self._blocked_keys[origin], head)

    def head(self, queue: WaitingQueue) -> QueueKey:
        """Return the key of the next download of a queue."""
        while True:
            key = queue.heap[0]
            if self._keys.get(seq_of(key)) is key:
                return key
            heappop(queue.heap)

    def _push_blocked(self, key: QueueKey, origin: str) -> None:
        keys = self._blocked_keys.setdefault(origin, [])
        heappush(keys, key)
        if len(keys) > 2 * len(self._blocked[origin]) + _MIN_STALE:
            keys[:] = (one for one in keys if self._queue_blocked_by(one, origin) is not None)
            heapify(keys)

    def _queue_blocked_by(self, key: QueueKey, origin: str) -> WaitingQueue | None:
        """Return the queue that is blocked at `origin` under this key; None if the entry is stale."""
        queue = self._queues.get(route_of(key))
        return queue if queue is not None and queue.blocked_at == origin and queue.offered is key else None

    def _forget(self, route: Route) -> None:
        """Forget a queue without downloads."""
        del self._queues[route]
        if not route[1]:
            queues = self._untargeted[route[0]]
            del queues[route]
            if not queues:
                del self._untargeted[route[0]]

    def _unblock(self, queue: WaitingQueue) -> None:
        origin, queue.blocked_at = queue.blocked_at, None
        if origin is not None:
            routes = self._blocked[origin]
            del routes[queue.route]
            if not routes:
                del self._blocked[origin], self._blocked_keys[origin]
