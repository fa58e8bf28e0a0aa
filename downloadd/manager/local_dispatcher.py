"""The dispatcher of a single process: a scheduler and a loop around it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.manager.queue_report import count_wait_reasons, describe_wait, measure_origins
from downloadd.manager.retry import MAX_RETRY_AFTER_SECONDS
from downloadd.manager.scheduler import Limits, Scheduler
from downloadd.metrics import OriginUsage
from downloadd.records.protocol import WaitingDownload
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

    def enqueue(self, waiting: Sequence[WaitingDownload]) -> None:
        """Add downloads to the queue; one that waits already is moved."""
        for one in waiting:
            due = one.not_before
            self._scheduler.add(one if due is None else replace(one, not_before=self._to_monotonic(due)))
        self._changed.set()

    def dequeue(self, seq: int) -> None:
        """Remove a download from the queue."""
        self._scheduler.dequeue(seq)
        self._changed.set()

    def finish(self, seq: int) -> None:
        """Free the slot of a run that has ended."""
        self._scheduler.finish(seq)
        self._changed.set()

    def acquire(self, host: str, count: int) -> int:
        """Take up to `count` free slots of a host for further connections of a running download; return the number."""
        return self._scheduler.acquire(host, count)

    def release(self, host: str, slots: int) -> None:
        """Free acquired slots."""
        self._scheduler.release(host, slots)
        self._changed.set()

    def block(self, host: str, until: float) -> None:
        """Start nothing from `host` before `until` (Unix time)."""
        self._scheduler.block(host, self._to_monotonic(until))
        self._changed.set()

    def set_suspension(self, reason: str | None) -> None:
        """Suspend all starts for a `reason`, in words, that waiting downloads show; None ends the suspension."""
        self._scheduler.suspension = reason
        self._changed.set()

    def describe_wait(self, host: str, not_before: float | None) -> str:
        """Return the reason, in words, why a waiting download of `host` has not started."""
        due = None if not_before is None else self._to_monotonic(not_before)
        return describe_wait(self._scheduler, host, due, self._clock.monotonic())

    def wait_reasons(self) -> Mapping[WaitReason, int]:
        """Return the number of waiting downloads per reason."""
        return count_wait_reasons(self._scheduler, self._clock.monotonic())

    def origins(self) -> OriginUsage:
        """Return the use of slots per host."""
        return measure_origins(self._scheduler, self._clock.monotonic())

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
