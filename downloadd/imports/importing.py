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
from downloadd.errors import DownloadError, NotFoundError, StorageError, StoreUnavailableError
from downloadd.events import EventBus, ImportChanged
from downloadd.imports.layout import MANIFEST, folder_of, place_of
from downloadd.imports.reading import ReadingRoom, read_items
from downloadd.imports.refusal import ImportRefusedError, RefusalCode
from downloadd.imports.uploads import Uploads
from downloadd.manager.intake import Order
from downloadd.manager.manager import Started
from downloadd.operation import (
    FILES,
    ID_ALPHABET,
    ID_LENGTH,
    OVER,
    PREPARING,
    UNPREPARED,
    Channel,
    FileLink,
    Item,
    Kind,
    Messages,
    Operation,
    PendingFile,
    Person,
    Selection,
    Skipped,
    Status,
    Tally,
    Wanted,
)
from downloadd.policy.masking import show_misplaced, show_url
from downloadd.records.availability import once_available
from downloadd.records.imports import CHUNK, ImportRecords
from downloadd.states import ENDED, State
from downloadd.storage.destination import Destination
from downloadd.storage.names import parse_directory, parse_filename, visible_text
from downloadd.verify import KEPT_ALGORITHM, algorithm_of, format_checksum, parse_checksum

log = structlog.get_logger()

LATEST: Final = 20
"""Operations that are listed."""
RETRY_SECONDS: Final = 1.0
"""After what the store refused."""
SOONEST_LOOK: Final = 0.1
LATEST_LOOK: Final = 1.0
"""Seconds: how often it is looked what has become of files, the more of them the more seldom."""
LOOKED_AT: Final = 5_000
"""Files that may be looked at in a second."""
TAKEN_AT_ONCE: Final = 2_000
"""Files that are handed to the manager at once."""
ROOM: Final = 8_000
"""Files of one operation that may be with the manager, so that they do not fill its queue."""
MOST_ENTITIES: Final = 200_000
"""Users and channels of one import, which are listed in one answer."""
MOST_OF_ENTITIES: Final = 48 << 20
"""Bytes of memory for their texts."""
MOST_SKIPPED: Final = 1_000_000
"""Entries that cannot be taken, in a file that is still believed to be of its kind."""
SKIPPED_LOGGED: Final = 1_000
LARGEST_ENTRY: Final = 512 * 1024
"""Bytes of memory for the texts of one entry: sixteen URLs, and room."""
LARGEST_CHUNK: Final = 8 << 20
"""Bytes of memory for the texts of entries that are written down at once."""

_WANTED: Final = {Kind.PENDING_FILES: Wanted.FILE, Kind.PENDING_AVATARS: Wanted.AVATAR}


class Downloads(Protocol):
    """The manager, as imports see it."""

    async def start(self, orders: Sequence[Order], *, user: str) -> Started:
        """Writes orders down."""
        ...

    async def wait(self, id: str, seconds: float) -> Download:
        """The row once the download has ended, or as it is when the time is up."""
        ...

    async def cancel(self, id: str) -> Download:
        """Cancels an active download."""
        ...


class FileData(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an uploaded file, and what of it is selected."""

    people: Sequence[tuple[Person, bool]] = ()
    channels: Sequence[tuple[Channel, bool]] = ()
    message_count: int = 0


class Imports:
    """Every import operation. Opens with `async with`, after the parts it is given."""

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
        moved: Callable[[Operation], None] = lambda operation: None,
    ) -> None:
        """`moved` is told of every operation that has another status."""
        self._moved = moved
        self._records = records
        self._downloads = downloads
        self._destination = destination
        self._uploads = uploads
        self._bus = bus
        self._clock = clock
        self._config = config
        # One change of an operation at a time; a user's calls come one after the other anyway.
        self._turn = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reading = ReadingRoom()

    @property
    def directory(self) -> str:
        """Where the files of imports go, below the storage root."""
        return self._config.directory

    @property
    def at_work(self) -> int:
        """How many operations something is being done for."""
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        """Goes on with what was under way."""
        await self._uploads.open()
        unfinished = await self._records.unfinished()
        wanted = {operation.id for operation in unfinished}

        async def is_wanted(operation: str) -> bool:
            if operation not in wanted:
                try:
                    await self._records.get(operation)
                except (StorageError, StoreUnavailableError):
                    # Its row is damaged, or cannot be read: nobody knows what is to become of it.
                    return True
            return operation in wanted

        await self._uploads.sweep(is_wanted)
        for operation in unfinished:
            if operation.status in {Status.NEW, Status.UPLOADING}:
                await self._fail(operation, ImportRefusedError("the upload was cut short"))
            elif operation.status is Status.DOWNLOADING_FILE:
                self._own(operation, self._await_file)
            elif operation.status in PREPARING:
                self._own(operation, self._prepare)
            elif operation.status is Status.IMPORTING_FILES:
                self._own(operation, self._follow)
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
        self._reading.close()

    # -- getting the file ----------------------------------------------------------------------------------------------

    async def upload(
        self, kind: Kind, pieces: AsyncIterator[bytes], *, user: str, name: str, content_type: str | None
    ) -> Operation:
        """Keeps an uploaded file, and looks at its beginning.

        Raises:
            ImportRefusedError: it is too long, or not what its kind is.
            InsufficientStorageError: the disk is full, or `min_free` would not stay free.
            StorageError: the disk refuses it.
            StoreUnavailableError: it cannot be written down; nothing is kept.
        """
        # The name is shown, and given to a directory.
        operation = self._new(kind, user, Status.UPLOADING, name=show_misplaced(name), content_type=content_type)
        await self._uploads.keep(operation.id, pieces)
        operation = replace(operation, status=Status.FILE_LOADED)
        try:
            await self._probe(operation)
            async with self._turn:
                await self._create(operation)
        except BaseException:
            await self._uploads.remove(operation.id)
            raise
        return operation

    async def fetch(self, kind: Kind, url: str, *, user: str) -> Operation:
        """Lets the manager fetch the file of an import, under the same policy as every download.

        Raises:
            ImportRefusedError: the URL may not be fetched.
            StoreUnavailableError: it cannot be written down; nothing is fetched.
        """
        operation = self._new(kind, user, Status.DOWNLOADING_FILE)
        id = self._new_download_id()
        # Whatever is the rule in that directory: what is read is what was fetched, and nobody else's file.
        order = Order(
            url=url, directory=self._config.directory, conflict=Conflict.RENAME, operation=operation.id, id=id
        )
        started = await self._downloads.start((order,), user=user)
        download = started.downloads[0]
        if download.state in ENDED:
            raise ImportRefusedError(
                f"the file cannot be fetched: {download.result.detail or download.result.error}",
                RefusalCode.INVALID_PARAMS,
            )
        # Not the end of the URL, which may be a password.
        name = download.filename
        operation = replace(operation, download_id=id, name=name, file=kept_name(operation.ts, user, name))
        async with self._turn:
            await once_available(partial(self._create, operation))
        self._own(operation, self._await_file)
        return operation

    # -- looking into it -----------------------------------------------------------------------------------------------

    async def file_data(self, user: str) -> FileData | None:
        """What is in the user's current file; None while that is being found out, which this starts if need be.

        Raises:
            ImportRefusedError: it could not be read.
        """
        async with self._turn:
            operation = await self._records.current(user)
            if operation is None or operation.kind in _WANTED:
                return FileData()
            if operation.status is Status.FILE_LOADED:
                operation = await self._begin(operation, Status.PREPARING_STARTED)
                self._own(operation, self._prepare)
        if operation.status in UNPREPARED:
            return None
        if operation.status is Status.FAILED:
            raise ImportRefusedError(operation.reason or "the import failed", _code(operation))
        return FileData(
            people=await self._records.people(operation.id),
            channels=await self._records.channels(operation.id),
            message_count=operation.message_count,
        )

    async def start(self, selection: Selection, *, user: str) -> Operation:
        """Makes the files and avatars of a selection pending.

        Raises:
            ImportRefusedError: there is nothing to select from, or nobody is selected.
            StoreUnavailableError: it cannot be written down; nothing is selected.
        """
        async with self._turn:
            operation = await self._records.current(user)
            # By whoever's turn it is, one that has started was cut off by the end of the daemon.
            if operation is None or operation.status not in {Status.USER_SELECTION, Status.IMPORTING_STARTED}:
                raise ImportRefusedError(
                    "there is no import that waits for a selection; upload a file and get its data first",
                    RefusalCode.NOT_READY,
                )
            operation = await self._begin(operation, Status.IMPORTING_STARTED)
            chosen = await once_available(partial(self._records.select, operation.id, selection))
            if not chosen:
                await self._move(operation, Status.USER_SELECTION)
                raise ImportRefusedError("the selection names nobody and nothing", RefusalCode.NOTHING_SELECTED)
            tally = Tally(total=chosen, completed=chosen)
            return await self._move(replace(operation, tally=tally), Status.DONE)

    # -- fetching what is pending --------------------------------------------------------------------------------------

    async def download_pending(self, kind: Kind, *, user: str) -> int:
        """Starts to fetch the user's pending files, or avatars, and says how many there are.

        Those that another call has taken are with that one.

        Raises:
            StoreUnavailableError: it cannot be written down; nothing is taken.
        """
        async with self._turn:
            operation = self._new(kind, user, Status.IMPORTING_FILES)
            await self._records.settle()
            count = await self._records.reserve(operation.id, user, _WANTED[kind])
            operation = replace(operation, tally=Tally(total=count))
            if not count:
                operation = replace(operation, status=Status.DONE)
            await once_available(partial(self._create, operation))
        if count:
            self._own(operation, self._follow)
        return count

    async def cancel(self, id: str, *, user: str) -> Operation:
        """Ends an operation, and the downloads that belong to it.

        Raises:
            NotFoundError: the user has no such operation.
            ImportRefusedError: it has ended already.
            StoreUnavailableError: it cannot be written down; the operation goes on.
        """
        operation = await self._records.get(id)
        if operation is None or operation.user != user:
            raise NotFoundError("no import operation has this id")
        if operation.status in OVER:
            raise ImportRefusedError("the import has ended already", RefusalCode.NOT_READY)
        # The first change: while it is refused, the operation goes on.
        await self._records.release(id)
        task = self._tasks.pop(id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        # Nobody works for it from here on, so that it has to be gone through with.
        operation = replace(await once_available(partial(self._fresh, operation)), valid=False)
        if operation.download_id is not None:
            await once_available(partial(self._cancel_download, operation.download_id))
        if operation.kind in _WANTED:
            operation = await once_available(partial(self._cancel_files, operation))
        await self._uploads.remove(id)
        return await self._move(operation, Status.CANCELLED)

    async def _cancel_files(self, operation: Operation) -> Operation:
        """End the downloads of an operation; what has been done before is not done again."""
        await self._records.release(operation.id)
        async for file in self._files(operation.id):
            if file.download_id is not None and file.status not in {"completed", "pending"}:
                await self._cancel_download(file.download_id)
        await self._records.settle()
        operation = replace(operation, tally=await self._records.tally(operation.id))
        await self._write_manifests(operation)
        return operation

    # -- reading -------------------------------------------------------------------------------------------------------

    async def current(self, user: str) -> Operation | None:
        """The user's newest operation, as it is now."""
        operation = await self._records.current(user)
        return None if operation is None else await self._counted(operation)

    async def latest(self) -> list[Operation]:
        """Those that were updated last, of all users, newest first."""
        return await self._records.latest(LATEST)

    async def _counted(self, operation: Operation) -> Operation:
        if operation.status is not Status.IMPORTING_FILES:
            return operation
        return replace(operation, tally=await self._records.tally(operation.id))

    # -- at work -------------------------------------------------------------------------------------------------------

    async def _probe(self, operation: Operation) -> None:
        await self._reading.probe(operation.kind, self._uploads.path(operation.id))

    async def _await_file(self, operation: Operation) -> None:
        download_id = operation.download_id or ""
        while (download := await self._downloads.wait(download_id, 60)).state not in ENDED:
            pass
        if download.state is not State.COMPLETED:
            why = download.result.detail or download.result.error or f"it was {download.state}"
            await self._fail(operation, ImportRefusedError(f"the file was not fetched: {why}"))
            return
        try:
            pieces = self._destination.read_file(directory=download.request.directory, filename=download.filename)
            await self._uploads.keep(operation.id, as_fetched(pieces, download))
            await self._probe(operation)
        except ImportRefusedError as error:
            await self._uploads.remove(operation.id)
            await self._fail(operation, error)
            return
        async with self._turn:
            if (await self._fresh(operation)).valid:
                await self._move(operation, Status.FILE_LOADED)
                return
        # Another operation has taken its place meanwhile, and nobody will ask what is in this file.
        await self._uploads.remove(operation.id)

    async def _prepare(self, operation: Operation) -> None:
        async with self._reading.seat:
            await self._read(operation)

    async def _read(self, operation: Operation) -> None:
        await self._records.forget_contents(operation.id)
        found = Found(self._top_of(operation.ts, operation.name))
        try:
            items = found.judge(read_items(operation.kind, self._uploads.path(operation.id)))
            while chunk := await self._reading.run(_chunk, items):
                await self._records.add(operation.id, chunk)
                status = _status_of(chunk[-1])
                if status is not operation.status:
                    operation = await self._move(operation, status)
            if found.without_channel:
                await self._records.add(operation.id, [Channel(channel_id=FILES, name=operation.name or "Files")])
        except ImportRefusedError as error:
            await self._fail(operation, error)
            return
        except OSError as error:
            await self._fail(operation, ImportRefusedError(f"the upload cannot be read: {error.strerror}"))
            return
        finally:
            found.abandoned = True
        await self._move(replace(operation, message_count=found.messages, skipped=found.skipped), Status.USER_SELECTION)
        await self._uploads.remove(operation.id)

    async def _follow(self, operation: Operation) -> None:
        """Hands files to the manager, as many as fit, and waits until all have ended."""
        wanted = _WANTED[operation.kind]
        # Before any of the files has a name, so that none gets this one.
        await self._write_manifests(operation)
        while lost := await self._records.lost(operation.id, TAKEN_AT_ONCE):
            await self._order(operation, lost, wanted)
        while True:
            tally = await self._records.tally(operation.id)
            await self._records.settle()
            if tally != operation.tally:
                operation = replace(operation, tally=tally)
                self._tell(operation)
            if tally.is_over:
                break
            if await self._records.downloading(operation.id) <= ROOM - TAKEN_AT_ONCE:
                taken = await self._records.take(operation.id, TAKEN_AT_ONCE, self._new_download_id)
                if taken:
                    await self._order(operation, taken, wanted)
                    continue
            await asyncio.sleep(min(LATEST_LOOK, max(SOONEST_LOOK, tally.total / LOOKED_AT)))
        await self._write_manifests(operation)
        await self._move(operation, Status.DONE)

    async def _order(self, operation: Operation, files: Sequence[PendingFile], wanted: Wanted) -> None:
        await self._downloads.start([self._order_of(operation, file, wanted) for file in files], user=operation.user)

    def _order_of(self, operation: Operation, file: PendingFile, wanted: Wanted) -> Order:
        link = file.link
        directory, name = place_of(file, wanted)
        top = self._top_of(file.import_ts, file.import_name)
        return Order(
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

    def _top_of(self, ts: int, name: str) -> str:
        return f"{self._config.directory}/{folder_of(ts, name)}"

    async def _write_manifests(self, run: Operation) -> None:
        """For each import that the files of this run come from: what has become of all that was ever to be fetched."""
        for source in await self._records.sources(run.id):
            try:
                await self._write_manifest(source)
            except StoreUnavailableError:
                raise
            except DownloadError as error:
                log.warning("manifest_not_written", operation=run.id, error=error.code, detail=error.detail)

    async def _write_manifest(self, source: Operation) -> None:
        part = await self._destination.open_part(
            directory=self._top_of(source.ts, source.name),
            filename=MANIFEST,
            download_id=self._new_download_id(),
            epoch=1,
            existing=None,
        )
        try:
            after = 0
            while chunk := await self._records.given(source.id, after, CHUNK):
                await part.write([msgspec.json.encode(_manifest_entry(file)) + b"\n" for file in chunk], part.size)
                after = chunk[-1].number
            await part.sync()
            await part.publish(MANIFEST, replace=True, last_modified=None)
        finally:
            await part.remove()

    async def _files(self, run: str) -> AsyncIterator[PendingFile]:
        after = 0
        while chunk := await self._records.files(run, after, CHUNK):
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
        self, kind: Kind, user: str, status: Status, *, name: str = "", content_type: str | None = None
    ) -> Operation:
        now = self._now()
        return Operation(
            id="".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH)),
            kind=kind,
            user=user,
            ts=now,
            updated_at=now,
            status=status,
            name=visible_text(name),
            content_type=None if content_type is None else visible_text(content_type),
            file=None if kind in _WANTED else kept_name(now, user, name),
        )

    async def _create(self, operation: Operation) -> None:
        """Writes a new operation down, which takes the place of the user's earlier one; only by whose turn it is."""
        replaced = await self._records.current(operation.user)
        await self._records.create(operation)
        self._tell(operation)
        # One that is being fetched or read is removed by whoever does that.
        if replaced is not None and replaced.status is Status.FILE_LOADED:
            await self._uploads.remove(replaced.id)

    async def _begin(self, operation: Operation, status: Status) -> Operation:
        """Take the first step of what a user asks for: who is refused now finds nothing changed."""
        moved = replace(operation, status=status, updated_at=self._now())
        await self._records.save(moved)
        self._moved(moved)
        self._tell(moved)
        return moved

    async def _move(self, operation: Operation, status: Status) -> Operation:
        """Take a step of what is under way, as soon as the records are available."""
        return await once_available(partial(self._begin, operation, status))

    async def _fail(self, operation: Operation, error: ImportRefusedError) -> None:
        log.warning("import_failed", operation=operation.id, reason=error.sentence)
        await self._move(replace(operation, reason=error.sentence, error_code=error.code), Status.FAILED)
        await self._uploads.remove(operation.id)

    async def _fresh(self, operation: Operation) -> Operation:
        return await self._records.get(operation.id) or operation

    def _tell(self, operation: Operation) -> None:
        self._bus.publish(ImportChanged(operation=operation))

    def _own(self, operation: Operation, work: Callable[[Operation], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._guard(operation, work))
        self._tasks[operation.id] = task
        task.add_done_callback(partial(self._disown, operation.id))

    def _disown(self, id: str, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(id) is task:
            del self._tasks[id]

    async def _guard(self, operation: Operation, work: Callable[[Operation], Awaitable[None]]) -> None:
        """Does the work, again from what is written down for as long as the store is out of order."""
        while True:
            try:
                await work(await self._fresh(operation))
                return
            except DownloadError as error:
                log.error("import_delayed", operation=operation.id, error=error.code, detail=error.detail)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("import_broke", operation=operation.id)
                await self._fail(operation, ImportRefusedError("the server made a mistake; its log has the details"))
                return

    def _now(self) -> int:
        return int(self._clock.wall() * 1000)

    def _new_download_id(self) -> str:
        return new_id(self._clock.wall(), getrandbits(74))


class Found:
    """Judges what an importer finds, and counts; `top` is the directory of the import."""

    def __init__(self, top: str) -> None:
        self.messages = 0
        self.skipped = 0
        self.without_channel = False
        self.abandoned = False
        """Nobody wants to know any more; set from elsewhere, for a reader cannot be cancelled."""
        self._top = top
        self._entities = 0
        self._of_entities = 0

    def judge(self, items: Iterator[Item]) -> Iterator[Person | Channel | FileLink]:
        """What of the items is to be written down.

        Raises:
            ImportRefusedError: the file says too much, or too little of it can be taken.
        """
        for item in items:
            if self.abandoned:
                return
            match item:
                case Messages(count=count):
                    self.messages += count
                case Skipped(reason=reason):
                    self._skip(reason)
                case _ if weight_of(item) > LARGEST_ENTRY:
                    self._skip(f"an entry that is longer than {LARGEST_ENTRY >> 10} KiB")
                case FileLink():
                    link = self._judge_link(item)
                    if link is not None:
                        yield link
                case _:
                    self._count(item)
                    yield item

    def _judge_link(self, link: FileLink) -> FileLink | None:
        if link.channel_id:
            return link
        try:
            parse_directory(f"{self._top}/{link.directory}")
            if link.name:
                parse_filename(link.name)
            if link.checksum is not None:
                parse_checksum(link.checksum)
        except DownloadError as error:
            # The sentence repeats what is wrong, and a whole URL may have got there.
            shown = all(show_url(text) == text for text in (link.directory, link.name, link.checksum or ""))
            self._skip(error.detail if shown else "a directory, name or checksum that holds a secret")
            return None
        self.without_channel = True
        return replace(link, channel_id=FILES)

    def _count(self, entity: Person | Channel) -> None:
        self._entities += 1
        self._of_entities += weight_of(entity)
        if self._entities > MOST_ENTITIES or self._of_entities > MOST_OF_ENTITIES:
            raise ImportRefusedError(
                f"the file names more than {MOST_ENTITIES} users and channels, or says too much of them",
                RefusalCode.FILE_TOO_LARGE,
            )

    def _skip(self, reason: str) -> None:
        self.skipped += 1
        if self.skipped > MOST_SKIPPED:
            raise ImportRefusedError(
                f"more than {MOST_SKIPPED} entries of the file cannot be taken", RefusalCode.FILE_TOO_LARGE
            )
        # A file can be made of nothing else; the operation tells how many there were.
        if self.skipped <= SKIPPED_LOGGED:
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


def kept_name(ts: int, user: str, name: str) -> str:
    """The name that Rocket.Chat would keep an upload under, as in the seed's example: month from 0, nothing padded."""
    at = datetime.fromtimestamp(ts / 1000, UTC)
    stamp = f"{at.year}{at.month - 1}{at.day}{at.hour}{at.minute}{at.second}"
    return f"{stamp}_{user}_{visible_text(name).replace('/', '_')}"


def _manifest_entry(file: PendingFile) -> ManifestEntry:
    link = file.link
    algorithm, _, digest = (file.saved_checksum or "").partition("=")
    return ManifestEntry(
        file_id=link.file_id,
        channel=file.channel,
        user=link.user,
        message_time=link.time,
        url=show_url(link.url),
        path=file.path,
        size=file.saved_size,
        sha256=digest if algorithm == "sha-256" else None,
        status=file.status,
        error=file.error,
    )


async def as_fetched(pieces: AsyncIterator[bytes], download: Download) -> AsyncIterator[bytes]:
    """The file of a download, piece by piece, when it is what was fetched, as far as length and checksum tell.

    Raises:
        ImportRefusedError: at its end, because something else lies under its name by now; or it cannot be read.
    """
    wanted = download.result.checksum
    hashed = wanted is not None and algorithm_of(wanted) == KEPT_ALGORITHM
    digest, size = hashlib.sha256(), 0
    try:
        async for piece in pieces:
            size += len(piece)
            if hashed:
                await asyncio.to_thread(digest.update, piece)
            yield piece
    except DownloadError as error:
        raise ImportRefusedError(f"the file that was fetched cannot be read: {error.detail}") from error
    if size != download.progress.received or (hashed and format_checksum(KEPT_ALGORITHM, digest.hexdigest()) != wanted):
        raise ImportRefusedError("another file lies in the place of the one that was fetched")


def weight_of(item: Person | Channel | FileLink) -> int:
    """About how many bytes of memory the texts of an entry take."""
    texts = [text for text in msgspec.structs.astuple(item) if isinstance(text, str)]
    if isinstance(item, FileLink):
        texts += item.mirrors
    # One character beyond the basic plane makes all of a text take four bytes each.
    return sum(len(text) if text.isascii() else 4 * len(text) for text in texts)


def _chunk(items: Iterator[Person | Channel | FileLink]) -> list[Person | Channel | FileLink]:
    chunk, weight = [], 0
    for item in items:
        chunk.append(item)
        weight += weight_of(item)
        if len(chunk) >= CHUNK or weight >= LARGEST_CHUNK:
            break
    return chunk


def _status_of(item: Person | Channel | FileLink) -> Status:
    match item:
        case Person():
            return Status.PREPARING_USERS
        case Channel():
            return Status.PREPARING_CHANNELS
        case FileLink():
            return Status.PREPARING_MESSAGES


def _code(operation: Operation) -> RefusalCode:
    try:
        return RefusalCode(operation.error_code or "")
    except ValueError:
        return RefusalCode.INVALID_FILE
