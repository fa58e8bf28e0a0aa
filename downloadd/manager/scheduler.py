"""Whose turn is it? From what waits, what runs and the limits to what starts now.

Pure: no I/O, no clock; the caller says what time it is, always by the same clock. Memory: about 200 bytes for each
waiting download. Time: every call is logarithmic in the number of waiting downloads, whatever the number of hosts.
"""

from heapq import heappop, heappush

import msgspec

from downloadd.metrics import OriginUsage
from downloadd.records.protocol import WaitingDownload
from downloadd.states import WaitReason


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may happen at once."""

    max_concurrent: int
    max_per_host: int


QueueKey = tuple[int, int, str]
"""(minus priority, seq, host): the smallest is the next; the host tells whose queue it is in."""


class _HostQueue:
    """One host's queue and slots."""

    __slots__ = ("blocked_until", "heap", "running", "waiting")

    def __init__(self) -> None:
        self.heap: list[QueueKey] = []
        # Not the length of the heap, which keeps what was withdrawn until it comes up.
        self.waiting = 0
        self.running = 0
        self.blocked_until = 0.0


class Scheduler:
    """The queues of all hosts.

    A download is either waiting here, running (between `select_ready` and `finished`), or unknown. Within a host the higher
    priority goes first, then the older; among hosts that have a free slot the same order holds, so a host that is
    full, slow or blocked never holds up another.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._hosts: dict[str, _HostQueue] = {}
        # Heaps cannot remove from the middle, so an entry is valid only while this holds the very same key object;
        # what was withdrawn or added anew is skipped when it comes up.
        self._waiting: dict[int, QueueKey] = {}
        # Hosts that can start something, by the key of their head. Entries may be stale: a host is entered again
        # whenever its head or its slots change, and judged anew when it is taken out.
        self._ready: list[tuple[QueueKey, str]] = []
        self._delayed: list[tuple[float, QueueKey]] = []
        # Those of `_waiting` that are in no queue yet.
        self._delayed_seqs: set[int] = set()
        self._blocked: list[tuple[float, str]] = []
        self._running: dict[int, str] = {}
        # What was added while it ran: only the end of the run tells whether that came too late, or early.
        self._requeued: dict[int, WaitingDownload] = {}
        self._suspension: str | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many run."""
        return len(self._running)

    @property
    def limits(self) -> Limits:
        """How much may happen at once."""
        return self._limits

    def change_limits(self, limits: Limits) -> None:
        """Sets new limits; what runs already goes on."""
        self._limits = limits
        for name in tuple(self._hosts):
            self._offer(name)

    def add(self, waiting: WaitingDownload) -> None:
        """A download joins its host's queue, or waits until `not_before` to do so.

        One that waits already is moved; one that runs joins when its run has ended, so that it never has two slots.
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
        """A download waits no longer. Unknown ones are ignored."""
        self._drop(seq)
        self._requeued.pop(seq, None)

    def finish(self, seq: int) -> None:
        """A run has ended, whatever its outcome: its slot is free. Unknown ones are ignored."""
        name = self._running.pop(seq, None)
        if name is not None:
            self._hosts[name].running -= 1
            self._offer(name)
        requeued = self._requeued.pop(seq, None)
        if requeued is not None:
            self.add(requeued)

    def acquire(self, host: str, count: int) -> int:
        """Takes up to `count` free slots of a host for further connections of a download that runs already.

        A host that asked to be left alone has none.
        """
        queue = self._hosts.get(host) or _HostQueue()
        if queue.blocked_until:
            return 0
        self._hosts[host] = queue
        acquired = max(0, min(count, self._limits.max_per_host - queue.running))
        queue.running += acquired
        return acquired

    def release(self, host: str, slots: int) -> None:
        """So many acquired slots are free again."""
        if slots:
            self._hosts[host].running -= slots
            self._offer(host)

    def block(self, host: str, until: float) -> None:
        """The origin asked to be left alone until then."""
        queue = self._hosts.setdefault(host, _HostQueue())
        if until > queue.blocked_until:
            queue.blocked_until = until
            heappush(self._blocked, (until, host))

    def set_suspension(self, reason: str | None) -> None:
        """Lets nothing start while nothing can be kept; `reason` says why, in words, and None that it is over."""
        self._suspension = reason

    def select_ready(self, now: float) -> list[int]:
        """The downloads (by `seq`) that start now, most urgent first; they count as running from here on."""
        if self._suspension is not None:
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
                # The head was withdrawn or moved since; the host's turn comes by its new head.
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
        """The time at which `select_ready` may have something new to say, if nothing else happens before."""
        if self._suspension is not None:
            return None
        times = [heap[0][0] for heap in (self._delayed, self._blocked) if heap]
        return min(times, default=None)

    def describe_wait(self, host: str, not_before: float | None, now: float) -> str:
        """What a waiting download of `host` waits for, in words."""
        queue = self._hosts.get(host) or _HostQueue()
        match WaitReason.DELAYED if not_before is not None and not_before > now else self._wait_reason(queue, now):
            case WaitReason.DELAYED:
                return f"the next attempt starts in {(not_before or now) - now:.0f} s"
            case WaitReason.STORAGE_UNAVAILABLE:
                return self._suspension or "about to start"
            case WaitReason.HOST_BACKOFF:
                return f"{host} asked to wait, {queue.blocked_until - now:.0f} s more"
            case WaitReason.HOST_LIMIT:
                return f"{queue.running} downloads from {host} are running (max_per_host)"
            case WaitReason.TOTAL_LIMIT:
                return f"{len(self._running)} downloads are running (max_concurrent)"
            case WaitReason.READY:
                return "about to start"

    def wait_reasons(self, now: float) -> dict[WaitReason, int]:
        """How many downloads wait for what; in time by the number of hosts."""
        reasons = {WaitReason.DELAYED: len(self._delayed_seqs)}
        for queue in self._hosts.values():
            reason = self._wait_reason(queue, now)
            reasons[reason] = reasons.get(reason, 0) + queue.waiting
        return reasons

    def origins(self, now: float) -> OriginUsage:
        """How hosts are used."""
        queues = self._hosts.values()
        used = [queue.running for queue in queues if queue.running]
        return OriginUsage(
            connections=sum(used),
            busiest=max(used, default=0),
            connected=len(used),
            waiting=sum(queue.waiting > 0 for queue in queues),
            blocked=sum(queue.blocked_until > now for queue in queues),
        )

    def _wait_reason(self, queue: _HostQueue, now: float) -> WaitReason:
        """What a download waits for whose time has come."""
        if self._suspension is not None:
            return WaitReason.STORAGE_UNAVAILABLE
        if queue.blocked_until > now:
            return WaitReason.HOST_BACKOFF
        if queue.running >= self._limits.max_per_host:
            return WaitReason.HOST_LIMIT
        if len(self._running) >= self._limits.max_concurrent:
            return WaitReason.TOTAL_LIMIT
        return WaitReason.READY

    def _drop(self, seq: int) -> None:
        """A download waits no longer, wherever it did."""
        key = self._waiting.pop(seq, None)
        if key is None:
            return
        if seq in self._delayed_seqs:
            self._delayed_seqs.discard(seq)
        else:
            self._hosts[key[2]].waiting -= 1

    def _push(self, key: QueueKey) -> None:
        name = key[2]
        host = self._hosts.setdefault(name, _HostQueue())
        host.waiting += 1
        heappush(host.heap, key)
        if host.heap[0] is key:
            self._offer(name)

    def _offer(self, name: str) -> None:
        """Offers the host's head, when it has one and a slot for it; forgets a host that nothing refers to."""
        host = self._hosts[name]
        key = self._peek(host)
        if key is not None and host.running < self._limits.max_per_host:
            heappush(self._ready, (key, name))
        if key is None and host.running == 0 and host.blocked_until == 0:
            del self._hosts[name]

    def _peek(self, host: _HostQueue) -> QueueKey | None:
        while host.heap:
            key = host.heap[0]
            if self._waiting.get(key[1]) is key:
                return key
            heappop(host.heap)
        return None

    def _has_slot(self, host: _HostQueue, now: float) -> bool:
        return host.running < self._limits.max_per_host and host.blocked_until <= now
