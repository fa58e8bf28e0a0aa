"""Changes of import operations: each is recorded, counted and published."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from random import getrandbits

import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import new_id
from downloadd.errors import DownloadError
from downloadd.events import EventBus, ImportChanged
from downloadd.import_operation import OPERATION_ID_ALPHABET, OPERATION_ID_LENGTH, Driver, ImportOperation, ImportState
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.uploads import Uploads
from downloadd.manager.tasks import TaskSet
from downloadd.records.availability import once_available
from downloadd.records.hints import Hints, Topic
from downloadd.records.import_protocol import ImportFencedError, ImportOperationRecords
from downloadd.storage.names import remove_invisible

log = structlog.get_logger()


class Operations:
    """Import operations of all users.

    Attributes:
        lock: held during a change that depends on the user's current operation.
    """

    def __init__(
        self,
        *,
        records: ImportOperationRecords,
        uploads: Uploads,
        bus: EventBus,
        clock: Clock,
        on_state_change: Callable[[ImportOperation], None],
        hints: Hints,
    ) -> None:
        """Take the components; `on_state_change` is called with each operation that has a new state."""
        self.lock = asyncio.Lock()
        self._records = records
        self._uploads = uploads
        self._bus = bus
        self._clock = clock
        self._on_state_change = on_state_change
        self._hints = hints
        self._publications = TaskSet()
        hints.subscribe(Topic.IMPORTS, self._handle_hint)

    async def close(self) -> None:
        """Publish no changes of other nodes any more."""
        await self._publications.cancel()

    def new(
        self, kind: str, user: str, state: ImportState, *, name: str = "", content_type: str | None = None
    ) -> ImportOperation:
        """Return a new operation, which is not recorded yet."""
        now = self._now()
        return ImportOperation(
            id="".join(secrets.choice(OPERATION_ID_ALPHABET) for _ in range(OPERATION_ID_LENGTH)),
            kind=kind,
            user=user,
            started_at=now,
            updated_at=now,
            state=state,
            name=remove_invisible(name),
            content_type=None if content_type is None else remove_invisible(content_type),
        )

    def new_download_id(self) -> str:
        """Return an id for a download."""
        return new_id(self._clock.wall(), getrandbits(74))

    async def create(self, operation: ImportOperation) -> None:
        """Record a new operation, which replaces the user's earlier one; the caller holds `lock`.

        Raises:
            StoreUnavailableError: nothing was recorded.
        """
        replaced = await self._records.current(operation.user)
        await self._records.create(operation)
        self.publish(operation)
        await self.discard_replaced(replaced)

    async def discard_replaced(self, replaced: ImportOperation | None) -> None:
        """Delete the file of an operation that a newer one of its user has replaced, unless a task works on it."""
        # The task that fetches or reads a file deletes it.
        if replaced is not None and replaced.state in {ImportState.UPLOADED, ImportState.READY}:
            await self._uploads.remove(replaced.id)

    async def advance(self, operation: ImportOperation, state: ImportState) -> ImportOperation:
        """Record a new state, and all other fields, for the call of a user.

        Raises:
            ImportFencedError: another driver has taken over the operation; nothing was changed.
            StoreUnavailableError: nothing was changed.
        """
        advanced = replace(operation, state=state, updated_at=self._now())
        await self._records.save(advanced)
        self._on_state_change(advanced)
        self.publish(advanced)
        return advanced

    async def update(self, operation: ImportOperation, *, driver: Driver | None = None) -> ImportOperation:
        """Record the fields of an operation in its present state.

        `driver` is that of another operation, which changes this one; None for its own.

        Raises:
            ImportFencedError: the driver does not hold its operation; nothing was changed.
            StoreUnavailableError: nothing was changed.
        """
        updated = replace(operation, updated_at=self._now())
        await self._records.save(updated, driver=driver)
        self.publish(updated)
        return updated

    async def advance_once_available(self, operation: ImportOperation, state: ImportState) -> ImportOperation:
        """Record a new state as soon as the records are available, for work that was accepted."""
        return await once_available(partial(self.advance, operation, state))

    async def fail(self, operation: ImportOperation, error: ImportRefusedError) -> None:
        """Record the failure of an operation, and delete its file."""
        log.warning("import_failed", operation=operation.id, reason=error.message)
        failed = replace(operation, reason=error.message, error_code=error.code)
        await self.advance_once_available(failed, ImportState.FAILED)
        await self._uploads.remove(operation.id)

    async def claim_abandoned(
        self, operation: ImportOperation, states: Collection[ImportState]
    ) -> ImportOperation | None:
        """Take over an operation that no living node drives; return None if another node was faster; see `claim`."""
        return await self._records.claim(operation.id, states, epoch=operation.epoch)

    async def claim(self, operation: ImportOperation, states: Collection[ImportState]) -> ImportOperation | None:
        """Take over an operation in one of these states, so that its former driver writes nothing any more.

        Returns None if it is in another state, or not recorded.

        Raises:
            StoreUnavailableError: nothing was changed.
        """
        return await self._records.claim(operation.id, states)

    async def require_driver(self, operation: ImportOperation) -> None:
        """Return if the operation is held as it is here.

        Raises:
            ImportFencedError: another driver has taken it over.
        """
        await self._records.require(operation.driver)

    async def reload(self, operation: ImportOperation) -> ImportOperation:
        """Return the operation as it is recorded.

        Raises:
            ImportFencedError: another driver has taken it over, or it is not recorded.
        """
        recorded = await self._records.get(operation.id)
        if recorded is None or recorded.epoch != operation.epoch:
            raise ImportFencedError(operation.driver)
        return recorded

    def publish(self, operation: ImportOperation) -> None:
        """Publish the operation as an event."""
        self._bus.publish(ImportChanged(operation=operation))
        self._hints.send(Topic.IMPORTS, [operation.id])

    def _handle_hint(self, ids: Sequence[str]) -> None:
        """Publish the operations that other nodes have changed."""
        if ids and self._bus.is_watched:
            self._publications.spawn(self._publish_changed(ids))

    async def _publish_changed(self, ids: Sequence[str]) -> None:
        # An event that is lost is followed by others, at the latest by that of the end.
        with suppress(DownloadError):
            for id in ids:
                operation = await self._records.get(id)
                if operation is not None:
                    self._bus.publish(ImportChanged(operation=operation))

    def _now(self) -> int:
        return int(self._clock.wall() * 1000)
