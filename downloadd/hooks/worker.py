"""Worker of one hook: delivers the messages that are due, a few at a time, until each is delivered or discarded.

A delivery is in the records, where it was written together with the end of its download, so it survives the process. It
is taken under a lease for each attempt, so that of several processes one attempts it. The lease of an attempt that
takes longer, such as a move of a large file, is extended. A message that was delivered but
not removed when the process ended is delivered again, under the same id. Each hook has a worker of its own, so that a
slow hook delays neither another hook nor a download.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import random
from typing import Final

import structlog

from downloadd.clock import Clock
from downloadd.config import HookConfig
from downloadd.delivery import Delivery
from downloadd.hooks.outcome import MAX_AGE_SECONDS, Abort, Delivered, DeliveryFailed, RetryAt, decide
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.tasks import log_task_failure
from downloadd.metrics import DeliveryOutcome, HookMetrics
from downloadd.records.deliveries import DeliveryRecords

log = structlog.get_logger()

MAX_CONCURRENT_DELIVERIES: Final = 4
"""Concurrent deliveries to one hook."""
LEASE_MARGIN_SECONDS: Final = 10.0
"""Seconds by which the lease of a delivery is longer than the timeout of its hook."""
MIN_POLL_SECONDS: Final = 0.1
"""Seconds between two reads of the records; each commit of the records wakes the worker."""
MAX_POLL_SECONDS: Final = 60.0
"""Seconds after which the records are read in any case, because the clock may have been set."""


class Worker:
    """Worker that runs from its construction until `stop`."""

    def __init__(
        self,
        hook: HookConfig,
        *,
        send: Callable[[HookConfig, Delivery], Awaitable[Delivered | DeliveryFailed]],
        records: DeliveryRecords,
        metrics: HookMetrics,
        clock: Clock,
    ) -> None:
        """Start the worker; `send` makes one attempt."""
        self._hook = hook
        self._send = send
        self._records = records
        self._metrics = metrics
        self._clock = clock
        self._wakeup = asyncio.Event()
        self._in_flight: dict[int, asyncio.Task[None]] = {}
        self._task = asyncio.get_running_loop().create_task(self._work())
        self._task.add_done_callback(log_task_failure)

    def wake(self) -> None:
        """Read the records for deliveries that are due."""
        self._wakeup.set()

    async def stop(self) -> None:
        """Stop, and cancel the running attempts; they are made again after the next start."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        in_flight = tuple(self._in_flight.values())
        for task in in_flight:
            task.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            self._wakeup.clear()
            wait = MAX_POLL_SECONDS
            free = MAX_CONCURRENT_DELIVERIES - len(self._in_flight)
            if free > 0 and await self._start_due(free) < free:
                wait = await self._seconds_until_due()
            try:
                async with asyncio.timeout(wait):
                    await self._wakeup.wait()
            except TimeoutError:
                continue

    async def _start_due(self, limit: int) -> int:
        """Take up to `limit` deliveries that are due, and start to deliver them; return their number."""
        now = self._clock.wall()
        take = partial(
            self._records.take,
            self._hook.name,
            now=now,
            latest=now + MAX_AGE_SECONDS,
            limit=limit,
            lease=self._hook.timeout + LEASE_MARGIN_SECONDS,
        )
        taken = await retry_forever(take, "hook_messages_read_failed", hook=self._hook.name)
        for delivery in taken:
            # The lease of one that could not be removed for long has ended.
            if delivery.number not in self._in_flight:
                task = asyncio.get_running_loop().create_task(self._deliver(delivery))
                task.add_done_callback(log_task_failure)
                self._in_flight[delivery.number] = task
        return len(taken)

    async def _seconds_until_due(self) -> float:
        """Return the seconds until the next delivery is due."""
        now = self._clock.wall()
        await asyncio.sleep(MIN_POLL_SECONDS)
        due = await retry_forever(
            partial(self._records.next_due, self._hook.name, now=now), "hook_messages_read_failed", hook=self._hook.name
        )
        return MAX_POLL_SECONDS if due is None else min(MAX_POLL_SECONDS, max(0.0, due - self._clock.wall()))

    async def _deliver(self, delivery: Delivery) -> None:
        log_fields = {
            "hook": self._hook.name,
            "download_id": delivery.download_id,
            "event_id": delivery.event_id,
            "hook_try": delivery.tries + 1,
        }
        started = self._clock.monotonic()
        try:
            outcome, delivery = await self._attempt(delivery, log_fields)
            seconds = round(self._clock.monotonic() - started, 3)
            match outcome:
                case Delivered(answer=answer):
                    log.info("hook_delivered", answer=answer, seconds=seconds, **log_fields)
                    await self._remove(delivery)
                    self._metrics.delivery_attempted(self._hook.name, DeliveryOutcome.DELIVERED, seconds)
                case DeliveryFailed():
                    await self._handle_failure(delivery, outcome, seconds, log_fields)
        finally:
            del self._in_flight[delivery.number]
            self._wakeup.set()

    async def _attempt(
        self, delivery: Delivery, log_fields: dict[str, object]
    ) -> tuple[Delivered | DeliveryFailed, Delivery]:
        """Make an attempt; return its outcome, and the delivery with its lease, which lasts until then."""
        attempt = asyncio.get_running_loop().create_task(self._call(delivery, log_fields))
        try:
            while not (await asyncio.wait((attempt,), timeout=self._hook.timeout))[0]:
                extend = partial(self._records.extend, delivery, lease=self._hook.timeout + LEASE_MARGIN_SECONDS)
                delivery = await retry_forever(extend, "hook_message_extension_failed", hook=self._hook.name)
            return attempt.result(), delivery
        finally:
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)

    async def _call(self, delivery: Delivery, log_fields: dict[str, object]) -> Delivered | DeliveryFailed:
        try:
            return await self._send(self._hook, delivery)
        except Exception:
            log.exception("hook_crashed", **log_fields)
            return DeliveryFailed(reason="downloadd failed because of a defect; the line before has the traceback")

    async def _handle_failure(
        self, delivery: Delivery, outcome: DeliveryFailed, seconds: float, log_fields: dict[str, object]
    ) -> None:
        now, tries = self._clock.wall(), delivery.tries + 1
        match decide(outcome, tries=tries, created=delivery.created, now=now, random=random()):  # noqa: S311 - jitter
            case RetryAt(due=due):
                log.warning("hook_failed", reason=outcome.reason, retry_in=round(due - now, 3), **log_fields)
                await retry_forever(
                    partial(self._records.reschedule, delivery, tries=tries, due=due),
                    "hook_message_reschedule_failed",
                    **log_fields,
                )
                self._metrics.delivery_attempted(self._hook.name, DeliveryOutcome.FAILED, seconds)
            case Abort():
                log.error("hook_aborted", reason=outcome.reason, **log_fields)
                await self._remove(delivery)
                self._metrics.delivery_attempted(self._hook.name, DeliveryOutcome.ABORTED, seconds)

    async def _remove(self, delivery: Delivery) -> None:
        await retry_forever(partial(self._records.remove, delivery.number), "hook_message_removal_failed")
