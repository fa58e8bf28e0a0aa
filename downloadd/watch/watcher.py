"""Watcher of one folder: takes its files one after the other, and writes the result of each.

The progress of a file is on the disk, and that of its operations in the records. So each step may be repeated after a
crash: an import whose id was not written has selected nothing, and runs that were created are found by their import.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.config import WatchConfig
from downloadd.errors import DownloadError, NotFoundError
from downloadd.import_operation import (
    FINISHED_STATES,
    PENDING_AVATARS,
    PENDING_FILES,
    ImportOperation,
    ImportState,
    PendingRequest,
    Selection,
)
from downloadd.imports.importers import guess_importer
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.selection import FileData
from downloadd.users import Permission, User
from downloadd.watch.candidates import Observation, observe, settled
from downloadd.watch.folder import FolderInUseError, WatchFolder
from downloadd.watch.import_directories import ImportDirectories
from downloadd.watch.outcome import FileProgress, FileResult, refused, result_of_runs

log = structlog.get_logger()

MAX_POLL_SECONDS: Final = 1.0
"""Seconds between two reads of the folder."""
MIN_POLL_SECONDS: Final = 0.05
"""Seconds between two reads of the state of an import that is being read."""
RETRY_SECONDS: Final = 2.0
"""Seconds after a failure of the folder, the storage or the records."""
MAX_TAKEN_FILES: Final = 16
"""Files of a folder that are imported at the same time."""
CHUNK_BYTES: Final = 1 << 20
HEAD_BYTES: Final = 4096
"""First bytes of a file, by which its importer is recognized."""


class Imports(Protocol):
    """The calls of the import service that a watcher makes."""

    async def upload(
        self, importer_key: str, pieces: AsyncIterator[bytes], *, user: User, name: str, content_type: str | None
    ) -> ImportOperation:
        """Store an import file."""
        ...

    async def file_data(self, user: User) -> FileData | None:
        """Read the content of the user's current file; None while it is being read."""
        ...

    async def start(self, selection: Selection, *, user: User) -> ImportOperation:
        """Make the files of a selection pending."""
        ...

    async def download_pending(self, request: PendingRequest, *, user: User) -> int:
        """Download pending files."""
        ...

    async def current(self, user: User) -> ImportOperation | None:
        """Return the user's newest operation."""
        ...

    async def get(self, id: str, *, user: User) -> ImportOperation:
        """Return an operation of the user."""
        ...


class Watcher:
    """Watcher that runs from its construction until `stop`.

    A failure of the folder, the storage or the records delays it, and nothing else.
    """

    def __init__(self, config: WatchConfig, *, imports: Imports, directories: ImportDirectories, clock: Clock) -> None:
        """Start the watcher; `directories` are shared by all watchers."""
        self._config = config
        self._imports = imports
        self._directories = directories
        self._clock = clock
        self._user = User(id=config.user, permissions=frozenset({Permission.RUN_IMPORT, Permission.DOWNLOAD}))
        self._observations: dict[str, Observation] = {}
        self._failure = ""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name=f"watch {config.path}")

    async def stop(self) -> None:
        """Stop; the next start continues with the files that were taken."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                await self._use_folder()
            except FolderInUseError as error:
                self._report("watch_folder_in_use", str(error.strerror))
            except OSError as error:
                self._report("watch_folder_unavailable", error.strerror or str(error))
            except DownloadError as error:
                self._report("watch_delayed", error.detail)
            except Exception:
                log.exception("watch_failed", path=self._config.path)
            await asyncio.sleep(RETRY_SECONDS)

    def _report(self, event: str, reason: str) -> None:
        """Log a failure once, until it changes or is over."""
        if self._failure != f"{event} {reason}":
            self._failure = f"{event} {reason}"
            log.warning(event, path=self._config.path, reason=reason)

    def _report_success(self) -> None:
        if self._failure:
            self._failure = ""
            log.warning("watch_resumed", path=self._config.path)

    async def _use_folder(self) -> None:
        """Take and import files until the folder is another one."""
        folder = WatchFolder(Path(self._config.path))
        await asyncio.to_thread(folder.__enter__)
        try:
            while await asyncio.to_thread(folder.is_same):
                await self._pass(folder)
                self._report_success()
                await asyncio.sleep(min(MAX_POLL_SECONDS, self._config.settle / 2 or MIN_POLL_SECONDS))
        finally:
            await asyncio.to_thread(folder.__exit__, None, None, None)

    async def _pass(self, folder: WatchFolder) -> None:
        """Continue the files that were taken, then take those that are complete."""
        taken = 0
        for name in await asyncio.to_thread(folder.processing):
            taken += not await self._advance(folder, name)
        now = self._clock.monotonic()
        self._observations = observe(self._observations, await asyncio.to_thread(folder.scan), now=now)
        ready = settled(self._observations, now=now, seconds=self._config.settle)
        refusal: PermissionError | None = None
        for name in ready[: max(0, MAX_TAKEN_FILES - taken)]:
            try:
                taken_name = await asyncio.to_thread(folder.take, name)
            except FileNotFoundError:
                # It was removed or renamed since the scan.
                continue
            except PermissionError as error:
                # In a directory with the sticky bit, only the owner of a file may rename it. The others are taken.
                refusal = PermissionError(error.errno, f"{name} cannot be moved: {error.strerror}")
                continue
            log.info("watched_file_taken", path=self._config.path, name=taken_name)
            await self._advance(folder, taken_name)
        if refusal is not None:
            raise refusal

    async def _advance(self, folder: WatchFolder, name: str) -> bool:
        """Do what can be done for a file that was taken; return True if it has its result."""
        progress = await asyncio.to_thread(folder.read_progress, name)
        try:
            if not progress.operation:
                progress = replace(progress, operation=await self._store(folder, name))
                await asyncio.to_thread(folder.write_progress, name, progress)
            if not progress.is_started:
                await self._select(progress.operation)
                progress = replace(progress, runs=await self._start_runs(progress.operation), is_started=True)
                await asyncio.to_thread(folder.write_progress, name, progress)
            result = await self._find_result(name, progress)
        except ImportRefusedError as error:
            result = refused(name, error.message, operation=progress.operation or None, now=self._clock.wall())
        except NotFoundError:
            # The records do not know the operation any more: the file is imported again.
            await asyncio.to_thread(folder.write_progress, name, FileProgress())
            return False
        if result is None:
            return False
        await asyncio.to_thread(folder.settle, name, result)
        log.info(
            "watched_file_settled",
            path=self._config.path,
            name=name,
            outcome=result.outcome,
            operation=result.operation,
            reason=result.reason,
        )
        return True

    async def _store(self, folder: WatchFolder, name: str) -> str:
        """Upload a file; return the id of its import.

        Raises:
            ImportRefusedError: no importer can read it, the daemon may not read it, or it is too large.
        """
        try:
            file = await asyncio.to_thread(folder.open_taken, name)
        except PermissionError as error:
            raise ImportRefusedError("the user of the daemon has no permission to read the file") from error
        try:
            key = self._config.importer or await _recognize(file, name)
            async with self._directories.reserve(name):
                operation = await self._imports.upload(
                    key, _read_pieces(file), user=self._user, name=name, content_type=None
                )
        finally:
            await asyncio.to_thread(file.close)
        return operation.id

    async def _select(self, operation: str) -> None:
        """Read an import and make all of its files pending; one that is done stays as it is.

        Raises:
            ImportRefusedError: the file cannot be read, or the import was ended.
        """
        while (found := await self._imports.get(operation, user=self._user)).state is not ImportState.DONE:
            if found.state in FINISHED_STATES:
                raise ImportRefusedError(found.reason or f"the import was {found.state}")
            if found.state is ImportState.SELECTING or await self._imports.file_data(self._user) is not None:
                await self._imports.start(Selection(users=None, channels=None), user=self._user)
            else:
                await asyncio.sleep(MIN_POLL_SECONDS)

    async def _start_runs(self, operation: str) -> tuple[str, ...]:
        """Download the files of an import; return the ids of the operations that do."""
        runs: list[str] = []
        for kind in (PENDING_FILES, PENDING_AVATARS) if self._config.avatars else (PENDING_FILES,):
            run = await self._find_run(operation, kind)
            if run is None:
                await self._imports.download_pending(PendingRequest(kind=kind, operation=operation), user=self._user)
                run = await self._find_run(operation, kind)
            if run is not None:
                runs.append(run)
        return tuple(runs)

    async def _find_run(self, operation: str, kind: str) -> str | None:
        """Return the id of the user's newest operation if it downloads files of the import; None if it does not."""
        current = await self._imports.current(self._user)
        is_run = current is not None and current.kind == kind and operation in current.sources
        return current.id if current is not None and is_run else None

    async def _find_result(self, name: str, progress: FileProgress) -> FileResult | None:
        """Return the result of a file; None while one of its runs has not finished."""
        get = partial(self._imports.get, user=self._user)
        runs = [await get(id) for id in progress.runs]
        if not all(run.state in FINISHED_STATES for run in runs):
            return None
        operation = await get(progress.operation)
        directory = self._directories.find(operation)
        return result_of_runs(name, operation, runs, directory=directory, now=self._clock.wall())


async def _recognize(file: BinaryIO, name: str) -> str:
    """Return the key of the importer for a file, which is left at its start.

    Raises:
        ImportRefusedError: no importer can read it.
    """
    head = await asyncio.to_thread(file.read, HEAD_BYTES)
    await asyncio.to_thread(file.seek, 0)
    importer = guess_importer(name, head)
    if importer is None:
        raise ImportRefusedError(
            "no importer can read the file; set `importer` of the watch folder if you know its kind"
        )
    return importer.key


async def _read_pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield piece
