"""What is so right now, gathered from every room for the metrics."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from downloadd.errors import DownloadError
from downloadd.events import EventBus
from downloadd.hooks.hooks import Hooks
from downloadd.imports.importing import Imports
from downloadd.manager.manager import Manager
from downloadd.metrics import Moment, StorageUse
from downloadd.storage.destination import Destination
from downloadd.terms import Quota

DISK_PATIENCE: Final = 1.0
"""Seconds that a scrape waits for the disk; a slow one is asked on, and answers a later scrape."""


class Vitals:
    """Looks around when it is asked to. Close it before the parts that it was given."""

    def __init__(
        self,
        *,
        manager: Manager,
        imports: Imports,
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
        self._looking: asyncio.Task[StorageUse] | None = None

    async def observe(self) -> Moment:
        """The moment. Costs some milliseconds with 10,000 downloads in the queue, and never waits long for a disk."""
        return Moment(
            active=await self._manager.counts(),
            waiting=self._manager.holds(),
            origins=self._manager.origins(),
            subscribers=self._bus.readers,
            imports=self._imports.at_work,
            messages=await self._hooks.waiting(),
            storage=await self._look_at_storage(),
        )

    async def close(self) -> None:
        """Waits no longer for the disk."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look_at_storage(self) -> StorageUse | None:
        # One look at a time, however many ask: to count what lies below a directory may take a while.
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._destination.use(self._quotas()))
        looking = self._looking
        await asyncio.wait((looking,), timeout=DISK_PATIENCE)
        if not looking.done():
            return None
        if self._looking is looking:
            self._looking = None
        try:
            return looking.result()
        except DownloadError:
            return None
