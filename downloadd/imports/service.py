"""Import service: the calls of users, with their rights, and the continuation of operations after a start."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import ImportsConfig
from downloadd.errors import NotFoundError, StorageError, StoreUnavailableError
from downloadd.events import EventBus
from downloadd.import_operation import (
    FINISHED_STATES,
    READING_STATES,
    ImportErrorCode,
    ImportOperation,
    ImportState,
    PendingRequest,
    Selection,
    SkippedEntry,
)
from downloadd.imports.abandoned_imports import UNFINISHED_STATES, AbandonedImports
from downloadd.imports.archived_files import ArchivedFiles
from downloadd.imports.checksum_lists import ChecksumLists
from downloadd.imports.content_reader import ContentReader
from downloadd.imports.downloads import Downloads, cancel_if_active
from downloadd.imports.fencing import changed_meanwhile, refused_if_fenced
from downloadd.imports.importers import find_importer
from downloadd.imports.manifest import ManifestWriter
from downloadd.imports.operations import Operations
from downloadd.imports.pending import PendingDownloads, has_work
from downloadd.imports.reader_thread import ReaderThread
from downloadd.imports.receiving import FileReceiver
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.selection import ContentSelection, FileData
from downloadd.imports.tasks import OperationTasks
from downloadd.imports.uploads import Uploads
from downloadd.records.availability import once_available
from downloadd.records.hints import Hints, NoHints
from downloadd.records.import_protocol import ImportFencedError, ImportRecords
from downloadd.rights import REQUIRED_PERMISSIONS, Action, Rights
from downloadd.storage.destination import Destination
from downloadd.users import User

MAX_LISTED_OPERATIONS: Final = 20
"""Operations in a listing."""
MAX_END_SECONDS: Final = 5.0
"""Seconds that a call waits for another one that ends the same operation."""
_END_POLL_SECONDS: Final = 0.02


class ImportService:
    """Import operations of all users. Opens with `async with`, after the components that it is given.

    Each call of a user raises `PermissionMissingError` if the user lacks the permission.
    """

    def __init__(
        self,
        *,
        records: ImportRecords,
        downloads: Downloads,
        destination: Destination,
        uploads: Uploads,
        bus: EventBus,
        clock: Clock,
        config: ImportsConfig,
        rights: Rights,
        root: str,
        max_size: int = 0,
        on_state_change: Callable[[ImportOperation], None] = lambda operation: None,
        hints: Hints | None = None,
        takeover_interval: float | None = None,
    ) -> None:
        """Take the components.

        Args:
            records: the records of imports.
            downloads: starts and cancels downloads.
            destination: where files are saved.
            uploads: the stored import files.
            bus: publishes changes of operations.
            clock: the time.
            config: the settings of imports.
            rights: the checks of what users may do.
            root: the absolute path of the storage root.
            max_size: bytes of the largest file that is taken from an archive; 0 for no limit.
            on_state_change: called with each operation that has a new state.
            hints: hints to other nodes and from them.
            takeover_interval: seconds between two searches for operations of nodes that are gone; None if there is no
                other node.
        """
        directory = config.directory
        self._records = records
        self._downloads = downloads
        self._uploads = uploads
        self._rights = rights
        self._directory = directory
        self._reader_thread = ReaderThread()
        self._operations = operations = Operations(
            records=records.operations,
            uploads=uploads,
            bus=bus,
            clock=clock,
            on_state_change=on_state_change,
            hints=hints or NoHints(),
        )
        self._tasks = OperationTasks(operations)
        self._abandoned = AbandonedImports(
            records.operations, operations, drive=self._continue, interval=takeover_interval
        )
        self._receiver = FileReceiver(
            operations=operations,
            uploads=uploads,
            downloads=downloads,
            destination=destination,
            reader_thread=self._reader_thread,
            directory=directory,
        )
        archives = ArchivedFiles(
            records=records.files, uploads=uploads, destination=destination, directory=directory, max_size=max_size
        )
        self._reader = ContentReader(
            operations=operations,
            records=records,
            uploads=uploads,
            reader_thread=self._reader_thread,
            directory=directory,
            root=root,
        )
        self._selection = ContentSelection(
            operations=operations, tasks=self._tasks, records=records, reader=self._reader, archives=archives
        )
        manifests = ManifestWriter(operations=operations, records=records, destination=destination, directory=directory)
        self._pending = PendingDownloads(
            operations=operations,
            records=records,
            downloads=downloads,
            archives=archives,
            checksum_lists=ChecksumLists(records=records, destination=destination, reader_thread=self._reader_thread),
            manifests=manifests,
            clock=clock,
            directory=directory,
        )

    @property
    def active_operations(self) -> int:
        """Return the number of operations with a background task."""
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        """Continue the operations that the end of the daemon has interrupted."""
        await self._uploads.open()
        unfinished = await self._records.operations.unfinished()
        await self._remove_orphans({operation.id for operation in unfinished})
        await self._abandoned.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the background tasks; the next start continues them."""
        await self._abandoned.__aexit__(kind, error, trace)
        await self._tasks.close()
        await self._operations.close()
        self._reader_thread.close()

    async def _continue(self, operation: ImportOperation) -> None:
        if operation.state is ImportState.FETCHING:
            self._tasks.start(operation, self._receiver.finish_fetch)
        elif operation.state in READING_STATES:
            self._tasks.start(operation, self._reader.read)
        elif operation.state is ImportState.DOWNLOADING:
            self._tasks.start(operation, self._pending.download)
        else:
            await self._operations.fail(operation, ImportRefusedError("the upload was interrupted"))

    def authorize_upload(self, user: User) -> None:
        """Return if the user may write to the directory of imports; interfaces call it before they read a file.

        Raises:
            PermissionMissingError: the user may not.
        """
        self._rights.require(user, Action.IMPORT, directory=self._directory)

    async def upload(
        self, importer_key: str, pieces: AsyncIterator[bytes], *, user: User, name: str, content_type: str | None
    ) -> ImportOperation:
        """Store an uploaded file; see `FileReceiver.upload`.

        Raises:
            UnknownImporterError: no importer has this key.
        """
        self._rights.require(user, Action.IMPORT)
        importer = find_importer(importer_key)
        return await self._receiver.upload(importer, pieces, user=user.id, name=name, content_type=content_type)

    async def fetch(self, importer_key: str, url: str, *, user: User) -> ImportOperation:
        """Start a download of an import file; see `FileReceiver.start_fetch`.

        Raises:
            UnknownImporterError: no importer has this key.
            DownloadForbiddenError: the daemon may not download.
        """
        self._rights.require(user, Action.FETCH_IMPORT, directory=self._directory)
        operation = await self._receiver.start_fetch(find_importer(importer_key), url, user=user.id)
        self._tasks.start(operation, self._receiver.finish_fetch)
        return operation

    async def file_data(self, user: User) -> FileData | None:
        """Return the content of the user's current file; see `ContentSelection.file_data`."""
        self._rights.require(user, Action.IMPORT)
        with refused_if_fenced():
            return await self._selection.file_data(user.id)

    async def start(self, selection: Selection, *, user: User) -> ImportOperation:
        """Make the files and avatars of a selection pending; see `ContentSelection.select`."""
        self._rights.require(user, Action.IMPORT)
        with refused_if_fenced():
            return await self._selection.select(selection, user=user.id)

    async def download_pending(self, request: PendingRequest, *, user: User) -> int:
        """Start to download the user's pending files that a request names, and return their number.

        Raises:
            NotFoundError: the user has no such operation.
            DownloadForbiddenError: the daemon may not download.
            ImportRefusedError: the operation was cancelled meanwhile.
            StoreUnavailableError: the records are unavailable; no file is downloaded.
        """
        self._rights.require(user, Action.FETCH_IMPORT, directory=self._directory)
        if request.operation is not None:
            await self._get_own(request.operation, user)
        with refused_if_fenced():
            run = await self._pending.create(request, user=user.id)
        if has_work(run):
            self._tasks.start(run, self._pending.download)
        return run.file_counts.total

    async def skipped(self, id: str, *, after: int, limit: int, user: User) -> Sequence[tuple[int, SkippedEntry]]:
        """Return up to `limit` parts of an import that are not imported, with numbers above `after`.

        Those of a run are those of its imports. Users that may import see those of their own operations.

        Raises:
            NotFoundError: there is no such operation, or the user may not see it.
        """
        views_all = user.has_permission(REQUIRED_PERMISSIONS[Action.VIEW_IMPORTS])
        if not views_all:
            self._rights.require(user, Action.IMPORT)
        operation = await self._records.operations.get(id)
        if operation is None or not (views_all or operation.user == user.id):
            raise NotFoundError("no import operation has this id")
        found: list[tuple[int, SkippedEntry]] = []
        # One file is read at a time, so that the numbers of one import are all below those of a later one.
        imports = (id,) if operation.pending_kind is None else await self._records.operations.sources(id)
        for source in imports:
            source_id = source if isinstance(source, str) else source.id
            found += await self._records.contents.skipped(source_id, after, limit - len(found))
            if len(found) >= limit:
                break
        return found

    async def cancel(self, id: str, *, give_up: bool = False, user: User) -> ImportOperation:
        """End an operation and its downloads; a finished one stays as it is. Safe to repeat.

        Files of an operation that is ended are tried again on request.

        Args:
            id: the operation.
            give_up: True to give up the files of its import, or of its imports and kind, that are not completed; they
                are never tried again.
            user: the caller.

        Raises:
            NotFoundError: the user has no such operation.
            ImportRefusedError: another operation downloads the files at the moment.
            StoreUnavailableError: the records are unavailable; the operation continues.
        """
        self._rights.require(user, Action.IMPORT)
        operation = await self._get_own(id, user)
        imports = {id, *operation.sources} if give_up else {id}
        for run in await self._records.operations.unfinished():
            if run.id != id and run.state is ImportState.DOWNLOADING and not imports.isdisjoint(run.sources):
                raise ImportRefusedError(
                    f"files of the import are being downloaded; end the operation {run.id} first",
                    ImportErrorCode.WRONG_STATE,
                )
        if operation.state not in FINISHED_STATES:
            operation = await self._end(operation)
        if give_up:
            with refused_if_fenced():
                operation = await self._give_up(operation)
        return operation

    async def _give_up(self, operation: ImportOperation) -> ImportOperation:
        claimed = await self._operations.claim(operation, FINISHED_STATES)
        if claimed is None:
            raise ImportFencedError(operation.driver)
        await self._pending.give_up(claimed)
        return await once_available(partial(self._operations.reload, claimed))

    async def _end(self, operation: ImportOperation) -> ImportOperation:
        # The first change: if it is refused, the operation continues.
        claimed = await self._operations.claim(operation, UNFINISHED_STATES)
        if claimed is None:
            return await self._wait_for_end(operation.id)
        await self._tasks.cancel(operation.id)
        try:
            return await self._end_claimed(replace(claimed, valid=False))
        except ImportFencedError:
            # Another call ends it.
            return await self._wait_for_end(operation.id)

    async def _wait_for_end(self, id: str) -> ImportOperation:
        """Return an operation that another call has finished, or finishes at the moment.

        Raises:
            ImportRefusedError: it was not finished within some seconds.
        """
        deadline = asyncio.get_running_loop().time() + MAX_END_SECONDS
        while True:
            operation = await once_available(partial(self._records.operations.get, id))
            if operation is not None and operation.state in FINISHED_STATES:
                return operation
            if asyncio.get_running_loop().time() > deadline:
                raise changed_meanwhile()
            await asyncio.sleep(_END_POLL_SECONDS)

    async def _end_claimed(self, operation: ImportOperation) -> ImportOperation:
        # The former driver writes nothing any more, so that the cancellation must not be refused from here on.
        if operation.download_id is not None:
            await once_available(partial(cancel_if_active, self._downloads, operation.download_id))
        if operation.pending_kind is not None:
            operation = await once_available(partial(self._pending.cancel, operation))
        await self._uploads.remove(operation.id)
        return await self._operations.advance_once_available(operation, ImportState.CANCELLED)

    async def current(self, user: User) -> ImportOperation | None:
        """Return the user's newest operation with the numbers of its files at the moment."""
        self._rights.require(user, Action.IMPORT)
        operation = await self._records.operations.current(user.id)
        if operation is None:
            return None
        if operation.state is ImportState.DOWNLOADING:
            return await self._pending.with_counts(operation)
        return self._reader.with_progress(operation)

    async def get(self, id: str, *, user: User) -> ImportOperation:
        """Return an operation of the user as it is recorded.

        Raises:
            NotFoundError: the user has no such operation.
        """
        self._rights.require(user, Action.IMPORT)
        return await self._get_own(id, user)

    async def latest(self, user: User) -> list[ImportOperation]:
        """Return the operations of all users that were updated last, newest first."""
        self._rights.require(user, Action.VIEW_IMPORTS)
        return await self._records.operations.latest(MAX_LISTED_OPERATIONS)

    async def _get_own(self, id: str, user: User) -> ImportOperation:
        operation = await self._records.operations.get(id)
        if operation is None or operation.user != user.id:
            raise NotFoundError("no import operation has this id")
        return operation

    async def _remove_orphans(self, unfinished: set[str]) -> None:
        async def is_referenced(operation: str) -> bool:
            if operation in unfinished:
                return True
            try:
                known = await self._records.operations.get(operation)
                if known is not None and known.valid and known.state not in FINISHED_STATES:
                    # Another node has just begun it.
                    return True
                return await self._records.files.needs_archive(operation, found=False)
            except (StorageError, StoreUnavailableError):
                # The row is damaged or cannot be read: its state is unknown.
                return True

        await self._uploads.remove_orphans(is_referenced)
