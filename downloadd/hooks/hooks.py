"""The hooks: a worker for each one that is configured."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

import structlog

from downloadd.clock import Clock
from downloadd.config import HookConfig
from downloadd.delivery import Delivery
from downloadd.hooks.outcome import NotTold, Told
from downloadd.hooks.program import Runner
from downloadd.hooks.webhook import Poster
from downloadd.hooks.worker import Worker
from downloadd.manager.run import insist, report_broken
from downloadd.metrics import Metrics
from downloadd.records.deliveries import DeliveryRecords

log = structlog.get_logger()


class Hooks:
    """Every hook. Opens with `async with`, after the parts it is given; knows nothing of downloads that run."""

    def __init__(
        self,
        hooks: Iterable[HookConfig],
        *,
        records: DeliveryRecords,
        poster: Poster,
        runner: Runner,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._hooks = tuple(hooks)
        self._records = records
        self._poster = poster
        self._runner = runner
        self._metrics = metrics
        self._clock = clock
        self._workers: dict[HookConfig, Worker] = {}
        self._tending: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Goes on with what was under way."""
        self._tending = asyncio.get_running_loop().create_task(self._tend())
        self._tending.add_done_callback(report_broken)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops where it is; programs that run are killed, and run again after the next start."""
        if self._tending is not None:
            self._tending.cancel()
            with suppress(asyncio.CancelledError):
                await self._tending

    def configure(self, hooks: Iterable[HookConfig]) -> None:
        """Sets the hooks: what waits for one that is left out is dropped, what waits for the others is told now."""
        self._hooks = tuple(hooks)
        self._changed.set()

    def look(self) -> None:
        """Something has been written down: there may be somebody to tell. Cheap."""
        for worker in self._workers.values():
            worker.look()

    async def waiting(self) -> dict[str, int]:
        """How many messages wait, by hook."""
        return dict.fromkeys((hook.name for hook in self._hooks), 0) | await self._records.waiting()

    async def _tend(self) -> None:
        """Keeps a worker for each hook that is configured."""
        try:
            while True:
                self._changed.clear()
                hooks = self._hooks
                await self._let_go([hook for hook in self._workers if hook not in hooks])
                names = [hook.name for hook in hooks]
                # Whoever starts or reloads the daemon may just have mended a receiver.
                begin = partial(self._records.begin_anew, names, now=self._clock.wall())
                dropped = await insist(begin, "hook_messages_not_settled")
                if dropped:
                    log.warning("hook_messages_dropped", count=dropped, reason="their hooks are configured no more")
                for hook in hooks:
                    if hook not in self._workers:
                        self._metrics.know_hook(hook.name)
                        self._workers[hook] = self._employ(hook)
                self.look()
                await self._changed.wait()
        finally:
            await self._let_go(list(self._workers))

    def _employ(self, hook: HookConfig) -> Worker:
        return Worker(hook, tell=self._tell, records=self._records, metrics=self._metrics, clock=self._clock)

    async def _let_go(self, hooks: Iterable[HookConfig]) -> None:
        await asyncio.gather(*(self._workers.pop(hook).stop() for hook in hooks))

    async def _tell(self, hook: HookConfig, delivery: Delivery) -> Told | NotTold:
        return await (self._poster.post(hook, delivery) if hook.url else self._runner.run(hook, delivery))
