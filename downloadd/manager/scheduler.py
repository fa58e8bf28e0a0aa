"""Scheduling of downloads: selects which waiting downloads start now, within the limits.

Pure: no I/O, no clock; the caller passes the time, always by the same clock. Memory: about 200 bytes for each waiting
download. Time: every call is logarithmic in the number of waiting downloads and independent of the number of hosts.
"""

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Self

import msgspec

from downloadd.config import DownloadsConfig
from downloadd.records.protocol import WaitingDownload


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on downloads that run at the same time."""

    max_concurrent: int
    """Runs of all hosts together."""
    max_per_host: int
    """Slots of one host."""

    @classmethod
    def from_config(cls, config: DownloadsConfig) -> Self:
        """Return the configured limits."""
        return cls(max_concurrent=config.max_concurrent, max_per_host=config.max_per_host)


QueueKey = tuple[int, int, str]
"""(minus priority, seq, host): the smallest is the next; the host names its queue."""


class HostQueue:
    """The queue and the slots of one host.

    Attributes:
        heap: keys of waiting downloads; a withdrawn one stays until it is the smallest.
        waiting: downloads that wait, without withdrawn ones.
        running: slots in use.
        blocked_until: the time before which nothing starts; 0 when the host is not blocked.
    """

    __slots__ = ("blocked_until", "heap", "running", "waiting")

    def __init__(self) -> None:
        self.heap: list[QueueKey] = []
        self.waiting = 0
        self.running = 0
        self.blocked_until = 0.0


class Scheduler:
    """The queues of all hosts.

    A download is either waiting here, running (between `select_ready` and `finish`), or unknown. Within a host the one
    with the higher priority starts first, then the older one. The same order holds among hosts that have a free slot,
    so that a host that is full, slow or blocked never delays another one.

    Attributes:
        suspension: the reason, in words, why nothing starts; None while downloads may start.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._hosts: dict[str, HostQueue] = {}
        # Heaps cannot remove from the middle, so an entry is valid only while this holds the very same key object;
        # an entry that was withdrawn or added again is skipped when it is the smallest.
        self._waiting: dict[int, QueueKey] = {}
        # Hosts that can start a download, by the key of their head. Entries may be stale: a host is entered again
        # whenever its head or its slots change, and checked again when it is taken out.
        self._ready: list[tuple[QueueKey, str]] = []
        self._delayed: list[tuple[float, QueueKey]] = []
        # Those of `_waiting` that are not in a queue yet.
        self._delayed_seqs: set[int] = set()
        self._blocked: list[tuple[float, str]] = []
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

    @property
    def hosts(self) -> Mapping[str, HostQueue]:
        """Return the queues of the hosts, by the host."""
        return self._hosts

    def change_limits(self, limits: Limits) -> None:
        """Set new limits; running downloads continue."""
        self._limits = limits
        for name in tuple(self._hosts):
            self._offer(name)

    def add(self, waiting: WaitingDownload) -> None:
        """Add a download to its host's queue, at `not_before` if it has one.

        One that waits already is moved. One that runs is added when its run has ended, so that it never has two slots.
        """
        if waiting.seq in self._running:
            self._requeued[waiting.seq] = waiting
            return
        self._drop(waiting.seq)
        key = (-waiting.priority, waiting.seq, waiting.host)
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
            self._hosts[name].running -= 1
            self._offer(name)
        requeued = self._requeued.pop(seq, None)
        if requeued is not None:
            self.add(requeued)

    def acquire(self, host: str, count: int) -> int:
        """Take up to `count` free slots of a host for further connections of a running download; return the number.

        A blocked host has none.
        """
        queue = self._hosts.get(host) or HostQueue()
        if queue.blocked_until:
            return 0
        self._hosts[host] = queue
        acquired = max(0, min(count, self._limits.max_per_host - queue.running))
        queue.running += acquired
        return acquired

    def release(self, host: str, slots: int) -> None:
        """Free acquired slots."""
        if slots:
            self._hosts[host].running -= slots
            self._offer(host)

    def block(self, host: str, until: float) -> None:
        """Start nothing from `host` before `until`."""
        queue = self._hosts.setdefault(host, HostQueue())
        if until > queue.blocked_until:
            queue.blocked_until = until
            heappush(self._blocked, (until, host))

    def select_ready(self, now: float) -> list[int]:
        """Return the downloads (`seq`) that start now, in order; they count as running from now on."""
        if self.suspension is not None:
            return []
        while self._delayed and self._delayed[0][0] <= now:
            _, key = heappop(self._delayed)
            if self._waiting.get(key[1]) is key:
                self._delayed_seqs.discard(key[1])
                self._push(key)
        while self._blocked and self._blocked[0][0] <= now:
            until, name = heappop(self._blocked)
            host = self._hosts[name]
            if host.blocked_until == until:
                host.blocked_until = 0.0
                self._offer(name)
        picked: list[int] = []
        while self._ready and len(self._running) < self._limits.max_concurrent:
            key, name = heappop(self._ready)
            queue = self._hosts.get(name)
            if queue is None or not self._has_slot(queue, now):
                continue
            if self._peek(queue) is not key:
                # The head was withdrawn or moved since; the host is offered with its new head.
                self._offer(name)
                continue
            heappop(queue.heap)
            self._drop(key[1])
            queue.running += 1
            self._running[key[1]] = name
            picked.append(key[1])
            self._offer(name)
        return picked

    def next_due(self) -> float | None:
        """Return the time at which `select_ready` may return downloads if nothing changes before; None for never."""
        if self.suspension is not None:
            return None
        times = [heap[0][0] for heap in (self._delayed, self._blocked) if heap]
        return min(times, default=None)

    def _drop(self, seq: int) -> None:
        """Remove a download from its queue, or from those that wait for a time."""
        key = self._waiting.pop(seq, None)
        if key is None:
            return
        if seq in self._delayed_seqs:
            self._delayed_seqs.discard(seq)
        else:
            self._hosts[key[2]].waiting -= 1

    def _push(self, key: QueueKey) -> None:
        name = key[2]
        host = self._hosts.setdefault(name, HostQueue())
        host.waiting += 1
        heappush(host.heap, key)
        if host.heap[0] is key:
            self._offer(name)

    def _offer(self, name: str) -> None:
        """Offer the host's head if it has one and a slot for it; forget a host that is not in use."""
        host = self._hosts[name]
        key = self._peek(host)
        if key is not None and host.running < self._limits.max_per_host:
            heappush(self._ready, (key, name))
        if key is None and host.running == 0 and host.blocked_until == 0:
            del self._hosts[name]

    def _peek(self, host: HostQueue) -> QueueKey | None:
        while host.heap:
            key = host.heap[0]
            if self._waiting.get(key[1]) is key:
                return key
            heappop(host.heap)
        return None

    def _has_slot(self, host: HostQueue, now: float) -> bool:
        return host.running < self._limits.max_per_host and host.blocked_until <= now
