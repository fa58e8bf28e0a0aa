"""The worker of one hook: tells it what is due, a few messages at a time, until each is known or given up.

Everything is asked of the records, where it was written together with the end of its download; so nothing is lost with
the process, and what was told but not crossed out by then is told again, under the same id. Each hook has a worker of
its own: one that hangs holds up no other, and downloads know nothing of it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from random import random
from typing import Final

import structlog

from downloadd.clock import Clock
from downloadd.config import HookConfig
from downloadd.delivery import Delivery
from downloadd.hooks.outcome import LIFETIME, GiveUp, Later, NotTold, Told, decide
from downloadd.manager.run import insist, report_broken
from downloadd.metrics import Metrics, Telling
from downloadd.records.deliveries import DeliveryRecords

log = structlog.get_logger()

PARALLEL: Final = 4
"""Messages that one hook is told at once."""
READ_AHEAD: Final = 64
"""Messages of one hook that are held in memory."""
PAUSE: Final = 0.1
"""Seconds between two looks that may find nothing: every commit of the records asks for one."""
LONGEST_WAIT: Final = 60.0
"""Seconds after which it is looked again in any case: the clock may have been set."""


class Worker:
    """Works from the moment that it is made until it is stopped."""

    def __init__(
        self,
        hook: HookConfig,
        *,
        tell: Callable[[HookConfig, Delivery], Awaitable[Told | NotTold]],
        records: DeliveryRecords,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """`tell` makes one try."""
        self._hook = hook
        self._tell = tell
        self._records = records
        self._metrics = metrics
        self._clock = clock
        self._look = asyncio.Event()
        self._read: deque[Delivery] = deque()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._working = asyncio.get_running_loop().create_task(self._work())
        self._working.add_done_callback(report_broken)

    def look(self) -> None:
        """There may be something to tell."""
        self._look.set()

    async def stop(self) -> None:
        """Stops, and gives up the tries that are under way: they are made again."""
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)
        under_way = tuple(self._under_way.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            self._look.clear()
            if not self._read and len(self._under_way) < PARALLEL:
                wait = await self._read_on()
            else:
                wait = LONGEST_WAIT
            while self._read and len(self._under_way) < PARALLEL:
                delivery = self._read.popleft()
                task = asyncio.get_running_loop().create_task(self._deliver(delivery))
                task.add_done_callback(report_broken)
                self._under_way[delivery.number] = task
            try:
                async with asyncio.timeout(wait):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _read_on(self) -> float:
        """Reads what is due; says how many seconds there is nothing else to look for."""
        now = self._clock.wall()
        # They are due too, and may be crossed out while these are read.
        under_way = frozenset(self._under_way)
        limit = READ_AHEAD + len(under_way)
        look = partial(self._records.due, self._hook.name, now=now, latest=now + LIFETIME, limit=limit)
        found = await insist(look, "hook_messages_not_read", hook=self._hook.name)
        self._read.extend(each for each in found if each.number not in under_way)
        if self._read:
            return LONGEST_WAIT
        await asyncio.sleep(PAUSE)
        due = await insist(
            partial(self._records.next_due, self._hook.name, now=now), "hook_messages_not_read", hook=self._hook.name
        )
        return LONGEST_WAIT if due is None else min(LONGEST_WAIT, max(0.0, due - self._clock.wall()))

    async def _deliver(self, delivery: Delivery) -> None:
        facts = {
            "hook": self._hook.name,
            "download_id": delivery.download_id,
            "event_id": delivery.event_id,
            "hook_try": delivery.tries + 1,
        }
        started = self._clock.monotonic()
        try:
            try:
                outcome = await self._tell(self._hook, delivery)
            except Exception:
                log.exception("hook_broke", **facts)
                outcome = NotTold(reason="downloadd made a mistake; see the line before")
            seconds = round(self._clock.monotonic() - started, 3)
            match outcome:
                case Told(answer=answer):
                    log.info("hook_told", answer=answer, seconds=seconds, **facts)
                    await self._cross_out(delivery)
                    self._metrics.told(self._hook.name, Telling.DELIVERED, seconds)
                case NotTold():
                    await self._failed(delivery, outcome, seconds, facts)
        finally:
            del self._under_way[delivery.number]
            self._look.set()

    async def _failed(self, delivery: Delivery, outcome: NotTold, seconds: float, facts: dict[str, object]) -> None:
        now, tries = self._clock.wall(), delivery.tries + 1
        match decide(outcome, tries=tries, created=delivery.created, now=now, random=random()):  # noqa: S311 - jitter
            case Later(due=due):
                log.warning("hook_failed", reason=outcome.reason, retry_in=round(due - now, 3), **facts)
                await insist(
                    partial(self._records.postpone, delivery.number, tries=tries, due=due),
                    "hook_message_not_put_off",
                    **facts,
                )
                self._metrics.told(self._hook.name, Telling.FAILED, seconds)
            case GiveUp():
                log.error("hook_given_up", reason=outcome.reason, **facts)
                await self._cross_out(delivery)
                self._metrics.told(self._hook.name, Telling.GIVEN_UP, seconds)

    async def _cross_out(self, delivery: Delivery) -> None:
        await insist(partial(self._records.remove, delivery.number), "hook_message_not_crossed_out")
