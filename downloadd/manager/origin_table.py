"""Table of the origins in use or in trouble: their slots in use and their health.

Pure: no I/O, no clock and no randomness. Time: every call is logarithmic in the number of origins, except where the
docstring says more.
"""

from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Final

import msgspec

from downloadd.errors import NetworkErrorKind
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import (
    HEALTHY,
    KEEP_SECONDS,
    FailureKind,
    KnownFailure,
    OriginFailure,
    OriginHealth,
    OriginLoad,
    Verdict,
    end_backoff,
    expect_probe,
    hasten_probe,
    known_failure,
    raise_slots,
    record_answer,
    record_failure,
)
from downloadd.records.origins import OriginRecord

MAX_ANSWERED_ORIGINS: Final = 10_000
"""Origins of which the table remembers that they have answered."""


class OriginEntry:
    """The slots in use and the health of one origin.

    Attributes:
        waiting: downloads of the origin that wait, without those that wait for a time.
        running: slots in use.
        runs: the running downloads (`seq`), with True for those that receive from the origin.
        probe: the download (`seq`) that probes the origin while the circuit is open.
        health: the health.
    """

    __slots__ = ("health", "probe", "running", "runs", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.running = 0
        self.runs: dict[int, bool] = {}
        self.probe: int | None = None
        self.health: OriginHealth = HEALTHY

    def free_slots(self, max_slots: int, now: float, used: int = 0) -> int:
        """Return the number of runs or connections that may start now beside the `used` slots of other nodes."""
        is_probed = self.probe is not None or used > 0
        return self.health.free_slots(running=self.running + used, is_probed=is_probed, max_slots=max_slots, now=now)


class KnownHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Health of an origin as it outlives the process; the times are those of the table's clock."""

    origin: str
    health: OriginHealth
    has_answered: bool


class OriginTable:
    """The origins by name. An origin that is unused and healthy is forgotten.

    Attributes:
        limits: the largest number of slots of each origin.
        used: slots that other nodes hold, by origin.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.used: Mapping[str, int] = {}
        self._entries: dict[str, OriginEntry] = {}
        # Times at which a backoff ends, a probe may start, slots rise, or a health is forgotten. Entries may be stale.
        self._due: list[tuple[float, str]] = []
        # In the order of the last answer; the oldest is forgotten first.
        self._answered: dict[str, None] = {}

    @property
    def entries(self) -> Mapping[str, OriginEntry]:
        """Return the entries by origin."""
        return self._entries

    def get(self, origin: str) -> OriginEntry | None:
        """Return the entry of an origin; None if it is unused and healthy."""
        return self._entries.get(origin)

    def use(self, origin: str) -> OriginEntry:
        """Return the entry of an origin, a new one if needed."""
        entry = self._entries.get(origin)
        if entry is None:
            entry = self._entries[origin] = OriginEntry()
        return entry

    def forget_unused(self, origin: str) -> None:
        """Forget an origin without waiting and running downloads, unless its health must be kept."""
        entry = self._entries.get(origin)
        if entry is not None and not entry.waiting and not entry.running and entry.health == HEALTHY:
            del self._entries[origin]

    def free_slots(self, origin: str, *, now: float) -> int:
        """Return the number of runs or connections to an origin that may start now."""
        entry = self._entries.get(origin) or OriginEntry()
        return entry.free_slots(self.limits.slots_of(origin), now, self.used.get(origin, 0))

    def max_slots(self, origin: str) -> int:
        """Return the slots of an origin as its health allows: one for the probe of an open circuit."""
        health, limit = (self._entries.get(origin) or OriginEntry()).health, self.limits.slots_of(origin)
        return 1 if health.is_open else min(limit, health.slots or limit)

    def count_running(self, origin: str) -> int:
        """Return the slots in use on all nodes."""
        entry = self._entries.get(origin)
        return self.used.get(origin, 0) + (0 if entry is None else entry.running)

    def blocker(self, origin: str, target: str, *, now: float) -> str | None:
        """Return which of an origin and a target ("" for none) has no free slot; None if a download may start."""
        return next((name for name in (origin, target) if name and not self.free_slots(name, now=now)), None)

    def begin_run(self, origin: str, seq: int, *, now: float) -> None:
        """Take a slot for the run of a download; with an open circuit, it is the probe."""
        entry = self.use(origin)
        entry.running += 1
        entry.runs[seq] = False
        if entry.health.is_open:
            entry.probe = seq
            self._set_health(origin, entry, expect_probe(entry.health, now=now))

    def end_run(self, origin: str, seq: int) -> None:
        """Free the slot of the run of a download."""
        entry = self._entries[origin]
        entry.running -= 1
        del entry.runs[seq]
        if entry.probe == seq:
            entry.probe = None

    def report_answer(self, origin: str, seq: int, *, now: float, is_receiving: bool = True) -> bool:
        """Record a usable response to a request of a download; return True if it closed the circuit.

        After a redirect, the download is not receiving from the origin any more.
        """
        self._note_answer(origin)
        entry = self._entries.get(origin)
        if entry is None:
            return False
        if seq in entry.runs:
            entry.runs[seq] = is_receiving
        was_open = entry.health.is_open
        health = record_answer(entry.health, max_slots=self.limits.slots_of(origin), now=now)
        self._set_health(origin, entry, health)
        if was_open:
            entry.probe = None
        heappush(self._due, (now, origin))
        return was_open

    def report_failure(self, origin: str, failure: OriginFailure, *, now: float, random: float) -> Verdict:
        """Record a failed attempt; return the consequence for its download."""
        has_answered = origin in self._answered or failure.has_response
        if failure.has_response or failure.kind is FailureKind.RESOURCE:
            self._note_answer(origin)
        entry = self.use(origin)
        if failure.seq in entry.runs:
            entry.runs[failure.seq] = False
        # A connection without a slot of a run, to a mirror for example, may be the first to fail after the pause.
        is_probe = entry.probe == failure.seq or (entry.probe is None and now >= entry.health.probe_at)
        health, verdict = record_failure(
            entry.health,
            failure,
            OriginLoad(
                running=max(0, entry.running - 1),
                receiving=sum(entry.runs.values()),
                max_slots=self.limits.slots_of(origin),
            ),
            is_probe=is_probe,
            has_answered=has_answered,
            now=now,
            random=random,
        )
        if is_probe:
            entry.probe = None
        if entry.health.is_open and not health.is_open:
            heappush(self._due, (now, origin))
        self._set_health(origin, entry, health)
        return verdict

    def known_failure(self, origin: str, *, now: float) -> KnownFailure | None:
        """Return the failure of an attempt that would fail as the last one; None with a closed circuit."""
        health = self._entries[origin].health if origin in self._entries else HEALTHY
        verdict = known_failure(health, has_answered=origin in self._answered, now=now)
        if verdict is None:
            return None
        cause = health.cause or NetworkErrorKind.CONNECT
        return KnownFailure(origin=origin, verdict=verdict, detail=health.error or "", cause=cause)

    def hasten_probe(self, origin: str, *, now: float) -> None:
        """Let the next probe of an open circuit start soon: the last download has ended by time."""
        entry = self._entries.get(origin)
        if entry is not None and entry.health.is_open:
            self._set_health(origin, entry, hasten_probe(entry.health, now=now))

    def is_awaited(self, origin: str) -> bool:
        """Return True if the circuit of an origin is open, and the origin has answered before."""
        entry = self._entries.get(origin)
        return entry is not None and entry.health.is_open and origin in self._answered

    def restore(self, known: KnownHealth) -> None:
        """Set the health of an origin to what it was before a restart."""
        if known.has_answered:
            self._note_answer(known.origin)
        self._set_health(known.origin, self.use(known.origin), known.health)

    def health_to_store(self, origin: str, *, now: float) -> KnownHealth | None:
        """Return what must outlive the process of an origin's health; None if there is nothing."""
        entry = self._entries.get(origin)
        if entry is None or not (entry.health.is_open or entry.health.backoff_until > now):
            return None
        return KnownHealth(origin=origin, health=entry.health, has_answered=origin in self._answered)

    def pop_due(self, now: float) -> Iterator[str]:
        """Yield the origins whose backoff or pause has ended, whose slots were raised, or which may be forgotten."""
        while self._due and self._due[0][0] <= now:
            _, origin = heappop(self._due)
            entry = self._entries.get(origin)
            if entry is None:
                continue
            max_slots = self.limits.slots_of(origin)
            health = raise_slots(end_backoff(entry.health, now=now), max_slots=max_slots, now=now)
            self._set_health(origin, entry, health)
            if entry.health.kept_until <= now and entry.health != HEALTHY:
                if not entry.waiting and not entry.running:
                    entry.health = HEALTHY
                else:
                    heappush(self._due, (now + KEEP_SECONDS, origin))
            yield origin

    def next_due(self) -> float | None:
        """Return the time at which `pop_due` may have an origin; None for never."""
        return self._due[0][0] if self._due else None

    def _note_answer(self, origin: str) -> None:
        self._answered.pop(origin, None)
        self._answered[origin] = None
        if len(self._answered) > MAX_ANSWERED_ORIGINS:
            del self._answered[next(iter(self._answered))]

    def _set_health(self, origin: str, entry: OriginEntry, health: OriginHealth) -> None:
        before, entry.health = entry.health, health
        for attribute in ("backoff_until", "probe_at", "slots_raised_at", "kept_until"):
            time = getattr(health, attribute)
            if time and time != getattr(before, attribute):
                heappush(self._due, (time, origin))


def make_record(known: KnownHealth, offset: float) -> OriginRecord:
    """Return the record of an origin; `offset` seconds are added to a time of the table for Unix time."""
    health = known.health
    return OriginRecord(
        origin=known.origin,
        backoff_until=round(health.backoff_until + offset, 2) if health.backoff_until else 0.0,
        is_open=health.is_open,
        probe_at=round(health.probe_at + offset, 2) if health.is_open else 0.0,
        failures=health.failures,
        failing_since=None if health.failing_since is None else round(health.failing_since + offset, 2),
        has_answered=known.has_answered,
        error=health.error,
    )


def make_known_health(record: OriginRecord, *, now: float, to_own_time: Callable[[float], float]) -> KnownHealth:
    """Return the health of a recorded origin; `to_own_time` returns the table's time of a Unix time."""
    since = None if record.failing_since is None else min(now, to_own_time(record.failing_since))
    health = OriginHealth(
        backoff_until=to_own_time(record.backoff_until) if record.backoff_until else 0.0,
        is_open=record.is_open,
        probe_at=to_own_time(record.probe_at) if record.is_open else 0.0,
        failures=record.failures,
        failing_since=since,
        error=record.error,
        failed_at=now,
    )
    return KnownHealth(origin=record.origin, health=end_backoff(health, now=now), has_answered=record.has_answered)
