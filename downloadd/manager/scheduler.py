"""Scheduling of downloads: selects which waiting downloads start now, within the limits.

Pure: no I/O, no clock; the caller passes the time, always by the same clock. Memory: about 200 bytes for each waiting
download. Time: every call is logarithmic in the number of waiting downloads and of origins.
"""

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import Self

import msgspec
from msgspec import UNSET

from downloadd.config import DownloadsConfig, HostConfig
from downloadd.manager.origin_table import OriginQueue, OriginTable, QueueKey
from downloadd.policy.url import host_of
from downloadd.records.protocol import WaitingDownload


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
    """The queues of all origins.

    A download is either waiting here, running (between `select_ready` and `finish`), or unknown. Within an origin the
    one with the higher priority starts first, then the older one. The same order holds among origins that have a free
    slot, so that an origin that is full, slow or blocked never delays another one.

    Attributes:
        origins: the queues and the health of the origins; outcomes of attempts are reported to it.
        suspension: the reason, in words, why nothing starts; None while downloads may start.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.origins = OriginTable()
        # Heaps cannot remove from the middle, so an entry is valid only while this holds the very same key object;
        # an entry that was withdrawn or added again is skipped when it is the smallest.
        self._waiting: dict[int, QueueKey] = {}
        # Origins that can start a download, by the key of their head. Entries may be stale: an origin is entered again
        # whenever its head or its slots change, and checked again when it is taken out.
        self._ready: list[tuple[QueueKey, str]] = []
        self._delayed: list[tuple[float, QueueKey]] = []
        # Those of `_waiting` that are not in a queue yet.
        self._delayed_seqs: set[int] = set()
        self._running: dict[int, str] = {}
        # Downloads that were added while they ran: they join when the run has ended, or are dequeued before.
        self._requeued: dict[int, WaitingDownload] = {}
        self.suspension: str | None = None

    @property
    def waiting(self) -> int:
        """Return the number of waiting downloads."""
        return len(self._waiting)

    @property
    def delayed(self) -> int:
        """Return the number of downloads that wait for a time."""
        return len(self._delayed_seqs)

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
        for name in tuple(self.origins.queues):
            self._offer(name)

    def add(self, waiting: WaitingDownload) -> None:
        """Add a download to its origin's queue, at `not_before` if it has one.

        One that waits already is moved. One that runs is added when its run has ended, so that it never has two slots.
        """
        if waiting.seq in self._running:
            self._requeued[waiting.seq] = waiting
            return
        self._drop(waiting.seq)
        key = (-waiting.priority, waiting.seq, waiting.origin)
        self._waiting[waiting.seq] = key
        if waiting.not_before is not None:
            self._delayed_seqs.add(waiting.seq)
            heappush(self._delayed, (waiting.not_before, key))
        else:
            self._push(key)

    def dequeue(self, seq: int) -> None:
        """Remove a download from the queue; an unknown one is ignored."""
        self._drop(seq)
        self._requeued.pop(seq, None)

    def finish(self, seq: int) -> None:
        """Free the slot of a run that has ended; an unknown one is ignored."""
        name = self._running.pop(seq, None)
        if name is not None:
            self.origins.end_run(name, seq)
            self._offer(name)
        requeued = self._requeued.pop(seq, None)
        if requeued is not None:
            self.add(requeued)

    def acquire(self, origin: str, count: int, *, now: float) -> int:
        """Take up to `count` free slots of an origin for further connections of a running download; return the number.

        An origin in backoff or with an open circuit has none.
        """
        queue = self.origins.get(origin) or OriginQueue()
        if queue.health.is_open:
            return 0
        acquired = min(count, queue.free_slots(self._limits.slots_of(origin), now))
        if acquired:
            self.origins.use(origin).running += acquired
        return acquired

    def release(self, origin: str, slots: int) -> None:
        """Free acquired slots."""
        if slots:
            self.origins.use(origin).running -= slots
            self._offer(origin)

    def select_ready(self, now: float) -> list[int]:
        """Return the downloads (`seq`) that start now, in order; they count as running from now on."""
        if self.suspension is not None:
            return []
        while self._delayed and self._delayed[0][0] <= now:
            _, key = heappop(self._delayed)
            if self._waiting.get(key[1]) is key:
                self._delayed_seqs.discard(key[1])
                self._push(key)
        for name in self.origins.pop_due(now, slots_of=self._limits.slots_of):
            self._offer(name)
        picked: list[int] = []
        while self._ready and len(self._running) < self._limits.max_concurrent:
            key, name = heappop(self._ready)
            queue = self.origins.get(name)
            if queue is not None and queue.offered is key:
                queue.offered = None
            if queue is None or not queue.free_slots(self._limits.slots_of(name), now):
                continue
            if self._peek(queue) is not key:
                # The head was withdrawn or moved since; the origin is offered with its new head.
                self._offer(name)
                continue
            heappop(queue.heap)
            self._drop(key[1])
            self.origins.begin_run(name, key[1], now=now)
            self._running[key[1]] = name
            picked.append(key[1])
            self._offer(name)
        return picked

    def next_due(self) -> float | None:
        """Return the time at which `select_ready` may return downloads if nothing changes before; None for never."""
        if self.suspension is not None:
            return None
        times = (self._delayed[0][0] if self._delayed else None, self.origins.next_due())
        return min((time for time in times if time is not None), default=None)

    def _drop(self, seq: int) -> None:
        """Remove a download from its queue, or from those that wait for a time."""
        key = self._waiting.pop(seq, None)
        if key is None:
            return
        if seq in self._delayed_seqs:
            self._delayed_seqs.discard(seq)
        else:
            self.origins.use(key[2]).waiting -= 1

    def _push(self, key: QueueKey) -> None:
        name = key[2]
        queue = self.origins.use(name)
        queue.waiting += 1
        heappush(queue.heap, key)
        if queue.heap[0] is key:
            self._offer(name)

    def _offer(self, name: str) -> None:
        """Offer the origin's head if it has one and a slot for it; forget an origin that is not in use."""
        queue = self.origins.use(name)
        key = self._peek(queue)
        # Once for each head: otherwise each end of a run would leave an entry while the total limit is reached.
        if key is not None and queue.offered is not key and queue.running < self._limits.slots_of(name):
            queue.offered = key
            heappush(self._ready, (key, name))
        if key is None:
            self.origins.forget_unused(name)

    def _peek(self, queue: OriginQueue) -> QueueKey | None:
        while queue.heap:
            key = queue.heap[0]
            if self._waiting.get(key[1]) is key:
                return key
            heappop(queue.heap)
        return None
