"""What is so right now, gathered from every room for the metrics."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from downloadd.directory_settings import Quota
from downloadd.errors import DownloadError
from downloadd.events import EventBus
from downloadd.hooks.hooks import Hooks
from downloadd.imports.service import ImportService
from downloadd.manager.manager import Manager
from downloadd.metrics import GaugeSnapshot, StorageUsage
from downloadd.storage.destination import Destination

DISK_TIMEOUT_SECONDS: Final = 1.0
"""Seconds that a scrape waits for the disk; a slow one is asked on, and answers a later scrape."""


class GaugeCollector:
    """Looks around when it is asked to. Close it before the parts that it was given."""

    def __init__(
        self,
        *,
        manager: Manager,
        imports: ImportService,
        hooks: Hooks,
        bus: EventBus,
        destination: Destination,
        quotas: Callable[[], Sequence[Quota]],
    ) -> None:
        """`quotas` are those that are configured now."""
        self._manager = manager
        self._imports = imports
        self._hooks = hooks
        self._bus = bus
        self._destination = destination
        self._quotas = quotas
        self._storage_task: asyncio.Task[StorageUsage] | None = None

    async def collect(self) -> GaugeSnapshot:
        """The moment. Costs some milliseconds with 10,000 downloads in the queue, and never waits long for a disk."""
        return GaugeSnapshot(
            active=await self._manager.counts(),
            waiting=self._manager.wait_reasons(),
            origins=self._manager.origins(),
            subscribers=self._bus.reader_count,
            imports=self._imports.active_operations,
            messages=await self._hooks.waiting(),
            storage=await self._read_storage(),
        )

    async def close(self) -> None:
        """Waits no longer for the disk."""
        if self._storage_task is not None:
            self._storage_task.cancel()
            await asyncio.gather(self._storage_task, return_exceptions=True)

    async def _read_storage(self) -> StorageUsage | None:
        # One look at a time, however many ask: to count what lies below a directory may take a while.
        if self._storage_task is None:
            self._storage_task = asyncio.get_running_loop().create_task(self._destination.measure_use(self._quotas()))
        task = self._storage_task
        await asyncio.wait((task,), timeout=DISK_TIMEOUT_SECONDS)
        if not task.done():
            return None
        if self._storage_task is task:
            self._storage_task = None
        try:
            return task.result()
        except DownloadError:
            return None
