"""Record of which storage root is used, and its confirmation by a user after a change."""

import asyncio
from functools import partial
from types import TracebackType
from typing import Final, Protocol, Self

import structlog

from downloadd.errors import StartupError
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.tasks import TaskSet
from downloadd.records.storage_roots import StorageRootRecords
from downloadd.records.store import Store
from downloadd.root_identity import RootIdentity
from downloadd.storage.destination import ReplaceableRoot

log = structlog.get_logger()

CONFIRMATION_SECONDS: Final = 10.0
"""Seconds that the start waits for the record of the first root."""


class StorageControl(Protocol):
    """Actions of users on the storage root, without their rights."""

    async def accept(self) -> RootIdentity:
        """Use the storage root that is there from now on; return its identity."""
        ...


class StorageIdentity:
    """Keeps the identity of the storage root in the records. Opens with `async with`, before the storage.

    Attributes:
        expected: the root that was used before; None before the first one.
    """

    def __init__(self, store: Store) -> None:
        """Make a closed part; in a shared store, other nodes use the root too."""
        self.expected: RootIdentity | None = None
        self._is_shared = store.is_shared
        self._first_save = TaskSet()
        self._is_foreign = False
        self._records = store.storage_root
        self._tasks = TaskSet()
        self._loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.expected = await self._records.load()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tasks in (self._first_save, self._tasks):
            await tasks.wait(1)
            await tasks.cancel()

    def record(self, identity: RootIdentity) -> None:
        """Save the identity of a root that is used from now on; may be called in any thread."""
        self._loop.call_soon_threadsafe(self._start_saving, identity)

    async def confirm(self) -> None:
        """Return if the root is that of all nodes, which the first of them decides.

        Raises:
            StartupError: two nodes began at once, with different roots.
        """
        await self._first_save.wait(CONFIRMATION_SECONDS)
        if self._is_foreign:
            raise StartupError(
                "the storage root is not that of the database, which another node has just begun to use; mount the "
                "folder of the other nodes there"
            )

    def _start_saving(self, identity: RootIdentity) -> None:
        if self._is_shared and self.expected is None:
            self._first_save.spawn(self._save_first(identity))
        else:
            self._tasks.spawn(self._save(identity))

    async def _save(self, identity: RootIdentity) -> None:
        await retry_forever(partial(self._records.save, identity), "storage_root_save_failed")

    async def _save_first(self, identity: RootIdentity) -> None:
        recorded = await retry_forever(partial(self._records.save_first, identity), "storage_root_save_failed")
        self._is_foreign = recorded.marker != identity.marker


class StorageConfirmation:
    """Lets a user confirm that the storage root was changed on purpose; implements `StorageControl`."""

    def __init__(self, records: StorageRootRecords, storage: ReplaceableRoot) -> None:
        self._records = records
        self._storage = storage

    async def accept(self) -> RootIdentity:
        """Use the storage root that is there from now on; return its identity when it is recorded.

        Raises:
            StorageRootMissingError: there is no directory.
        """
        identity = await self._storage.accept_root()
        await self._records.save(identity)
        log.warning("storage_accepted", filesystem=identity.filesystem, device=identity.device)
        return identity
