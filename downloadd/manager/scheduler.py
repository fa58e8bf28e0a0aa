"""Whose turn is it? From what waits, what runs and the limits to what starts now.

Pure: no I/O, no clock; the caller says what time it is, always by the same clock. Memory: about 200 bytes for each
waiting download. Time: every call is logarithmic in the number of waiting downloads, whatever the number of hosts.
"""

from heapq import heappop, heappush

import msgspec

from downloadd.metrics import Origins
from downloadd.records.protocol import Waiting
from downloadd.states import Hold


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may happen at once."""

    max_concurrent: int
    max_per_host: int


Key = tuple[int, int, str]
"""(minus priority, seq, host): the smallest is the next; the host tells whose line it is in."""


class _Host:
    """One host's line and places."""

    __slots__ = ("blocked_until", "heap", "running", "waiting")

    def __init__(self) -> None:
        self.heap: list[Key] = []
        # Not the length of the heap, which keeps what was withdrawn until it comes up.
        self.waiting = 0
        self.running = 0
        self.blocked_until = 0.0


class Scheduler:
    """The lines of all hosts.

    A download is either waiting here, running (between `pick` and `finished`), or unknown. Within a host the higher
    priority goes first, then the older; among hosts that have a free place the same order holds, so a host that is
    full, slow or blocked never holds up another.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._hosts: dict[str, _Host] = {}
        # Heaps cannot remove from the middle, so an entry is valid only while this holds the very same key object;
        # what was withdrawn or added anew is skipped when it comes up.
        self._waiting: dict[int, Key] = {}
        # Hosts that can start something, by the key of their head. Entries may be stale: a host is entered again
        # whenever its head or its places change, and judged anew when it is taken out.
        self._ready: list[tuple[Key, str]] = []
        self._delayed: list[tuple[float, Key]] = []
        # Those of `_waiting` that are in no line yet.
        self._put_off: set[int] = set()
        self._blocked: list[tuple[float, str]] = []
        self._running: dict[int, str] = {}
        # What was added while it ran: only the end of the run tells whether that came too late, or early.
        self._returning: dict[int, Waiting] = {}
        self._lacking: str | None = None

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
            self._enter(name)

    def add(self, waiting: Waiting) -> None:
        """A download joins its host's line, or waits until `not_before` to do so.

        One that waits already is moved; one that runs joins when its run has ended, so that it never has two places.
        """
        if waiting.seq in self._running:
            self._returning[waiting.seq] = waiting
            return
        self._leave(waiting.seq)
        key = (-waiting.priority, waiting.seq, waiting.host)
        self._waiting[waiting.seq] = key
        if waiting.not_before is not None:
            self._put_off.add(waiting.seq)
            heappush(self._delayed, (waiting.not_before, key))
        else:
            self._join(key)

    def withdraw(self, seq: int) -> None:
        """A download waits no longer. Unknown ones are ignored."""
        self._leave(seq)
        self._returning.pop(seq, None)

    def finished(self, seq: int) -> None:
        """A run has ended, whatever its outcome: its place is free. Unknown ones are ignored."""
        name = self._running.pop(seq, None)
        if name is not None:
            self._hosts[name].running -= 1
            self._enter(name)
        returning = self._returning.pop(seq, None)
        if returning is not None:
            self.add(returning)

    def borrow(self, host: str, wanted: int) -> int:
        """Takes up to `wanted` free places of a host for further connections of a download that runs already.

        A host that asked to be left alone has none.
        """
        line = self._hosts.get(host) or _Host()
        if line.blocked_until:
            return 0
        self._hosts[host] = line
        taken = max(0, min(wanted, self._limits.max_per_host - line.running))
        line.running += taken
        return taken

    def give_back(self, host: str, places: int) -> None:
        """So many borrowed places are free again."""
        if places:
            self._hosts[host].running -= places
            self._enter(host)

    def block(self, host: str, until: float) -> None:
        """The origin asked to be left alone until then."""
        line = self._hosts.setdefault(host, _Host())
        if until > line.blocked_until:
            line.blocked_until = until
            heappush(self._blocked, (until, host))

    def lack_room(self, lacking: str | None) -> None:
        """Lets nothing start while nothing can be kept; `lacking` says why, in words, and None that it is over."""
        self._lacking = lacking

    def pick(self, now: float) -> list[int]:
        """The downloads (by `seq`) that start now, most urgent first; they count as running from here on."""
        if self._lacking is not None:
            return []
        while self._delayed and self._delayed[0][0] <= now:
            _, key = heappop(self._delayed)
            if self._waiting.get(key[1]) is key:
                self._put_off.discard(key[1])
                self._join(key)
        while self._blocked and self._blocked[0][0] <= now:
            until, name = heappop(self._blocked)
            host = self._hosts[name]
            if host.blocked_until == until:
                host.blocked_until = 0.0
                self._enter(name)
        picked: list[int] = []
        while self._ready and len(self._running) < self._limits.max_concurrent:
            key, name = heappop(self._ready)
            line = self._hosts.get(name)
            if line is None or not self._has_place(line, now):
                continue
            if self._head(line) is not key:
                # The head was withdrawn or moved since; the host's turn comes by its new head.
                self._enter(name)
                continue
            heappop(line.heap)
            self._leave(key[1])
            line.running += 1
            self._running[key[1]] = name
            picked.append(key[1])
            self._enter(name)
        return picked

    def next_due(self) -> float | None:
        """The time at which `pick` may have something new to say, if nothing else happens before."""
        if self._lacking is not None:
            return None
        times = [heap[0][0] for heap in (self._delayed, self._blocked) if heap]
        return min(times, default=None)

    def reason(self, host: str, not_before: float | None, now: float) -> str:
        """What a waiting download of `host` waits for, in words."""
        line = self._hosts.get(host) or _Host()
        match Hold.LATER if not_before is not None and not_before > now else self._hold(line, now):
            case Hold.LATER:
                return f"the next attempt starts in {(not_before or now) - now:.0f} s"
            case Hold.NO_ROOM:
                return self._lacking or "about to start"
            case Hold.HOST_ASKED:
                return f"{host} asked to wait, {line.blocked_until - now:.0f} s more"
            case Hold.HOST_FULL:
                return f"{line.running} downloads from {host} are running (max_per_host)"
            case Hold.ALL_FULL:
                return f"{len(self._running)} downloads are running (max_concurrent)"
            case Hold.NOTHING:
                return "about to start"

    def holds(self, now: float) -> dict[Hold, int]:
        """How many downloads wait for what; in time by the number of hosts."""
        holds = {Hold.LATER: len(self._put_off)}
        for line in self._hosts.values():
            hold = self._hold(line, now)
            holds[hold] = holds.get(hold, 0) + line.waiting
        return holds

    def origins(self, now: float) -> Origins:
        """How hosts are used."""
        lines = self._hosts.values()
        used = [line.running for line in lines if line.running]
        return Origins(
            connections=sum(used),
            busiest=max(used, default=0),
            connected=len(used),
            waiting=sum(line.waiting > 0 for line in lines),
            blocked=sum(line.blocked_until > now for line in lines),
        )

    def _hold(self, line: _Host, now: float) -> Hold:
        """What a download waits for whose time has come."""
        if self._lacking is not None:
            return Hold.NO_ROOM
        if line.blocked_until > now:
            return Hold.HOST_ASKED
        if line.running >= self._limits.max_per_host:
            return Hold.HOST_FULL
        if len(self._running) >= self._limits.max_concurrent:
            return Hold.ALL_FULL
        return Hold.NOTHING

    def _leave(self, seq: int) -> None:
        """A download waits no longer, wherever it did."""
        key = self._waiting.pop(seq, None)
        if key is None:
            return
        if seq in self._put_off:
            self._put_off.discard(seq)
        else:
            self._hosts[key[2]].waiting -= 1

    def _join(self, key: Key) -> None:
        name = key[2]
        host = self._hosts.setdefault(name, _Host())
        host.waiting += 1
        heappush(host.heap, key)
        if host.heap[0] is key:
            self._enter(name)

    def _enter(self, name: str) -> None:
        """Offers the host's head, when it has one and a place for it; forgets a host that nothing refers to."""
        host = self._hosts[name]
        key = self._head(host)
        if key is not None and host.running < self._limits.max_per_host:
            heappush(self._ready, (key, name))
        if key is None and host.running == 0 and host.blocked_until == 0:
            del self._hosts[name]

    def _head(self, host: _Host) -> Key | None:
        while host.heap:
            key = host.heap[0]
            if self._waiting.get(key[1]) is key:
                return key
            heappop(host.heap)
        return None

    def _has_place(self, host: _Host, now: float) -> bool:
        return host.running < self._limits.max_per_host and host.blocked_until <= now
