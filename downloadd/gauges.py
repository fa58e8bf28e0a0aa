"""Collector of the values that the gauges of the metrics show."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec.structs import replace

from downloadd.cluster.heartbeat import Heartbeat
from downloadd.directory_settings import Quota
from downloadd.errors import DownloadError
from downloadd.events import EventBus
from downloadd.hooks.hooks import Hooks
from downloadd.imports.service import ImportService
from downloadd.manager.manager import Manager
from downloadd.metrics import GaugeSnapshot, StorageUsage
from downloadd.node import is_store_reporter
from downloadd.runtime_settings import RuntimeSettings
from downloadd.storage.destination import Destination
from downloadd.user_quota import UserQuotaUse

DISK_TIMEOUT_SECONDS: Final = 1.0
"""Seconds that a scrape waits for the disk; a measurement that takes longer is used by a later scrape."""


class GaugeCollector:
    """Reads the current state of every component at each scrape. Close it before the components that it was given."""

    def __init__(
        self,
        *,
        manager: Manager,
        imports: ImportService,
        hooks: Hooks,
        nodes: Heartbeat,
        bus: EventBus,
        destination: Destination,
        quotas: Callable[[], Sequence[Quota]],
        limits: Callable[[], RuntimeSettings],
        user_quotas: Callable[[], Awaitable[Sequence[UserQuotaUse]]],
        disk_timeout: float = DISK_TIMEOUT_SECONDS,
    ) -> None:
        """Create a collector.

        `quotas` returns those of directories in the current configuration, `limits` those that hold now, and
        `user_quotas` the use of those of users.
        """
        self._user_quotas = user_quotas
        self._manager = manager
        self._imports = imports
        self._hooks = hooks
        self._nodes = nodes
        self._bus = bus
        self._destination = destination
        self._quotas = quotas
        self._limits = limits
        self._disk_timeout = disk_timeout
        self._storage_task: asyncio.Task[StorageUsage] | None = None

    async def collect(self) -> GaugeSnapshot:
        """Return the current values.

        It takes some milliseconds with 10,000 queued downloads, and waits at most `disk_timeout` seconds for the disk.
        """
        nodes = await self._nodes.nodes()
        own = GaugeSnapshot(
            origins=await self._manager.origin_usage(),
            subscribers=self._bus.reader_count,
            imports=self._imports.active_operations,
            limits=self._limits(),
            storage=await self._read_storage(),
        )
        if not is_store_reporter(self._nodes.name, nodes):
            # Another node reports what is the same on all.
            return own if own.storage is None else replace(own, storage=replace(own.storage, quotas=()))
        return replace(
            own,
            active=await self._manager.counts(),
            users=await self._user_quotas(),
            waiting=await self._manager.wait_reasons(),
            messages=await self._hooks.waiting(),
            kept=await self._manager.kept_parts(),
            nodes=Counter(node.state for node in nodes),
        )

    async def close(self) -> None:
        """Cancel the measurement of the disk, if one is running."""
        if self._storage_task is not None:
            self._storage_task.cancel()
            await asyncio.gather(self._storage_task, return_exceptions=True)

    async def _read_storage(self) -> StorageUsage | None:
        # One measurement at a time for all scrapes: counting the bytes below a directory can take long.
        if self._storage_task is None:
            self._storage_task = asyncio.get_running_loop().create_task(self._destination.measure_use(self._quotas()))
        task = self._storage_task
        await asyncio.wait((task,), timeout=self._disk_timeout)
        if not task.done():
            return None
        if self._storage_task is task:
            self._storage_task = None
        try:
            return task.result()
        except DownloadError:
            return None
