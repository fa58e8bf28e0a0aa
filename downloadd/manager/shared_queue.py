"""Queue of waiting downloads that several nodes share: the records have it, and this process a window of it.

The window has the next downloads of each route. The scheduler picks from it as it does in one process, and knows the
slots that other nodes hold; the claim in the records decides. An idle queue only reads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog
from msgspec.structs import replace

from downloadd.download import Download
from downloadd.errors import DownloadError
from downloadd.manager.dispatcher import StartClaimed
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import LocalQueue, SharedScheduler
from downloadd.manager.queue_window import QueueWindow
from downloadd.manager.shared_slots import SlotWriter
from downloadd.manager.user_slots import UserHold, name_slots
from downloadd.manager.waiting_count import WaitingCount
from downloadd.records.admission import AdmissionRecords, Backlog, ClaimRequest
from downloadd.records.origins import OriginRecord
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry
from downloadd.states import WaitNotice, WaitReason

log = structlog.get_logger()

POLL_SECONDS: Final = 1.0
"""Seconds between two reads of an idle queue."""
READ_PAUSE_SECONDS: Final = 0.02
"""Seconds between two reads at least, and after a claim that other nodes came before."""


class SharedQueue:
    """`Queue` of several nodes.

    Attributes:
        on_origins: called with the health of origins that other nodes have recorded.
    """

    def __init__(
        self,
        shared: SharedScheduler,
        local: LocalQueue,
        *,
        admission: AdmissionRecords,
        writer: SlotWriter,
        waiting: WaitingCount,
        wait_for_lease: Callable[[], Awaitable[None]],
    ) -> None:
        """Make a queue; `local` reports on the scheduler of this process."""
        self._shared = shared
        self._scheduler = shared.scheduler
        self._local = local
        self._admission = admission
        self._writer = writer
        self._waiting = waiting
        self._wait_for_lease = wait_for_lease
        self._window = QueueWindow(shared.scheduler)
        self._targets: dict[int, str] = {}
        # Times, by the clock of the scheduler, of downloads that wait here only.
        self._held: dict[int, float] = {}
        self._read_at = 0.0
        self._next_due: float | None = None
        self._is_stale = True
        self._is_reordered = False
        self.on_origins: Callable[[Sequence[OriginRecord]], None] = lambda records: None

    @property
    def limits(self) -> Limits:
        """Return the limits that hold now."""
        return self._local.limits

    def change_limits(self, limits: Limits) -> None:
        """Set new limits; running downloads continue."""
        self._local.change_limits(limits)
        self.wake()

    def hold_users(self, held: Mapping[str, UserHold]) -> None:
        """Let nothing of these users start in this process."""
        self._local.hold_users(held)

    def count_running(self, user: str) -> int:
        """Return the number of running downloads of a user."""
        return self._local.count_running(user)

    def set_suspension(self, reason: str | None) -> None:
        """Suspend all starts in this process for a `reason`; None ends it."""
        self._local.set_suspension(reason)

    def wake(self, ids: Sequence[str] = ()) -> None:
        """Read the queue soon: it may have changed."""
        self._is_stale = True
        self._shared.changed.set()

    def enqueue(self, waiting: Sequence[WaitingDownload]) -> None:
        """Read the queue soon, with these downloads, which are in the records already."""
        for one in waiting:
            self._held.pop(one.seq, None)
            if one.target is not None and one.target != one.origin:
                self._targets[one.seq] = one.target
        if waiting:
            self._waiting.add(len(waiting))
            self.wake()

    def hold(self, waiting: WaitingDownload) -> None:
        """Let a waiting download not start in this process before its time; see `Queue.hold`."""
        self.enqueue([waiting])
        if waiting.not_before is not None:
            self._held[waiting.seq] = self._shared.to_monotonic(waiting.not_before)
            self._window.remove(waiting.seq)

    def reorder(self, entries: Iterable[QueueEntry]) -> None:
        """Read the queue before the next start: its order has changed in the records."""
        self._is_reordered = True
        self.wake()

    def dequeue(self, seq: int) -> None:
        """Remove a download from the queue, as the records have done."""
        self._held.pop(seq, None)
        self._waiting.add(-1)
        self._window.remove(seq)
        self._shared.changed.set()

    def holds_slots(self, seq: int, origin: str) -> bool:
        """Return True if a running download has its slot of `origin` still."""
        return self._local.holds_slots(seq, origin)

    def finish(self, seq: int) -> None:
        """Free the slots of a run that has ended."""
        self._local.finish(seq)
        self._writer.ledger.end(seq)
        self._writer.write_soon()
        if self._window.is_short:
            self.wake()

    async def claim_again(self, seq: int) -> Sequence[Download]:
        """Claim a download whose run has ended, before `finish`; return its row, or none if it cannot be claimed."""
        return await self._claim([seq])

    async def dispatch(self, start: StartClaimed) -> None:
        """Claim waiting downloads within the limits and start them, until cancelled."""
        while True:
            self._shared.changed.clear()
            await self._read_if_stale()
            if self._is_reordered:
                # A read that was under way has the order before.
                continue
            picked = self._scheduler.select_ready(self._shared.now)
            if picked:
                self._window.take(picked)
                await self._wait_for_lease()
                claimed = await self._claim(picked)
                self._waiting.add(-len(claimed))
                if len(claimed) < len(picked):
                    # Other nodes came before.
                    self.wake()
                    await asyncio.sleep(READ_PAUSE_SECONDS)
                start(claimed)
                if self._window.is_outdated:
                    self.wake()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_until_next()):
                    await self._shared.changed.wait()

    async def count_waiting(self) -> int:
        """Return the number of waiting downloads of all nodes, as it was less than a second ago."""
        return await self._waiting.get()

    async def explain_waits(self, rows: Sequence[Download]) -> Sequence[WaitNotice]:
        """Return for each of the waiting downloads the reason why it has not started here."""
        return await self._local.explain_waits(rows)

    async def wait_reasons(self) -> Mapping[WaitReason, int]:
        """Return the number of waiting downloads per reason; those behind the window have the reason of most in it."""
        reasons = dict(await self._local.wait_reasons())
        delayed = await self._admission.count_delayed()
        reasons |= {
            WaitReason.DELAYED: delayed.retries + len(self._held),
            WaitReason.NOT_BEFORE: delayed.scheduled,
        }
        behind = await self._waiting.get() - sum(reasons.values())
        if behind > 0:
            timed = {WaitReason.DELAYED, WaitReason.NOT_BEFORE}
            known = {reason: number for reason, number in reasons.items() if reason not in timed}
            usual = max(known, key=lambda reason: known[reason]) if any(known.values()) else WaitReason.READY
            reasons[usual] = reasons.get(usual, 0) + behind
        return reasons

    def _seconds_until_next(self) -> float:
        now = self._shared.now
        times = [self._read_at + POLL_SECONDS, self._scheduler.next_due()]
        if self._next_due is not None:
            times.append(self._shared.to_monotonic(self._next_due))
        return max(0.0, min(time for time in times if time is not None) - now)

    async def _read_if_stale(self) -> None:
        now = self._shared.now
        is_due = self._next_due is not None and self._shared.to_monotonic(self._next_due) <= now
        has_room = len(self._scheduler.runs) < self._scheduler.limits.max_concurrent
        if not (now - self._read_at >= POLL_SECONDS or (has_room and (self._is_stale or is_due)) or self._is_reordered):
            return
        if now - self._read_at < READ_PAUSE_SECONDS:
            await asyncio.sleep(self._read_at + READ_PAUSE_SECONDS - now)
        # Without room, the window is read when there is some.
        self._is_stale, self._is_reordered, self._read_at = not has_room, False, self._shared.now
        try:
            await self._read(has_room=has_room)
        except DownloadError as error:
            # The records log that they are unavailable; the next poll tries again.
            log.debug("queue_not_read", detail=error.detail)

    async def _read(self, *, has_room: bool = True) -> None:
        targets, self._targets = self._targets, {}
        if targets:
            try:
                await self._admission.record_targets(targets)
            except DownloadError:
                self._targets = targets | self._targets
                raise
        now = self._shared.now
        self._held = {seq: until for seq, until in self._held.items() if until > now}
        wall = self._shared.clock.wall()
        backlog = await self._read_backlog(has_room=has_room)
        if backlog.next_due is not None and backlog.next_due <= wall:
            await self._admission.release_due(wall)
            backlog = await self._read_backlog(has_room=has_room)
        self._next_due = backlog.next_due
        if backlog.origins:
            self.on_origins(backlog.origins)
        self._scheduler.set_used(backlog.used)
        # Some may be held back, or have another target, since the read began.
        if has_room:
            self._window.replace(backlog, without=self._held, targets=self._targets)

    async def _read_backlog(self, *, has_room: bool) -> Backlog:
        request = self._window.next_request(tuple(self._held))
        return await self._admission.read_backlog(request if has_room else replace(request, max_routes=0))

    async def _claim(self, picked: Sequence[int]) -> Sequence[Download]:
        ledger = self._writer.ledger
        requests = [ClaimRequest(seq=seq, slots=self._slots_of(seq)) for seq in picked]
        limits = {name: self._scheduler.max_slots(name) for request in requests for name in request.slots}

        async def attempt() -> Sequence[Download]:
            changes = ledger.pop_changes()
            try:
                return await self._admission.claim(requests, limits, changes)
            except BaseException:
                ledger.put_back(changes)
                raise

        claimed = await retry_forever(attempt, "claim_failed")
        found = {row.seq for row in claimed}
        for request in requests:
            if request.seq in found:
                for origin, number in request.slots.items():
                    ledger.hold(request.seq, origin, number)
            else:
                self.finish(request.seq)
        return claimed

    def _slots_of(self, seq: int) -> Mapping[str, int]:
        running = self._scheduler.runs.get(seq)
        if running is None:
            return {}
        user = {name_slots(running.user): 1} if running.user in self.limits.runs_by_user else {}
        return {running.origin: 1} | ({running.target: 1} if running.target else {}) | user
