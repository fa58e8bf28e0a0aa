"""Reception of import files: by upload, or by a download of their URL."""

from collections.abc import AsyncIterator
from functools import partial

from msgspec.structs import replace

from downloadd.download import Conflict
from downloadd.download_request import DownloadRequest
from downloadd.import_operation import ImportErrorCode, ImportOperation, ImportState
from downloadd.imports.downloads import Downloads
from downloadd.imports.fetched_file import verify_fetched
from downloadd.imports.importers import Importer
from downloadd.imports.operations import Operations
from downloadd.imports.reader_thread import ReaderThread
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.uploads import Uploads
from downloadd.policy.redaction import redact_misplaced_url
from downloadd.records.availability import once_available
from downloadd.states import FINISHED, State
from downloadd.storage.destination import Destination
from downloadd.storage.names import parse_filename

_WAIT_SECONDS = 60


class FileReceiver:
    """Receiver of import files."""

    def __init__(
        self,
        *,
        operations: Operations,
        uploads: Uploads,
        downloads: Downloads,
        destination: Destination,
        reader_thread: ReaderThread,
        directory: str,
    ) -> None:
        """Take the components, and the directory of all imports."""
        self._operations = operations
        self._uploads = uploads
        self._downloads = downloads
        self._destination = destination
        self._reader_thread = reader_thread
        self._directory = directory

    async def upload(
        self, importer: Importer, pieces: AsyncIterator[bytes], *, user: str, name: str, content_type: str | None
    ) -> ImportOperation:
        """Store an uploaded file and read its beginning.

        Raises:
            ImportRefusedError: the file is too long or not of its kind.
            InsufficientStorageError: the disk is full, or `min_free` would not stay free.
            StorageError: the disk failed.
            StoreUnavailableError: the records are unavailable; the file is deleted.
        """
        # The name is shown, and becomes part of a directory's name.
        operation = self._operations.new(
            importer.key, user, ImportState.UPLOADED, name=redact_misplaced_url(name), content_type=content_type
        )
        await self._uploads.save(operation.id, pieces)
        try:
            await self._probe(operation)
            async with self._operations.lock:
                await self._operations.create(operation)
        except BaseException:
            await self._uploads.remove(operation.id)
            raise
        return operation

    async def start_fetch(self, importer: Importer, url: str, *, user: str) -> ImportOperation:
        """Start a download of the file, under the policy of all downloads.

        Raises:
            ImportRefusedError: the policy forbids the URL.
            StoreUnavailableError: the records are unavailable; nothing is downloaded.
        """
        operation = self._operations.new(importer.key, user, ImportState.FETCHING)
        id = self._operations.new_download_id()
        # Whatever the settings of the directory: the file that is read must be the one that was downloaded.
        request = DownloadRequest(
            url=url, directory=self._directory, conflict=Conflict.RENAME, operation=operation.id, id=id
        )
        download = (await self._downloads.start((request,), user=user)).downloads[0]
        if download.state in FINISHED:
            raise ImportRefusedError(
                f"the file cannot be fetched: {download.result.detail or download.result.error}",
                ImportErrorCode.INVALID_PARAMETER,
            )
        # The end of the URL may hold a password; the name of the download does not.
        operation = replace(operation, download_id=id, name=download.filename)
        async with self._operations.lock:
            await once_available(partial(self._operations.create, operation))
        return operation

    async def finish_fetch(self, operation: ImportOperation) -> None:
        """Wait for the download of a file, then verify and store the file."""
        download_id = operation.download_id or ""
        while (download := await self._downloads.wait(download_id, _WAIT_SECONDS)).state not in FINISHED:
            await self._operations.require_driver(operation)
        if download.state is not State.COMPLETED:
            why = download.result.detail or download.result.error or f"it was {download.state}"
            await self._operations.fail(operation, ImportRefusedError(f"the file was not fetched: {why}"))
            return
        await self._operations.require_driver(operation)
        try:
            pieces = self._destination.read_file(
                directory=download.request.directory, filename=parse_filename(download.filename)
            )
            await self._uploads.save(operation.id, verify_fetched(pieces, download))
            await self._probe(operation)
        except ImportRefusedError as error:
            await self._operations.fail(operation, error)
            return
        async with self._operations.lock:
            if (await self._operations.reload(operation)).valid:
                await self._operations.advance_once_available(operation, ImportState.UPLOADED)
                return
        # A newer operation has replaced this one, whose file will not be read.
        await self._uploads.remove(operation.id)

    async def _probe(self, operation: ImportOperation) -> None:
        await self._reader_thread.probe(operation.kind, self._uploads.path(operation.id))
