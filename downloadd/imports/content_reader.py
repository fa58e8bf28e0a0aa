"""Reading of import files into the records."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from downloadd.import_operation import (
    FILES_CHANNEL_ID,
    Channel,
    FileLink,
    ImportOperation,
    ImportState,
    ReadingProgress,
    SkippedEntry,
    WorkspaceUser,
)
from downloadd.imports.layout import format_import_directory
from downloadd.imports.operations import Operations
from downloadd.imports.reader_thread import BytesRead, ReaderThread, read_items
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.uploads import Uploads
from downloadd.imports.validation import ItemValidator, ValidItem, next_chunk
from downloadd.records.import_protocol import ImportRecords

PROGRESS_SECONDS: Final = 1.0
"""Seconds between two events about the progress of reading."""


class ContentReader:
    """Reader of the content of import files."""

    def __init__(
        self,
        *,
        operations: Operations,
        records: ImportRecords,
        uploads: Uploads,
        reader_thread: ReaderThread,
        directory: str,
        root: str,
    ) -> None:
        """Take the components, the directory of all imports, and the absolute path of the storage root."""
        self._operations = operations
        self._records = records
        self._uploads = uploads
        self._reader_thread = reader_thread
        self._directory = directory
        self._root = root
        self._progress: ReadingProgress | None = None
        self._operation: ImportOperation | None = None

    def with_progress(self, operation: ImportOperation) -> ImportOperation:
        """Return the operation with the progress of reading, if its file is being read."""
        under_way = self._operation
        if under_way is None or under_way.id != operation.id:
            return operation
        return replace(operation, reading=self._progress)

    async def read(self, operation: ImportOperation) -> None:
        """Record the content of a file, in place of what an earlier try has recorded.

        The file is deleted, unless files must be taken from it.
        """
        async with self._reader_thread.lock:
            await self._records.contents.clear(operation.driver)
            directory = format_import_directory(self._directory, operation.started_at, operation.name)
            validator = ItemValidator(directory, self._root)
            self._operation, count = operation, BytesRead()
            reporting = asyncio.get_running_loop().create_task(self._report(operation, validator, count))
            try:
                operation = await self._record_items(operation, validator, count)
            except ImportRefusedError as error:
                await self._operations.fail(operation, error)
                return
            except OSError as error:
                problem = ImportRefusedError(f"the uploaded file cannot be read: {error.strerror}")
                await self._operations.fail(operation, problem)
                return
            finally:
                # The thread cannot be cancelled.
                validator.is_cancelled = True
                self._operation = self._progress = None
                reporting.cancel()
                with suppress(asyncio.CancelledError):
                    await reporting
            skipped = await self._records.contents.count_skipped(operation.id)
            operation = replace(operation, message_count=validator.messages, skipped=skipped)
            await self._operations.advance_once_available(operation, ImportState.READY)
            # A newer operation may have replaced this one, from which nothing can be selected then.
            is_valid = (await self._operations.reload(operation)).valid
            if not is_valid or not await self._records.files.needs_archive(operation.id, found=True):
                await self._uploads.remove(operation.id)

    async def _record_items(
        self, operation: ImportOperation, validator: ItemValidator, count: BytesRead
    ) -> ImportOperation:
        items = validator.validate(read_items(operation.kind, self._uploads.path(operation.id), count))
        while chunk := await self._reader_thread.run(next_chunk, items):
            await self._records.contents.add(operation.driver, chunk)
            state = _reading_state(chunk[-1]) or operation.state
            if state is not operation.state:
                self._operation = operation = await self._operations.advance_once_available(operation, state)
        if validator.needs_files_channel:
            channel = Channel(channel_id=FILES_CHANNEL_ID, name=operation.name or "Files")
            await self._records.contents.add(operation.driver, [channel])
        return operation

    async def _report(self, operation: ImportOperation, validator: ItemValidator, count: BytesRead) -> None:
        size = await asyncio.to_thread(_size_of, self._uploads.path(operation.id))
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            self._progress = ReadingProgress(
                bytes_read=min(count.value, size), bytes_total=size, messages=validator.messages
            )
            if self._operation is not None:
                self._operations.publish(self.with_progress(self._operation))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        # The reader reports that the file is missing.
        return 0


def _reading_state(item: ValidItem) -> ImportState | None:
    match item:
        case WorkspaceUser():
            return ImportState.READING_USERS
        case Channel():
            return ImportState.READING_CHANNELS
        case FileLink():
            return ImportState.READING_FILES
        case SkippedEntry():
            return None
