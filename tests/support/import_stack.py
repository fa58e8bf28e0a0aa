"""Import service with real records, storage and uploads, over downloads that a test finishes itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from support.clocks import ManualClock
from support.downloads import make_download, with_fields
from support.waiting import CONDITION_TIMEOUT

from downloadd.config import ImportsConfig
from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.errors import InvalidStateError, NotFoundError
from downloadd.events import EventBus
from downloadd.import_operation import Driver, ImportOperation, ImportState
from downloadd.imports.downloads import Downloads
from downloadd.imports.local_uploads import LocalUploads
from downloadd.imports.operations import Operations
from downloadd.imports.reader_thread import ReaderThread
from downloadd.imports.service import ImportService
from downloadd.manager.protocol import StartResult
from downloadd.policy.directories import DirectoryRules
from downloadd.records.hints import NoHints
from downloadd.records.import_protocol import ImportRecords
from downloadd.records.sqlite import SqliteRecords
from downloadd.rights import Rights
from downloadd.states import FINISHED, State
from downloadd.storage.destination import Destination, PartEntry
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_part_name
from downloadd.users import Permission, User

DIRECTORY = "Imports"
ROOT = "/srv/files"
"""Storage root, as absolute paths in lists name it."""
USER = User(id="ann", permissions=frozenset(Permission))


class FakeDownloads:
    """Downloads that are recorded and stay queued until a test finishes them.

    Attributes:
        requests: every accepted request.
        refused: True to refuse all requests.
        auto_complete: True to complete each download at once.
    """

    def __init__(self, records: SqliteRecords) -> None:
        self.requests: list[DownloadRequest] = []
        self.refused = False
        self.auto_complete = False
        self._records = records
        self._changed = asyncio.Condition()

    async def start(
        self, requests: Sequence[DownloadRequest], *, user: str, driver: Driver | None = None
    ) -> StartResult:
        state = State.FAILED if self.refused else State.COMPLETED if self.auto_complete else State.QUEUED
        downloads = [_download(request, user, state) for request in requests]
        await self._records.accept(downloads, driver=driver)
        self.requests += requests
        return StartResult(downloads=downloads)

    async def wait(self, id: str, seconds: float) -> Download:
        async with self._changed:
            while (download := await self._records.get(id)) is not None and download.state not in FINISHED:
                await self._changed.wait()
        assert download is not None
        return download

    async def cancel(self, id: str) -> Download:
        download = await self._records.get(id)
        if download is None:
            raise NotFoundError("no download has this id")
        if download.state in FINISHED:
            raise InvalidStateError("the download has finished")
        return await self.finish(id, State.CANCELLED)

    async def finish(self, id: str | None, state: State = State.COMPLETED, **fields: Any) -> Download:
        """Finish a download in `state`, with these fields."""
        amended = await self._records.amend(id or "", lambda row: with_fields(row, state=state, end_time=1, **fields))
        assert amended is not None
        async with self._changed:
            self._changed.notify_all()
        return amended[1]


def _download(request: DownloadRequest, user: str, state: State) -> Download:
    return make_download(
        id=request.id,
        user=user,
        url=request.url,
        redacted_url=request.url,
        origin="http://h",
        directory=request.directory,
        timeout=0,
        start_time=0,
        filename=request.filename or request.url.rpartition("/")[2],
        state=state,
        operation=request.operation,
    )


class ImportStack:
    """Components of an import service.

    Attributes:
        states: states of every operation, in the order of the changes.
        rights: the checks of what users may do.
    """

    def __init__(self, records: SqliteRecords, destination: LocalDestination, folder: Path) -> None:
        self.database = records
        self.records: ImportRecords = records.imports
        self.destination = destination
        self.root = folder / "files"
        self.downloads = FakeDownloads(records)
        self.bus = EventBus()
        self.clock = ManualClock()
        self.states: list[ImportState] = []
        self.rights = Rights(directories=DirectoryRules(), is_enabled=True)
        self.uploads = LocalUploads(folder / "uploads", max_upload=1 << 20, min_free=0, clock=self.clock)
        self.reader_thread = ReaderThread()
        self.upload_folder = folder / "uploads"
        self.operations = Operations(
            records=self.records.operations,
            uploads=self.uploads,
            bus=self.bus,
            clock=self.clock,
            on_state_change=self._record_state,
            hints=NoHints(),
        )

    def make_service(self, downloads: Downloads | None = None) -> ImportService:
        """Return a service that is not open."""
        return ImportService(
            records=self.records,
            downloads=downloads or self.downloads,
            destination=self.destination,
            uploads=self.uploads,
            bus=self.bus,
            clock=self.clock,
            config=ImportsConfig(directory=DIRECTORY),
            rights=self.rights,
            root=ROOT,
            on_state_change=self._record_state,
        )

    def stored(self) -> list[str]:
        """Return the names of the stored uploads."""
        return sorted(path.name for path in self.upload_folder.iterdir())

    def _record_state(self, operation: ImportOperation) -> None:
        self.states.append(operation.state)


@asynccontextmanager
async def open_import_stack(folder: Path) -> AsyncIterator[ImportStack]:
    """Open the records, the storage and the uploads in a directory."""
    async with (
        SqliteRecords(folder / "state", ManualClock()) as records,
        LocalDestination(folder / "files", min_free=0, fsync=False) as destination,
    ):
        stack = ImportStack(records, destination, folder)
        await stack.uploads.open()
        try:
            yield stack
        finally:
            stack.reader_thread.close()


async def content(*pieces: bytes) -> AsyncIterator[bytes]:
    """Yield the pieces of an upload."""
    for piece in pieces:
        yield piece


async def wait_for_state(stack: ImportStack, id: str, *states: ImportState) -> ImportOperation:
    """Return the operation once it is in one of the states."""
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while (operation := await stack.records.operations.get(id)) is None or operation.state not in states:
            await asyncio.sleep(0.01)
    return operation


class _OtherProcess:
    """Destination that knows of no open part."""

    def __init__(self, destination: LocalDestination, root: Path) -> None:
        self._destination = destination
        self._root = root

    async def list_parts(self) -> AsyncIterator[Sequence[PartEntry]]:
        found = []
        for path in sorted(self._root.rglob("*.part")):
            parsed = parse_part_name(path.name)
            assert parsed is not None
            directory = path.parent.relative_to(self._root).as_posix()
            found.append(PartEntry(directory=directory, name=path.name, download_id=parsed[0], epoch=parsed[1]))
        yield found

    async def remove_part(self, *, directory: str, name: str) -> None:
        await self._destination.remove_part(directory=directory, name=name)


def other_process(stack: ImportStack) -> Destination:
    """Return the storage as another process sees it, for its sweep of part files."""
    return cast(Destination, _OtherProcess(stack.destination, stack.root))
