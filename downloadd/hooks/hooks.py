"""Configured hooks, with one worker for each."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

import structlog

from downloadd.clock import Clock
from downloadd.config import HookAction, HookConfig
from downloadd.delivery import Delivery
from downloadd.hooks.notification import check_notify_urls
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.hooks.worker import Worker
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.tasks import log_task_failure
from downloadd.metrics import HookMetrics
from downloadd.records.deliveries import DeliveryRecords

log = structlog.get_logger()

Sender = Callable[[HookConfig, Delivery], Awaitable[Delivered | DeliveryFailed]]
"""Makes one attempt to deliver a message."""


class Hooks:
    """Owner of the workers of all hooks. Open it with `async with`, after the components that it is given.

    `senders` has one for each action of the hooks.
    """

    def __init__(
        self,
        hooks: Iterable[HookConfig],
        *,
        records: DeliveryRecords,
        senders: Mapping[HookAction, Sender],
        metrics: HookMetrics,
        clock: Clock,
        find_others: Callable[[], Awaitable[Collection[str]]] | None = None,
    ) -> None:
        """Take the parts.

        `find_others` returns the names of the hooks of all living nodes; None if there is no other node.
        """
        self._hooks = tuple(hooks)
        self._find_others = find_others
        self._records = records
        self._senders = senders
        self._metrics = metrics
        self._clock = clock
        self._workers: dict[HookConfig, Worker] = {}
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start to deliver, beginning with the deliveries that an earlier process left.

        Raises:
            StartupError: a hook notifies a URL that cannot be notified.
        """
        await asyncio.to_thread(check_notify_urls, self._hooks)
        self._task = asyncio.get_running_loop().create_task(self._run_workers())
        self._task.add_done_callback(log_task_failure)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel running deliveries; they are attempted again after the next start, so programs run again."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def configure(self, hooks: Iterable[HookConfig]) -> None:
        """Replace the hooks: discard the deliveries of a removed hook, attempt those of the others at once."""
        self._hooks = tuple(hooks)
        self._changed.set()

    def wake(self) -> None:
        """Wake the workers, because the records may hold a new delivery. It takes microseconds."""
        for worker in self._workers.values():
            worker.wake()

    async def waiting(self) -> dict[str, int]:
        """Return the number of waiting deliveries by hook."""
        return dict.fromkeys((hook.name for hook in self._hooks), 0) | await self._records.waiting()

    async def _run_workers(self) -> None:
        """Keep one worker for each configured hook."""
        try:
            while True:
                self._changed.clear()
                hooks = self._hooks
                await self._stop_workers([hook for hook in self._workers if hook not in hooks])
                await self._prepare(hooks)
                for hook in hooks:
                    if hook not in self._workers:
                        self._metrics.register_hook(hook.name)
                        self._workers[hook] = self._start_worker(hook)
                self.wake()
                await self._changed.wait()
        finally:
            await self._stop_workers(list(self._workers))

    async def _prepare(self, hooks: Sequence[HookConfig]) -> None:
        """Make the deliveries of the hooks due, and discard those of all others."""
        names = [hook.name for hook in hooks]
        # An earlier process, or a worker that was stopped, has left them; a worker that goes on keeps its own.
        left = [hook.name for hook in hooks if hook not in self._workers]
        if self._find_others is None:
            # Another node may be attempting them; what this one left is due when its leases end.
            await retry_forever(partial(self._records.release, left), "hook_messages_reset_failed")
        # An administrator who starts or reloads the daemon may have repaired a receiver.
        make_due = partial(self._records.make_due, names, now=self._clock.wall())
        await retry_forever(make_due, "hook_messages_reset_failed")
        known = [*names]
        if self._find_others is not None:
            known += await retry_forever(self._find_others, "hook_messages_reset_failed")
        dropped = await retry_forever(partial(self._records.remove_others, known), "hook_messages_reset_failed")
        if dropped:
            log.warning("hook_messages_dropped", count=dropped, reason="their hooks are no longer configured")

    def _start_worker(self, hook: HookConfig) -> Worker:
        return Worker(hook, send=self._send, records=self._records, metrics=self._metrics, clock=self._clock)

    async def _stop_workers(self, hooks: Iterable[HookConfig]) -> None:
        await asyncio.gather(*(self._workers.pop(hook).stop() for hook in hooks))

    async def _send(self, hook: HookConfig, delivery: Delivery) -> Delivered | DeliveryFailed:
        assert hook.action is not None  # noqa: S101 - the configuration was checked
        return await self._senders[hook.action](hook, delivery)
