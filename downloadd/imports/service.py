"""Imports from the upload to the last file on disk: reads what was uploaded, and hands what is pending to the manager.

What has become of each file is asked of the records, which know the downloads too; so there is nothing to be told, to
be missed, or to be told twice, and after a crash everything goes on from what is written down.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from random import getrandbits
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec
import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import ImportsConfig
from downloadd.download import Conflict, Download, new_id
from downloadd.download_request import DownloadRequest
from downloadd.errors import DownloadError, NotFoundError, StorageError, StoreUnavailableError
from downloadd.events import EventBus, ImportChanged
from downloadd.import_operation import (
    FILES_CHANNEL_ID,
    FINISHED_STATUSES,
    OPERATION_ID_ALPHABET,
    OPERATION_ID_LENGTH,
    PREPARING_STATUSES,
    UNPREPARED_STATUSES,
    Channel,
    FileCounts,
    FileLink,
    ImportItem,
    ImportKind,
    ImportOperation,
    ImportStatus,
    MessageCount,
    PendingFile,
    PendingKind,
    Selection,
    SkippedEntry,
    WorkspaceUser,
)
from downloadd.imports.layout import MANIFEST_NAME, format_import_directory, resolve_destination
from downloadd.imports.reader_thread import ReaderThread, read_items
from downloadd.imports.refusal import ImportRefusedError, RefusalCode
from downloadd.imports.uploads import UploadStore
from downloadd.manager.manager import StartResult
from downloadd.policy.redaction import redact_misplaced_url, redact_url
from downloadd.records.availability import once_available
from downloadd.records.imports import MAX_CHUNK_ROWS, ImportRecords
from downloadd.states import FINISHED, State
from downloadd.storage.destination import Destination
from downloadd.storage.names import parse_directory, parse_filename, remove_invisible
from downloadd.verify import DEFAULT_ALGORITHM, checksum_algorithm, format_checksum, parse_checksum

log = structlog.get_logger()

MAX_LISTED_OPERATIONS: Final = 20
"""Operations that are listed."""
RETRY_SECONDS: Final = 1.0
"""After what the store refused."""
MIN_POLL_SECONDS: Final = 0.1
MAX_POLL_SECONDS: Final = 1.0
"""Seconds: how often it is looked what has become of files, the more of them the more seldom."""
MAX_FILES_POLLED_PER_SECOND: Final = 5_000
"""Files that may be looked at in a second."""
MAX_BATCH_FILES: Final = 2_000
"""Files that are handed to the manager at once."""
MAX_ACTIVE_FILES: Final = 8_000
"""Files of one operation that may be with the manager, so that they do not fill its queue."""
MAX_ENTITIES: Final = 200_000
"""Users and channels of one import, which are listed in one answer."""
MAX_ENTITIES_BYTES: Final = 48 << 20
"""Bytes of memory for their texts."""
MAX_SKIPPED: Final = 1_000_000
"""Entries that cannot be taken, in a file that is still believed to be of its kind."""
MAX_SKIPPED_LOGGED: Final = 1_000
MAX_ENTRY_BYTES: Final = 512 * 1024
"""Bytes of memory for the texts of one entry: sixteen URLs, and room."""
MAX_CHUNK_BYTES: Final = 8 << 20
"""Bytes of memory for the texts of entries that are written down at once."""

_PENDING_KINDS: Final = {ImportKind.PENDING_FILES: PendingKind.FILE, ImportKind.PENDING_AVATARS: PendingKind.AVATAR}


class DownloadManager(Protocol):
    """The manager, as imports see it."""

    async def start(self, requests: Sequence[DownloadRequest], *, user: str) -> StartResult:
        """Writes requests down."""
        ...

    async def wait(self, id: str, seconds: float) -> Download:
        """The row once the download has ended, or as it is when the time is up."""
        ...

    async def cancel(self, id: str) -> Download:
        """Cancels an active download."""
        ...


class FileData(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an uploaded file, and what of it is selected."""

    users: Sequence[tuple[WorkspaceUser, bool]] = ()
    channels: Sequence[tuple[Channel, bool]] = ()
    message_count: int = 0


class ImportService:
    """Every import operation. Opens with `async with`, after the parts it is given."""

    def __init__(
        self,
        *,
        records: ImportRecords,
        downloads: DownloadManager,
        destination: Destination,
        uploads: UploadStore,
        bus: EventBus,
        clock: Clock,
        config: ImportsConfig,
        on_status_change: Callable[[ImportOperation], None] = lambda operation: None,
    ) -> None:
        """`on_status_change` is told of every operation that has another status."""
        self._on_status_change = on_status_change
        self._records = records
        self._downloads = downloads
        self._destination = destination
        self._uploads = uploads
        self._bus = bus
        self._clock = clock
        self._config = config
        # One change of an operation at a time; a user's calls come one after the other anyway.
        self._lock = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reader_thread = ReaderThread()

    @property
    def directory(self) -> str:
        """Where the files of imports go, below the storage root."""
        return self._config.directory

    @property
    def active_operations(self) -> int:
        """How many operations something is being done for."""
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        """Goes on with what was under way."""
        await self._uploads.open()
        unfinished = await self._records.unfinished()
        unfinished_ids = {operation.id for operation in unfinished}

        async def is_referenced(operation: str) -> bool:
            if operation not in unfinished_ids:
                try:
                    await self._records.get(operation)
                except (StorageError, StoreUnavailableError):
                    # Its row is damaged, or cannot be read: nobody knows what is to become of it.
                    return True
            return operation in unfinished_ids

        await self._uploads.remove_orphans(is_referenced)
        for operation in unfinished:
            if operation.status in {ImportStatus.NEW, ImportStatus.UPLOADING}:
                await self._fail(operation, ImportRefusedError("the upload was cut short"))
            elif operation.status is ImportStatus.DOWNLOADING_FILE:
                self._start_task(operation, self._await_download)
            elif operation.status in PREPARING_STATUSES:
                self._start_task(operation, self._prepare)
            elif operation.status is ImportStatus.IMPORTING_FILES:
                self._start_task(operation, self._download_files)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops; everything is written down."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._reader_thread.close()

    # -- getting the file ----------------------------------------------------------------------------------------------

    async def upload(
        self, kind: ImportKind, pieces: AsyncIterator[bytes], *, user: str, name: str, content_type: str | None
    ) -> ImportOperation:
        """Keeps an uploaded file, and looks at its beginning.

        Raises:
            ImportRefusedError: it is too long, or not what its kind is.
            InsufficientStorageError: the disk is full, or `min_free` would not stay free.
            StorageError: the disk refuses it.
            StoreUnavailableError: it cannot be written down; nothing is kept.
        """
        # The name is shown, and given to a directory.
        operation = self._new(
            kind, user, ImportStatus.UPLOADING, name=redact_misplaced_url(name), content_type=content_type
        )
        await self._uploads.save(operation.id, pieces)
        operation = replace(operation, status=ImportStatus.FILE_LOADED)
        try:
            await self._probe(operation)
            async with self._lock:
                await self._create(operation)
        except BaseException:
            await self._uploads.remove(operation.id)
            raise
        return operation

    async def fetch(self, kind: ImportKind, url: str, *, user: str) -> ImportOperation:
        """Lets the manager fetch the file of an import, under the same policy as every download.

        Raises:
            ImportRefusedError: the URL may not be fetched.
            StoreUnavailableError: it cannot be written down; nothing is fetched.
        """
        operation = self._new(kind, user, ImportStatus.DOWNLOADING_FILE)
        id = self._new_download_id()
        # Whatever is the rule in that directory: what is read is what was fetched, and nobody else's file.
        request = DownloadRequest(
            url=url, directory=self._config.directory, conflict=Conflict.RENAME, operation=operation.id, id=id
        )
        started = await self._downloads.start((request,), user=user)
        download = started.downloads[0]
        if download.state in FINISHED:
            raise ImportRefusedError(
                f"the file cannot be fetched: {download.result.detail or download.result.error}",
                RefusalCode.INVALID_PARAMS,
            )
        # Not the end of the URL, which may be a password.
        name = download.filename
        operation = replace(operation, download_id=id, name=name, file=format_stored_name(operation.ts, user, name))
        async with self._lock:
            await once_available(partial(self._create, operation))
        self._start_task(operation, self._await_download)
        return operation

    # -- looking into it -----------------------------------------------------------------------------------------------

    async def file_data(self, user: str) -> FileData | None:
        """What is in the user's current file; None while that is being found out, which this starts if need be.

        Raises:
            ImportRefusedError: it could not be read.
        """
        async with self._lock:
            operation = await self._records.current(user)
            if operation is None or operation.kind in _PENDING_KINDS:
                return FileData()
            if operation.status is ImportStatus.FILE_LOADED:
                operation = await self._begin(operation, ImportStatus.PREPARING_STARTED)
                self._start_task(operation, self._prepare)
        if operation.status in UNPREPARED_STATUSES:
            return None
        if operation.status is ImportStatus.FAILED:
            raise ImportRefusedError(operation.reason or "the import failed", _refusal_code(operation))
        return FileData(
            users=await self._records.users(operation.id),
            channels=await self._records.channels(operation.id),
            message_count=operation.message_count,
        )

    async def start(self, selection: Selection, *, user: str) -> ImportOperation:
        """Makes the files and avatars of a selection pending.

        Raises:
            ImportRefusedError: there is nothing to select from, or nobody is selected.
            StoreUnavailableError: it cannot be written down; nothing is selected.
        """
        async with self._lock:
            operation = await self._records.current(user)
            # By whoever's turn it is, one that has started was cut off by the end of the daemon.
            if operation is None or operation.status not in {
                ImportStatus.USER_SELECTION,
                ImportStatus.IMPORTING_STARTED,
            }:
                raise ImportRefusedError(
                    "there is no import that waits for a selection; upload a file and get its data first",
                    RefusalCode.NOT_READY,
                )
            operation = await self._begin(operation, ImportStatus.IMPORTING_STARTED)
            chosen = await once_available(partial(self._records.select, operation.id, selection))
            if not chosen:
                await self._set_status(operation, ImportStatus.USER_SELECTION)
                raise ImportRefusedError("the selection names nobody and nothing", RefusalCode.NOTHING_SELECTED)
            file_counts = FileCounts(total=chosen, completed=chosen)
            return await self._set_status(replace(operation, file_counts=file_counts), ImportStatus.DONE)

    # -- fetching what is pending --------------------------------------------------------------------------------------

    async def download_pending(self, kind: ImportKind, *, user: str) -> int:
        """Starts to fetch the user's pending files, or avatars, and says how many there are.

        Those that another call has taken are with that one.

        Raises:
            StoreUnavailableError: it cannot be written down; nothing is taken.
        """
        async with self._lock:
            operation = self._new(kind, user, ImportStatus.IMPORTING_FILES)
            await self._records.apply_outcomes()
            count = await self._records.reserve(operation.id, user, _PENDING_KINDS[kind])
            operation = replace(operation, file_counts=FileCounts(total=count))
            if not count:
                operation = replace(operation, status=ImportStatus.DONE)
            await once_available(partial(self._create, operation))
        if count:
            self._start_task(operation, self._download_files)
        return count

    async def cancel(self, id: str, *, user: str) -> ImportOperation:
        """Ends an operation, and the downloads that belong to it.

        Raises:
            NotFoundError: the user has no such operation.
            ImportRefusedError: it has ended already.
            StoreUnavailableError: it cannot be written down; the operation goes on.
        """
        operation = await self._records.get(id)
        if operation is None or operation.user != user:
            raise NotFoundError("no import operation has this id")
        if operation.status in FINISHED_STATUSES:
            raise ImportRefusedError("the import has ended already", RefusalCode.NOT_READY)
        # The first change: while it is refused, the operation goes on.
        await self._records.release(id)
        task = self._tasks.pop(id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        # Nobody works for it from here on, so that it has to be gone through with.
        operation = replace(await once_available(partial(self._reload, operation)), valid=False)
        if operation.download_id is not None:
            await once_available(partial(self._cancel_download, operation.download_id))
        if operation.kind in _PENDING_KINDS:
            operation = await once_available(partial(self._cancel_files, operation))
        await self._uploads.remove(id)
        return await self._set_status(operation, ImportStatus.CANCELLED)

    async def _cancel_files(self, operation: ImportOperation) -> ImportOperation:
        """End the downloads of an operation; what has been done before is not done again."""
        await self._records.release(operation.id)
        async for file in self._files(operation.id):
            if file.download_id is not None and file.status not in {"completed", "pending"}:
                await self._cancel_download(file.download_id)
        await self._records.apply_outcomes()
        operation = replace(operation, file_counts=await self._records.count_files(operation.id))
        await self._write_manifests(operation)
        return operation

    # -- reading -------------------------------------------------------------------------------------------------------

    async def current(self, user: str) -> ImportOperation | None:
        """The user's newest operation, as it is now."""
        operation = await self._records.current(user)
        return None if operation is None else await self._with_file_counts(operation)

    async def latest(self) -> list[ImportOperation]:
        """Those that were updated last, of all users, newest first."""
        return await self._records.latest(MAX_LISTED_OPERATIONS)

    async def _with_file_counts(self, operation: ImportOperation) -> ImportOperation:
        if operation.status is not ImportStatus.IMPORTING_FILES:
            return operation
        return replace(operation, file_counts=await self._records.count_files(operation.id))

    # -- at work -------------------------------------------------------------------------------------------------------

    async def _probe(self, operation: ImportOperation) -> None:
        await self._reader_thread.probe(operation.kind, self._uploads.path(operation.id))

    async def _await_download(self, operation: ImportOperation) -> None:
        download_id = operation.download_id or ""
        while (download := await self._downloads.wait(download_id, 60)).state not in FINISHED:
            pass
        if download.state is not State.COMPLETED:
            why = download.result.detail or download.result.error or f"it was {download.state}"
            await self._fail(operation, ImportRefusedError(f"the file was not fetched: {why}"))
            return
        try:
            pieces = self._destination.read_file(directory=download.request.directory, filename=download.filename)
            await self._uploads.save(operation.id, verify_fetched(pieces, download))
            await self._probe(operation)
        except ImportRefusedError as error:
            await self._uploads.remove(operation.id)
            await self._fail(operation, error)
            return
        async with self._lock:
            if (await self._reload(operation)).valid:
                await self._set_status(operation, ImportStatus.FILE_LOADED)
                return
        # Another operation has taken its place meanwhile, and nobody will ask what is in this file.
        await self._uploads.remove(operation.id)

    async def _prepare(self, operation: ImportOperation) -> None:
        async with self._reader_thread.lock:
            await self._read(operation)

    async def _read(self, operation: ImportOperation) -> None:
        await self._records.delete_contents(operation.id)
        validator = ItemValidator(self._import_directory(operation.ts, operation.name))
        try:
            items = validator.validate(read_items(operation.kind, self._uploads.path(operation.id)))
            while chunk := await self._reader_thread.run(_next_chunk, items):
                await self._records.add(operation.id, chunk)
                status = _preparing_status(chunk[-1])
                if status is not operation.status:
                    operation = await self._set_status(operation, status)
            if validator.has_files_without_channel:
                await self._records.add(
                    operation.id, [Channel(channel_id=FILES_CHANNEL_ID, name=operation.name or "Files")]
                )
        except ImportRefusedError as error:
            await self._fail(operation, error)
            return
        except OSError as error:
            await self._fail(operation, ImportRefusedError(f"the upload cannot be read: {error.strerror}"))
            return
        finally:
            validator.is_cancelled = True
        await self._set_status(
            replace(operation, message_count=validator.messages, skipped=validator.skipped), ImportStatus.USER_SELECTION
        )
        await self._uploads.remove(operation.id)

    async def _download_files(self, operation: ImportOperation) -> None:
        """Hands files to the manager, as many as fit, and waits until all have ended."""
        pending_kind = _PENDING_KINDS[operation.kind]
        # Before any of the files has a name, so that none gets this one.
        await self._write_manifests(operation)
        while lost := await self._records.without_download(operation.id, MAX_BATCH_FILES):
            await self._start_downloads(operation, lost, pending_kind)
        while True:
            file_counts = await self._records.count_files(operation.id)
            await self._records.apply_outcomes()
            if file_counts != operation.file_counts:
                operation = replace(operation, file_counts=file_counts)
                self._publish(operation)
            if file_counts.is_finished:
                break
            if await self._records.downloading(operation.id) <= MAX_ACTIVE_FILES - MAX_BATCH_FILES:
                taken = await self._records.claim(operation.id, MAX_BATCH_FILES, self._new_download_id)
                if taken:
                    await self._start_downloads(operation, taken, pending_kind)
                    continue
            await asyncio.sleep(
                min(MAX_POLL_SECONDS, max(MIN_POLL_SECONDS, file_counts.total / MAX_FILES_POLLED_PER_SECOND))
            )
        await self._write_manifests(operation)
        await self._set_status(operation, ImportStatus.DONE)

    async def _start_downloads(
        self, operation: ImportOperation, files: Sequence[PendingFile], pending_kind: PendingKind
    ) -> None:
        await self._downloads.start(
            [self._download_request_for(operation, file, pending_kind) for file in files], user=operation.user
        )

    def _download_request_for(
        self, operation: ImportOperation, file: PendingFile, pending_kind: PendingKind
    ) -> DownloadRequest:
        link = file.link
        directory, name = resolve_destination(file, pending_kind)
        top = self._import_directory(file.import_ts, file.import_name)
        return DownloadRequest(
            url=link.url,
            mirrors=link.mirrors,
            directory=f"{top}/{directory}",
            filename=name,
            checksum=link.checksum,
            size=link.size,
            content_type=link.content_type,
            timeout=0,
            operation=operation.id,
            id=file.download_id,
        )

    def _import_directory(self, ts: int, name: str) -> str:
        return f"{self._config.directory}/{format_import_directory(ts, name)}"

    async def _write_manifests(self, run: ImportOperation) -> None:
        """For each import that the files of this run come from: what has become of all that was ever to be fetched."""
        for source in await self._records.sources(run.id):
            try:
                await self._write_manifest(source)
            except StoreUnavailableError:
                raise
            except DownloadError as error:
                log.warning("manifest_write_failed", operation=run.id, error=error.code, detail=error.detail)

    async def _write_manifest(self, source: ImportOperation) -> None:
        part = await self._destination.open_part(
            directory=self._import_directory(source.ts, source.name),
            filename=MANIFEST_NAME,
            download_id=self._new_download_id(),
            epoch=1,
            existing=None,
        )
        try:
            after = 0
            while chunk := await self._records.assigned(source.id, after, MAX_CHUNK_ROWS):
                await part.write(
                    [msgspec.json.encode(_build_manifest_entry(file)) + b"\n" for file in chunk], part.size
                )
                after = chunk[-1].number
            await part.sync()
            await part.publish(MANIFEST_NAME, replace=True, last_modified=None)
        finally:
            await part.remove()

    async def _files(self, run: str) -> AsyncIterator[PendingFile]:
        after = 0
        while chunk := await self._records.files(run, after, MAX_CHUNK_ROWS):
            for file in chunk:
                yield file
            after = chunk[-1].number

    async def _cancel_download(self, id: str) -> None:
        try:
            await self._downloads.cancel(id)
        except StoreUnavailableError:
            raise
        except DownloadError:
            # It has ended meanwhile, or was never made.
            return

    # -- operations ----------------------------------------------------------------------------------------------------

    def _new(
        self, kind: ImportKind, user: str, status: ImportStatus, *, name: str = "", content_type: str | None = None
    ) -> ImportOperation:
        now = self._now()
        return ImportOperation(
            id="".join(secrets.choice(OPERATION_ID_ALPHABET) for _ in range(OPERATION_ID_LENGTH)),
            kind=kind,
            user=user,
            ts=now,
            updated_at=now,
            status=status,
            name=remove_invisible(name),
            content_type=None if content_type is None else remove_invisible(content_type),
            file=None if kind in _PENDING_KINDS else format_stored_name(now, user, name),
        )

    async def _create(self, operation: ImportOperation) -> None:
        """Writes a new operation down, which takes the place of the user's earlier one; only by whose turn it is."""
        replaced = await self._records.current(operation.user)
        await self._records.create(operation)
        self._publish(operation)
        # One that is being fetched or read is removed by whoever does that.
        if replaced is not None and replaced.status is ImportStatus.FILE_LOADED:
            await self._uploads.remove(replaced.id)

    async def _begin(self, operation: ImportOperation, status: ImportStatus) -> ImportOperation:
        """Take the first step of what a user asks for: who is refused now finds nothing changed."""
        moved = replace(operation, status=status, updated_at=self._now())
        await self._records.save(moved)
        self._on_status_change(moved)
        self._publish(moved)
        return moved

    async def _set_status(self, operation: ImportOperation, status: ImportStatus) -> ImportOperation:
        """Take a step of what is under way, as soon as the records are available."""
        return await once_available(partial(self._begin, operation, status))

    async def _fail(self, operation: ImportOperation, error: ImportRefusedError) -> None:
        log.warning("import_failed", operation=operation.id, reason=error.message)
        await self._set_status(replace(operation, reason=error.message, error_code=error.code), ImportStatus.FAILED)
        await self._uploads.remove(operation.id)

    async def _reload(self, operation: ImportOperation) -> ImportOperation:
        return await self._records.get(operation.id) or operation

    def _publish(self, operation: ImportOperation) -> None:
        self._bus.publish(ImportChanged(operation=operation))

    def _start_task(self, operation: ImportOperation, work: Callable[[ImportOperation], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._run_with_retries(operation, work))
        self._tasks[operation.id] = task
        task.add_done_callback(partial(self._discard_task, operation.id))

    def _discard_task(self, id: str, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(id) is task:
            del self._tasks[id]

    async def _run_with_retries(
        self, operation: ImportOperation, work: Callable[[ImportOperation], Awaitable[None]]
    ) -> None:
        """Does the work, again from what is written down for as long as the store is out of order."""
        while True:
            try:
                await work(await self._reload(operation))
                return
            except DownloadError as error:
                log.error("import_delayed", operation=operation.id, error=error.code, detail=error.detail)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("import_failed_unexpectedly", operation=operation.id)
                await self._fail(operation, ImportRefusedError("the server made a mistake; its log has the details"))
                return

    def _now(self) -> int:
        return int(self._clock.wall() * 1000)

    def _new_download_id(self) -> str:
        return new_id(self._clock.wall(), getrandbits(74))


class ItemValidator:
    """Judges what an importer finds, and counts; `top` is the directory of the import."""

    def __init__(self, top: str) -> None:
        self.messages = 0
        self.skipped = 0
        self.has_files_without_channel = False
        self.is_cancelled = False
        """Nobody wants to know any more; set from elsewhere, for a reader cannot be cancelled."""
        self._directory = top
        self._entity_count = 0
        self._entities_bytes = 0

    def validate(self, items: Iterator[ImportItem]) -> Iterator[WorkspaceUser | Channel | FileLink]:
        """What of the items is to be written down.

        Raises:
            ImportRefusedError: the file says too much, or too little of it can be taken.
        """
        for item in items:
            if self.is_cancelled:
                return
            match item:
                case MessageCount(count=count):
                    self.messages += count
                case SkippedEntry(reason=reason):
                    self._skip(reason)
                case _ if estimate_bytes(item) > MAX_ENTRY_BYTES:
                    self._skip(f"an entry that is longer than {MAX_ENTRY_BYTES >> 10} KiB")
                case FileLink():
                    link = self._validate_link(item)
                    if link is not None:
                        yield link
                case _:
                    self._count_entity(item)
                    yield item

    def _validate_link(self, link: FileLink) -> FileLink | None:
        if link.channel_id:
            return link
        try:
            parse_directory(f"{self._directory}/{link.directory}")
            if link.name:
                parse_filename(link.name)
            if link.checksum is not None:
                parse_checksum(link.checksum)
        except DownloadError as error:
            # The sentence repeats what is wrong, and a whole URL may have got there.
            shown = all(redact_url(text) == text for text in (link.directory, link.name, link.checksum or ""))
            self._skip(error.detail if shown else "a directory, name or checksum that holds a secret")
            return None
        self.has_files_without_channel = True
        return replace(link, channel_id=FILES_CHANNEL_ID)

    def _count_entity(self, entity: WorkspaceUser | Channel) -> None:
        self._entity_count += 1
        self._entities_bytes += estimate_bytes(entity)
        if self._entity_count > MAX_ENTITIES or self._entities_bytes > MAX_ENTITIES_BYTES:
            raise ImportRefusedError(
                f"the file names more than {MAX_ENTITIES} users and channels, or says too much of them",
                RefusalCode.FILE_TOO_LARGE,
            )

    def _skip(self, reason: str) -> None:
        self.skipped += 1
        if self.skipped > MAX_SKIPPED:
            raise ImportRefusedError(
                f"more than {MAX_SKIPPED} entries of the file cannot be taken", RefusalCode.FILE_TOO_LARGE
            )
        # A file can be made of nothing else; the operation tells how many there were.
        if self.skipped <= MAX_SKIPPED_LOGGED:
            log.info("import_entry_skipped", reason=reason)


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `manifest.jsonl`."""

    file_id: str
    channel: str
    user: str
    message_time: float | None
    url: str
    path: str | None
    size: int | None
    sha256: str | None
    status: str
    error: str | None


def format_stored_name(ts: int, user: str, name: str) -> str:
    """The name that Rocket.Chat would keep an upload under, as in the seed's example: month from 0, nothing padded."""
    at = datetime.fromtimestamp(ts / 1000, UTC)
    stamp = f"{at.year}{at.month - 1}{at.day}{at.hour}{at.minute}{at.second}"
    return f"{stamp}_{user}_{remove_invisible(name).replace('/', '_')}"


def _build_manifest_entry(file: PendingFile) -> ManifestEntry:
    link = file.link
    algorithm, _, digest = (file.saved_checksum or "").partition("=")
    return ManifestEntry(
        file_id=link.file_id,
        channel=file.channel,
        user=link.user,
        message_time=link.time,
        url=redact_url(link.url),
        path=file.path,
        size=file.saved_size,
        sha256=digest if algorithm == "sha-256" else None,
        status=file.status,
        error=file.error,
    )


async def verify_fetched(pieces: AsyncIterator[bytes], download: Download) -> AsyncIterator[bytes]:
    """The file of a download, piece by piece, when it is what was fetched, as far as length and checksum tell.

    Raises:
        ImportRefusedError: at its end, because something else lies under its name by now; or it cannot be read.
    """
    expected_checksum = download.result.checksum
    hashed = expected_checksum is not None and checksum_algorithm(expected_checksum) == DEFAULT_ALGORITHM
    digest, size = hashlib.sha256(), 0
    try:
        async for piece in pieces:
            size += len(piece)
            if hashed:
                await asyncio.to_thread(digest.update, piece)
            yield piece
    except DownloadError as error:
        raise ImportRefusedError(f"the file that was fetched cannot be read: {error.detail}") from error
    if size != download.progress.received or (
        hashed and format_checksum(DEFAULT_ALGORITHM, digest.hexdigest()) != expected_checksum
    ):
        raise ImportRefusedError("another file lies in the place of the one that was fetched")


def estimate_bytes(item: WorkspaceUser | Channel | FileLink) -> int:
    """About how many bytes of memory the texts of an entry take."""
    texts = [text for text in msgspec.structs.astuple(item) if isinstance(text, str)]
    if isinstance(item, FileLink):
        texts += item.mirrors
    # One character beyond the basic plane makes all of a text take four bytes each.
    return sum(len(text) if text.isascii() else 4 * len(text) for text in texts)


def _next_chunk(items: Iterator[WorkspaceUser | Channel | FileLink]) -> list[WorkspaceUser | Channel | FileLink]:
    chunk, weight = [], 0
    for item in items:
        chunk.append(item)
        weight += estimate_bytes(item)
        if len(chunk) >= MAX_CHUNK_ROWS or weight >= MAX_CHUNK_BYTES:
            break
    return chunk


def _preparing_status(item: WorkspaceUser | Channel | FileLink) -> ImportStatus:
    match item:
        case WorkspaceUser():
            return ImportStatus.PREPARING_USERS
        case Channel():
            return ImportStatus.PREPARING_CHANNELS
        case FileLink():
            return ImportStatus.PREPARING_MESSAGES


def _refusal_code(operation: ImportOperation) -> RefusalCode:
    try:
        return RefusalCode(operation.error_code or "")
    except ValueError:
        return RefusalCode.INVALID_FILE
