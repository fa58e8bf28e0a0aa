"""The dispatcher of a single process: a scheduler and a loop around it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from random import random
from typing import Final, Protocol

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.instants import format_instant
from downloadd.manager.dispatcher import StartClaimed
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import KnownFailure, OriginFailure, Verdict
from downloadd.manager.origin_table import make_known_health, make_record
from downloadd.manager.queue_report import (
    OriginList,
    count_wait_reasons,
    explain_wait,
    list_origins,
    measure_origins,
)
from downloadd.manager.retry import MAX_RETRY_AFTER_SECONDS
from downloadd.manager.scheduled_starts import ScheduledStarts
from downloadd.manager.scheduler import Scheduler
from downloadd.manager.user_slots import UserHold
from downloadd.metrics import OriginUsage
from downloadd.records.origins import OriginRecord
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry
from downloadd.states import WaitNotice, WaitReason

MAX_CHECK_SECONDS: Final = 30.0
"""Seconds between two looks at the wall clock at most, while a download waits for its time."""
MIN_CHECK_SECONDS: Final = 0.05
"""Seconds between two looks at least."""


class ClaimRecords(Protocol):
    """The part of the records that a claim needs."""

    async def claim(self, seqs: Sequence[int]) -> list[Download]:
        """Assign waiting downloads to runs; see `Records.claim`."""
        ...


class SharedScheduler:
    """The scheduler that the parts of a local dispatcher share.

    Attributes:
        scheduler: the scheduler.
        clock: the clock; the scheduler uses its monotonic time.
        scheduled: the downloads that wait for the time of their request, by wall time.
        changed: set after each change, after which downloads may start.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.scheduler = Scheduler(limits)
        self.clock = clock
        self.scheduled = ScheduledStarts()
        self.changed = asyncio.Event()

    @property
    def now(self) -> float:
        """Return the time of the scheduler."""
        return self.clock.monotonic()

    def to_monotonic(self, unix_time: float) -> float:
        """Return the time on the monotonic clock, as it is known now, so that later jumps of the clock do not matter.

        A time further ahead than the longest delay was recorded before the clock was set back; it is shortened.
        """
        return self.clock.monotonic() + min(unix_time - self.clock.wall(), MAX_RETRY_AFTER_SECONDS)


class LocalQueue:
    """`Queue` that asks the scheduler after each change."""

    def __init__(self, shared: SharedScheduler, records: ClaimRecords) -> None:
        self._shared = shared
        self._scheduler = shared.scheduler
        self._scheduled = shared.scheduled
        self._records = records

    @property
    def limits(self) -> Limits:
        """Return the limits that hold now."""
        return self._scheduler.limits

    def change_limits(self, limits: Limits) -> None:
        """Set new limits; running downloads continue."""
        self._scheduler.change_limits(limits)
        self._shared.changed.set()

    def hold_users(self, held: Mapping[str, UserHold]) -> None:
        """Let nothing of these users start, and of others again."""
        self._scheduler.hold_users(held)
        self._shared.changed.set()

    def count_running(self, user: str) -> int:
        """Return the number of running downloads of a user."""
        return self._scheduler.users.count_running(user)

    def set_suspension(self, reason: str | None) -> None:
        """Suspend all starts for a `reason`, in words, that waiting downloads show; None ends the suspension."""
        self._scheduler.suspension = reason
        self._shared.changed.set()

    def enqueue(self, waiting: Sequence[WaitingDownload]) -> None:
        """Add downloads to the queue; one that waits already is moved, and one that runs joins at its end."""
        wall_time = self._shared.clock.wall()
        for one in waiting:
            self._scheduled.discard(one.seq)
            if one.start_after is not None and one.start_after > wall_time:
                self._scheduler.dequeue(one.seq)
                self._scheduled.add(one)
            else:
                self._add(one)
        self._shared.changed.set()

    def hold(self, waiting: WaitingDownload) -> None:
        """Let a waiting download not start before its time; see `Queue.hold`."""
        self.enqueue([waiting])

    def reorder(self, entries: Iterable[QueueEntry]) -> None:
        """Give waiting downloads other places; their times and targets stay, and others are ignored."""
        entries = tuple(entries)
        self._scheduler.reorder(entries)
        self._scheduled.reorder(entries)
        self._shared.changed.set()

    def dequeue(self, seq: int) -> None:
        """Remove a download from the queue."""
        self._scheduler.dequeue(seq)
        self._scheduled.discard(seq)
        self._shared.changed.set()

    def holds_slots(self, seq: int, origin: str) -> bool:
        """Return True if a running download has its slot of `origin` still."""
        running = self._scheduler.runs.get(seq)
        return running is not None and running.has_slots and running.origin == origin

    def finish(self, seq: int) -> None:
        """Free the slots of a run that has ended."""
        self._scheduler.finish(seq)
        self._shared.changed.set()

    async def claim_again(self, seq: int) -> Sequence[Download]:
        """Claim a download whose run has ended, before `finish`; return its row, or none if it cannot be claimed."""
        return await self._claim([seq])

    async def dispatch(self, start: StartClaimed) -> None:
        """Claim waiting downloads within the limits and start them, until cancelled."""
        while True:
            self._shared.changed.clear()
            for one in self._scheduled.pop_due(self._shared.clock.wall()):
                self._add(one)
            picked = self._scheduler.select_ready(self._shared.now)
            if picked:
                start(await self._claim(picked))
                continue
            try:
                async with asyncio.timeout(self._seconds_to_next_due()):
                    await self._shared.changed.wait()
            except TimeoutError:
                continue

    async def count_waiting(self) -> int:
        """Return the number of waiting downloads."""
        return self._scheduler.waiting + len(self._scheduled)

    async def explain_waits(self, rows: Sequence[Download]) -> Sequence[WaitNotice]:
        """Return for each of the waiting downloads the reason why it has not started."""
        return [self._explain_wait(row) for row in rows]

    async def wait_reasons(self) -> Mapping[WaitReason, int]:
        """Return the number of waiting downloads per reason."""
        reasons = count_wait_reasons(self._scheduler, self._shared.now)
        return {**reasons, WaitReason.NOT_BEFORE: len(self._scheduled)}

    def _add(self, waiting: WaitingDownload) -> None:
        due = waiting.not_before
        self._scheduler.add(waiting if due is None else replace(waiting, not_before=self._shared.to_monotonic(due)))

    def _seconds_to_next_due(self) -> float | None:
        """Return the seconds until a download may start if nothing changes before; None for never."""
        due, scheduled = self._scheduler.next_due(), self._scheduled.next_due()
        seconds = None if due is None else max(0.0, due - self._shared.now)
        if scheduled is None:
            return seconds
        # The wall clock may be set meanwhile; and a timer may end just before its time.
        left = min(max(scheduled - self._shared.clock.wall(), MIN_CHECK_SECONDS), MAX_CHECK_SECONDS)
        return left if seconds is None else min(left, seconds)

    def _explain_wait(self, row: Download) -> WaitNotice:
        start, now = row.control.not_before, self._shared.clock.wall()
        if start is not None and start > now:
            text = f"it starts at {format_instant(start)} (not_before)"
            return WaitNotice(code=WaitReason.NOT_BEFORE, text=text, seconds=round(start - now))
        not_before = row.progress.not_before
        due = None if not_before is None else self._shared.to_monotonic(not_before)
        return explain_wait(self._scheduler, row.progress.origin, due, self._shared.now, seq=row.seq, user=row.user)

    async def _claim(self, picked: Sequence[int]) -> Sequence[Download]:
        claimed = await retry_forever(lambda: self._records.claim(picked), "claim_failed")
        for seq in set(picked) - {row.seq for row in claimed}:
            self.finish(seq)
        return claimed


class LocalHostSlots:
    """`HostSlots` of the scheduler."""

    def __init__(self, shared: SharedScheduler) -> None:
        self._shared = shared
        self._scheduler = shared.scheduler

    async def acquire(self, seq: int, origin: str, count: int) -> int:
        """Take up to `count` free slots of an origin for connections of a running download; return their number."""
        return self._scheduler.runs.acquire(origin, count, now=self._shared.now)

    def release(self, seq: int, origin: str, slots: int) -> None:
        """Free acquired slots."""
        self._scheduler.runs.release(origin, slots)
        self._shared.changed.set()

    async def enter(self, seq: int, source: str, origin: str) -> bool:
        """Take a slot of the origin that redirects of `source` lead a running download to; return False without one."""
        has_slot = self._scheduler.enter(seq, source, origin, now=self._shared.now)
        self._shared.changed.set()
        return has_slot

    def leave(self, seq: int) -> None:
        """Free the slot of a running download at the target of redirects, if it has one."""
        self._scheduler.runs.leave(seq)
        self._shared.changed.set()

    def free(self, seq: int) -> None:
        """Free the slots of a run that needs its origins no longer."""
        self._scheduler.runs.free_slots(seq)
        self._shared.changed.set()


class LocalOrigins:
    """`Origins` of the scheduler."""

    def __init__(self, shared: SharedScheduler) -> None:
        self._shared = shared
        self._scheduler = shared.scheduler

    def report_answer(self, origin: str, seq: int, *, is_redirect: bool = False) -> bool:
        """Record that an origin has answered a request of a download; return True if it closed the circuit."""
        has_closed = self._scheduler.report_answer(origin, seq, is_redirect=is_redirect, now=self._shared.now)
        self._shared.changed.set()
        return has_closed

    def report_failure(self, origin: str, failure: OriginFailure) -> Verdict:
        """Record a failed attempt; return the consequence for its download."""
        verdict = self._scheduler.report_failure(
            origin,
            failure,
            now=self._shared.now,
            random=random(),  # noqa: S311 - jitter, not a secret
        )
        self._shared.changed.set()
        return verdict

    def known_failure(self, origin: str) -> KnownFailure | None:
        """Return the failure of an attempt that would fail as the last one; None with a closed circuit."""
        return self._scheduler.origins.known_failure(origin, now=self._shared.now)

    def expected_target(self, seq: int) -> str | None:
        """Return the origin that redirects are expected to lead a running download to; None if that is not known."""
        return self._scheduler.runs.expected_target(seq)

    def hasten_probe(self, origin: str) -> None:
        """Let the next probe of an open circuit start soon."""
        self._scheduler.origins.hasten_probe(origin, now=self._shared.now)
        self._shared.changed.set()

    def is_awaited(self, origin: str) -> bool:
        """Return True if the circuit of an origin is open, and the origin has answered before."""
        return self._scheduler.origins.is_awaited(origin)

    def record(self, origin: str) -> OriginRecord | None:
        """Return what must outlive the process of an origin's health; None if there is nothing."""
        now = self._shared.now
        known = self._scheduler.origins.health_to_store(origin, now=now)
        return None if known is None else make_record(known, self._shared.clock.wall() - now)

    def restore(self, record: OriginRecord) -> None:
        """Set the health of an origin to what was recorded."""
        self._scheduler.origins.restore(
            make_known_health(record, now=self._shared.now, to_own_time=self._shared.to_monotonic)
        )
        self._shared.changed.set()

    async def usage(self) -> OriginUsage:
        """Return the use of all origins together."""
        return measure_origins(self._scheduler, self._shared.now)

    async def listing(self, limit: int) -> OriginList:
        """Return up to `limit` origins that are in use or not healthy, the ones in trouble first."""
        return list_origins(self._scheduler, limit, now=self._shared.now, wall_time=self._shared.clock.wall())


class LocalDispatcher:
    """`Dispatcher` with everything in memory.

    Attributes:
        queue: the queue, which claims in `records`.
        slots: the slots of running downloads.
        origins: the health and the use of the origins.
    """

    def __init__(self, limits: Limits, clock: Clock, records: ClaimRecords) -> None:
        shared = SharedScheduler(limits, clock)
        self.queue = LocalQueue(shared, records)
        self.slots = LocalHostSlots(shared)
        self.origins = LocalOrigins(shared)

    async def close(self) -> None:
        """Do nothing: all slots are in memory."""
