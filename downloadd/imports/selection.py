"""Content of the current import file, and selections from it."""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from downloadd.import_operation import (
    UNREAD_STATES,
    Channel,
    FileCounts,
    ImportErrorCode,
    ImportOperation,
    ImportState,
    Selection,
    WorkspaceUser,
)
from downloadd.imports.archived_files import ArchivedFiles
from downloadd.imports.content_reader import ContentReader
from downloadd.imports.operations import Operations
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.tasks import OperationTasks
from downloadd.records.availability import once_available
from downloadd.records.import_protocol import MAX_CHUNK_ROWS, ImportRecords


async def _no_pages() -> AsyncIterator[Any]:
    return
    yield


class FileData(msgspec.Struct, frozen=True, kw_only=True):
    """Content of an import file; each user and channel with True if it is selected."""

    users: Callable[[], AsyncIterator[Sequence[tuple[WorkspaceUser, bool]]]] = _no_pages
    """Reads all users, in pages."""
    channels: Callable[[], AsyncIterator[Sequence[tuple[Channel, bool]]]] = _no_pages
    message_count: int = 0


class ContentSelection:
    """Selection of the users and channels to import."""

    def __init__(
        self,
        *,
        operations: Operations,
        tasks: OperationTasks,
        records: ImportRecords,
        reader: ContentReader,
        archives: ArchivedFiles,
    ) -> None:
        """Take the components."""
        self._operations = operations
        self._tasks = tasks
        self._records = records
        self._reader = reader
        self._archives = archives

    async def file_data(self, user: str) -> FileData | None:
        """Return the content of the user's current file, empty without one; None while the file is being read.

        The first call starts to read it.

        Raises:
            ImportRefusedError: the file could not be read.
        """
        async with self._operations.lock:
            operation = await self._records.operations.current(user)
            if operation is None or operation.pending_kind is not None:
                return FileData()
            is_uploaded = operation.state is ImportState.UPLOADED
            if is_uploaded and (claimed := await self._operations.claim(operation, {ImportState.UPLOADED})) is not None:
                operation = await self._operations.advance(claimed, ImportState.READING)
                self._tasks.start(operation, self._reader.read)
        if operation.state in UNREAD_STATES:
            return None
        if operation.state is ImportState.FAILED:
            raise ImportRefusedError(
                operation.reason or "the import failed", operation.error_code or ImportErrorCode.INVALID_FILE
            )
        return FileData(
            users=partial(self._users, operation.id),
            channels=partial(self._channels, operation.id),
            message_count=operation.message_count,
        )

    async def _users(self, operation: str) -> AsyncIterator[Sequence[tuple[WorkspaceUser, bool]]]:
        after = ""
        while page := await self._records.contents.users(operation, after, MAX_CHUNK_ROWS):
            yield page
            after = page[-1][0].user_id

    async def _channels(self, operation: str) -> AsyncIterator[Sequence[tuple[Channel, bool]]]:
        after = ""
        while page := await self._records.contents.channels(operation, after, MAX_CHUNK_ROWS):
            yield page
            after = page[-1][0].channel_id

    async def select(self, selection: Selection, *, user: str) -> ImportOperation:
        """Make the files and avatars of a selection pending.

        Raises:
            ImportFencedError: the operation was cancelled meanwhile.
            ImportRefusedError: no file is ready, or the selection is empty.
            StoreUnavailableError: the records are unavailable; nothing is selected.
        """
        async with self._operations.lock:
            operation = await self._records.operations.current(user)
            # `SELECTING` is a selection that the end of the daemon has interrupted: others hold the lock.
            states = {ImportState.READY, ImportState.SELECTING}
            operation = None if operation is None else await self._operations.claim(operation, states)
            if operation is None:
                raise ImportRefusedError(
                    "no import waits for a selection; upload a file and get its data first",
                    ImportErrorCode.WRONG_STATE,
                )
            operation = await self._operations.advance(operation, ImportState.SELECTING)
            count = await once_available(partial(self._records.contents.select, operation.driver, selection))
            if not count:
                await self._operations.advance_once_available(operation, ImportState.READY)
                raise ImportRefusedError(
                    "the selection contains no user and no channel", ImportErrorCode.NOTHING_SELECTED
                )
            skipped = await once_available(partial(self._records.contents.count_skipped, operation.id))
            operation = replace(operation, file_counts=FileCounts(total=count, completed=count), skipped=skipped)
            operation = await self._operations.advance_once_available(operation, ImportState.DONE)
        await self._archives.remove_unneeded((operation.id,))
        return operation
