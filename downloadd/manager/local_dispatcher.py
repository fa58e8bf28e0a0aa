"""The dispatcher of a single process: a scheduler and a loop around it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from random import random

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import KnownFailure, OriginFailure, Verdict
from downloadd.manager.origin_table import make_known_health, make_record
from downloadd.manager.queue_report import (
    OriginList,
    count_wait_reasons,
    describe_wait,
    list_origins,
    measure_origins,
)
from downloadd.manager.retry import MAX_RETRY_AFTER_SECONDS
from downloadd.manager.scheduler import Scheduler
from downloadd.metrics import OriginUsage
from downloadd.records.origins import OriginRecord
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry
from downloadd.states import WaitReason


class LocalDispatcher:
    """A `Scheduler` and a loop that asks it after each change."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._scheduler = Scheduler(limits)
        self._clock = clock
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Return the number of waiting downloads."""
        return self._scheduler.waiting

    @property
    def limits(self) -> Limits:
        """Return the limits that hold now."""
        return self._scheduler.limits

    def enqueue(self, waiting: Sequence[WaitingDownload]) -> None:
        """Add downloads to the queue; one that waits already is moved."""
        for one in waiting:
            due = one.not_before
            self._scheduler.add(one if due is None else replace(one, not_before=self._to_monotonic(due)))
        self._changed.set()

    def reorder(self, entries: Iterable[QueueEntry]) -> None:
        """Give waiting downloads other places; their times and targets stay, and others are ignored."""
        self._scheduler.reorder(entries)
        self._changed.set()

    def dequeue(self, seq: int) -> None:
        """Remove a download from the queue."""
        self._scheduler.dequeue(seq)
        self._changed.set()

    def free_slots(self, seq: int) -> None:
        """Free the slots of a run that needs its origins no longer."""
        self._scheduler.runs.free_slots(seq)
        self._changed.set()

    def holds_slots(self, seq: int, origin: str) -> bool:
        """Return True if a running download has its slot of `origin` still."""
        running = self._scheduler.runs.get(seq)
        return running is not None and running.has_slots and running.origin == origin

    def finish(self, seq: int) -> None:
        """Free the slot of a run that has ended."""
        self._scheduler.finish(seq)
        self._changed.set()

    def acquire(self, origin: str, count: int) -> int:
        """Take up to `count` free slots of an origin for connections of a running download; return their number."""
        return self._scheduler.runs.acquire(origin, count, now=self._clock.monotonic())

    def release(self, origin: str, slots: int) -> None:
        """Free acquired slots."""
        self._scheduler.runs.release(origin, slots)
        self._changed.set()

    def enter(self, seq: int, source: str, origin: str) -> bool:
        """Take a slot of the origin that redirects of `source` lead a running download to; return False without one."""
        has_slot = self._scheduler.enter(seq, source, origin, now=self._clock.monotonic())
        self._changed.set()
        return has_slot

    def leave(self, seq: int) -> None:
        """Free the slot of a running download at the target of redirects, if it has one."""
        self._scheduler.runs.leave(seq)
        self._changed.set()

    def expected_target(self, seq: int) -> str | None:
        """Return the origin that redirects are expected to lead a running download to; None if that is not known."""
        return self._scheduler.runs.expected_target(seq)

    def report_answer(self, origin: str, seq: int, *, is_redirect: bool = False) -> bool:
        """Record that an origin has answered a request of a download; return True if it closed the circuit."""
        has_closed = self._scheduler.report_answer(origin, seq, is_redirect=is_redirect, now=self._clock.monotonic())
        self._changed.set()
        return has_closed

    def report_failure(self, origin: str, failure: OriginFailure) -> Verdict:
        """Record a failed attempt; return the consequence for its download."""
        verdict = self._scheduler.report_failure(
            origin,
            failure,
            now=self._clock.monotonic(),
            random=random(),  # noqa: S311 - jitter, not a secret
        )
        self._changed.set()
        return verdict

    def known_failure(self, origin: str) -> KnownFailure | None:
        """Return the failure of an attempt that would fail as the last one; None with a closed circuit."""
        return self._scheduler.origins.known_failure(origin, now=self._clock.monotonic())

    def hasten_probe(self, origin: str) -> None:
        """Let the next probe of an open circuit start soon."""
        self._scheduler.origins.hasten_probe(origin, now=self._clock.monotonic())
        self._changed.set()

    def is_awaited(self, origin: str) -> bool:
        """Return True if the circuit of an origin is open, and the origin has answered before."""
        return self._scheduler.origins.is_awaited(origin)

    def origin_record(self, origin: str) -> OriginRecord | None:
        """Return what must outlive the process of an origin's health; None if there is nothing."""
        known = self._scheduler.origins.health_to_store(origin, now=self._clock.monotonic())
        return None if known is None else make_record(known, self._clock.wall() - self._clock.monotonic())

    def restore_origin(self, record: OriginRecord) -> None:
        """Set the health of an origin to what was recorded."""
        self._scheduler.origins.restore(
            make_known_health(record, now=self._clock.monotonic(), to_own_time=self._to_monotonic)
        )
        self._changed.set()

    def set_suspension(self, reason: str | None) -> None:
        """Suspend all starts for a `reason`, in words, that waiting downloads show; None ends the suspension."""
        self._scheduler.suspension = reason
        self._changed.set()

    def describe_wait(self, origin: str, not_before: float | None, *, seq: int | None = None) -> str:
        """Return the reason, in words, why a waiting download of `origin` has not started."""
        due = None if not_before is None else self._to_monotonic(not_before)
        return describe_wait(self._scheduler, origin, due, self._clock.monotonic(), seq=seq)

    def wait_reasons(self) -> Mapping[WaitReason, int]:
        """Return the number of waiting downloads per reason."""
        return count_wait_reasons(self._scheduler, self._clock.monotonic())

    def origin_usage(self) -> OriginUsage:
        """Return the use of all origins together."""
        return measure_origins(self._scheduler, self._clock.monotonic())

    def origins(self, limit: int) -> OriginList:
        """Return up to `limit` origins that are in use or not healthy, the ones in trouble first."""
        return list_origins(self._scheduler, limit, now=self._clock.monotonic(), wall_time=self._clock.wall())

    def change_limits(self, limits: Limits) -> None:
        """Set new limits; running downloads continue."""
        self._scheduler.change_limits(limits)
        self._changed.set()

    async def dispatch(self, start: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """Start downloads, by their `seq`, within the limits until cancelled."""
        while True:
            self._changed.clear()
            picked = self._scheduler.select_ready(self._clock.monotonic())
            if picked:
                await start(picked)
                continue
            due = self._scheduler.next_due()
            timeout = None if due is None else max(0.0, due - self._clock.monotonic())
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _to_monotonic(self, unix_time: float) -> float:
        """Return the time on the monotonic clock, as it is known now, so that later jumps of the clock do not matter.

        A time further ahead than the longest delay was recorded before the clock was set back; it is shortened.
        """
        return self._clock.monotonic() + min(unix_time - self._clock.wall(), MAX_RETRY_AFTER_SECONDS)
