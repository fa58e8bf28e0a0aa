"""The Dispatcher seam: who says that a waiting download's turn has come.

In one process that is the scheduler and a loop around it; in a cluster it will be a queue engine.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.manager.retry import MAX_RETRY_AFTER_SECONDS
from downloadd.manager.scheduler import Limits, Scheduler
from downloadd.metrics import OriginUsage
from downloadd.records.protocol import WaitingDownload
from downloadd.states import WaitReason


class Dispatcher(Protocol):
    """Chooses what starts, and when."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        ...

    def enqueue(self, waiting: Sequence[WaitingDownload]) -> None:
        """Downloads wait for their turn from now on; one that waits already is moved."""
        ...

    def dequeue(self, seq: int) -> None:
        """A download waits no longer."""
        ...

    def finish(self, seq: int) -> None:
        """A run has ended and its slot is free."""
        ...

    def acquire(self, host: str, count: int) -> int:
        """Takes up to `count` free slots of a host for further connections of a download that runs already."""
        ...

    def release(self, host: str, slots: int) -> None:
        """So many acquired slots are free again."""
        ...

    def block(self, host: str, until: float) -> None:
        """Nothing of `host` starts before that Unix time."""
        ...

    def set_suspension(self, reason: str | None) -> None:
        """Lets nothing start while nothing can be kept; `reason` says why, in words, and None that it is over."""
        ...

    def describe_wait(self, host: str, not_before: float | None) -> str:
        """What a waiting download of `host` waits for, in words."""
        ...

    def wait_reasons(self) -> Mapping[WaitReason, int]:
        """How many downloads wait for what; what none waits for may be left out."""
        ...

    def origins(self) -> OriginUsage:
        """How hosts are used."""
        ...

    def change_limits(self, limits: Limits) -> None:
        """Sets new limits; what runs already goes on."""
        ...

    async def dispatch(self, start: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """Starts downloads when their turn comes, until cancelled."""
        ...


class LocalDispatcher:
    """The dispatcher of one process: a `Scheduler` and a loop that asks it whenever something has changed."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._scheduler = Scheduler(limits)
        self._clock = clock
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._scheduler.waiting

    def enqueue(self, waiting: Sequence[WaitingDownload]) -> None:
        """Downloads wait for their turn from now on; one that waits already is moved."""
        for one in waiting:
            due = one.not_before
            self._scheduler.add(one if due is None else replace(one, not_before=self._to_monotonic(due)))
        self._changed.set()

    def dequeue(self, seq: int) -> None:
        """A download waits no longer."""
        self._scheduler.dequeue(seq)
        self._changed.set()

    def finish(self, seq: int) -> None:
        """A run has ended and its slot is free."""
        self._scheduler.finish(seq)
        self._changed.set()

    def acquire(self, host: str, count: int) -> int:
        """Takes up to `count` free slots of a host for further connections of a download that runs already."""
        return self._scheduler.acquire(host, count)

    def release(self, host: str, slots: int) -> None:
        """So many acquired slots are free again."""
        self._scheduler.release(host, slots)
        self._changed.set()

    def block(self, host: str, until: float) -> None:
        """Nothing of `host` starts before that Unix time."""
        self._scheduler.block(host, self._to_monotonic(until))
        self._changed.set()

    def set_suspension(self, reason: str | None) -> None:
        """Lets nothing start while nothing can be kept; `reason` says why, in words, and None that it is over."""
        self._scheduler.set_suspension(reason)
        self._changed.set()

    def describe_wait(self, host: str, not_before: float | None) -> str:
        """What a waiting download of `host` waits for, in words."""
        due = None if not_before is None else self._to_monotonic(not_before)
        return self._scheduler.describe_wait(host, due, self._clock.monotonic())

    def wait_reasons(self) -> Mapping[WaitReason, int]:
        """How many downloads wait for what."""
        return self._scheduler.wait_reasons(self._clock.monotonic())

    def origins(self) -> OriginUsage:
        """How hosts are used."""
        return self._scheduler.origins(self._clock.monotonic())

    def change_limits(self, limits: Limits) -> None:
        """Sets new limits; what runs already goes on."""
        self._scheduler.change_limits(limits)
        self._changed.set()

    async def dispatch(self, start: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """Starts downloads when their turn comes, until cancelled."""
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
        """When that will be on the monotonic clock, as far as is known now: what is waited for then obeys no jump.

        What lies further ahead than anything is ever put off was written down before the clock was set back.
        """
        return self._clock.monotonic() + min(unix_time - self._clock.wall(), MAX_RETRY_AFTER_SECONDS)
