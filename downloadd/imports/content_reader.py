"""Reading of import files into the records."""

from msgspec.structs import replace

from downloadd.import_operation import (
    FILES_CHANNEL_ID,
    Channel,
    FileLink,
    ImportOperation,
    ImportState,
    WorkspaceUser,
)
from downloadd.imports.layout import format_import_directory
from downloadd.imports.operations import Operations
from downloadd.imports.reader_thread import ReaderThread, read_items
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.uploads import UploadStore
from downloadd.imports.validation import ItemValidator, ValidItem, next_chunk
from downloadd.records.import_protocol import ImportContentRecords


class ContentReader:
    """Reader of the content of import files."""

    def __init__(
        self,
        *,
        operations: Operations,
        records: ImportContentRecords,
        uploads: UploadStore,
        reader_thread: ReaderThread,
        directory: str,
    ) -> None:
        """Take the components, and the directory of all imports."""
        self._operations = operations
        self._records = records
        self._uploads = uploads
        self._reader_thread = reader_thread
        self._directory = directory

    async def read(self, operation: ImportOperation) -> None:
        """Record the content of a file, in place of what an earlier try has recorded, and delete the file."""
        async with self._reader_thread.lock:
            await self._records.clear(operation.id)
            validator = ItemValidator(format_import_directory(self._directory, operation.started_at, operation.name))
            try:
                operation = await self._record_items(operation, validator)
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
            operation = replace(operation, message_count=validator.messages, skipped=validator.skipped)
            await self._operations.advance_once_available(operation, ImportState.READY)
            await self._uploads.remove(operation.id)

    async def _record_items(self, operation: ImportOperation, validator: ItemValidator) -> ImportOperation:
        items = validator.validate(read_items(operation.kind, self._uploads.path(operation.id)))
        while chunk := await self._reader_thread.run(next_chunk, items):
            await self._records.add(operation.id, chunk)
            state = _reading_state(chunk[-1])
            if state is not operation.state:
                operation = await self._operations.advance_once_available(operation, state)
        if validator.has_files_without_channel:
            channel = Channel(channel_id=FILES_CHANNEL_ID, name=operation.name or "Files")
            await self._records.add(operation.id, [channel])
        return operation


def _reading_state(item: ValidItem) -> ImportState:
    match item:
        case WorkspaceUser():
            return ImportState.READING_USERS
        case Channel():
            return ImportState.READING_CHANNELS
        case FileLink():
            return ImportState.READING_FILES
