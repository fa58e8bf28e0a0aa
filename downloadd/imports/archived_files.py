"""Files that the archive of an import contains: they are taken from it, without a download.

The outcome of each file is recorded in its row. Its path is recorded before the file has its name, so that after a
crash a file that is in place is recognized by its content and not saved twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import structlog
from msgspec.structs import replace

from downloadd.download import Conflict
from downloadd.errors import (
    DownloadError,
    ErrorCode,
    FileTooLargeError,
    StorageError,
    StoreUnavailableError,
    UnexpectedContentError,
)
from downloadd.import_operation import PENDING_KINDS, FileStatus, ImportOperation, PendingFile
from downloadd.import_part import part_id_of
from downloadd.imports.archive_entries import ArchiveEntries
from downloadd.imports.archives import open_archive
from downloadd.imports.layout import format_import_directory, resolve_destination
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.uploads import Uploads
from downloadd.records.import_protocol import ImportFileRecords
from downloadd.storage.destination import Destination, Part
from downloadd.storage.names import SafeName, parse_filename
from downloadd.storage.saved_content import is_saved
from downloadd.verify import DEFAULT_ALGORITHM, format_checksum

log = structlog.get_logger()

_ARCHIVE_HINT: Final = "make the export again, and import it"


class ArchivedFiles:
    """Files of import archives."""

    def __init__(
        self,
        *,
        records: ImportFileRecords,
        uploads: Uploads,
        destination: Destination,
        directory: str,
        max_size: int = 0,
    ) -> None:
        """Take the components, the directory of all imports, and the bytes of the largest file; 0 for no limit."""
        self._max_size = max_size
        self._records = records
        self._uploads = uploads
        self._destination = destination
        self._directory = directory

    async def save(
        self, run: ImportOperation, files: Sequence[PendingFile], *, on_saved: Callable[[], Awaitable[None]]
    ) -> None:
        """Save claimed files of a run, and record the outcome of each.

        Raises:
            ImportFencedError: another driver has taken over the run.
            StoreUnavailableError: the records are unavailable; the files that are left can be saved later.
        """
        by_import = sorted(files, key=lambda file: file.import_id)
        for id, group in groupby(by_import, key=lambda file: file.import_id):
            left = list(group)
            try:
                async with _opened(self._uploads.path(id)) as archive:
                    left.sort(key=lambda file: archive.position(file.link.member), reverse=True)
                    while left:
                        await self._records.settle(run.driver, await self._save(run, archive, left[-1]))
                        left.pop()
                        await on_saved()
            except (ImportRefusedError, OSError) as error:
                log.warning("import_archive_unreadable", operation=id, error=str(error))
                reason = error.strerror if isinstance(error, OSError) else error
                detail = f"the archive of the import cannot be read: {reason}; {_ARCHIVE_HINT}"
                for file in left:
                    await self._records.settle(run.driver, _failed(file, ErrorCode.UNEXPECTED_CONTENT, detail))

    async def remove_unneeded(self, imports: Iterable[str]) -> None:
        """Delete the archives from which no file must be taken any more; on failure they stay for the next time."""
        for id in imports:
            try:
                if not await self._records.needs_archive(id, found=False):
                    await self._uploads.remove(id)
            except DownloadError as error:
                log.info("import_archive_kept", operation=id, error=error.code)

    async def _save(self, run: ImportOperation, archive: ArchiveEntries[Any], file: PendingFile) -> PendingFile:
        """Return the file with its outcome."""
        try:
            return await self._publish(run, archive, file)
        except StoreUnavailableError:
            raise
        except DownloadError as error:
            log.warning("archived_file_failed", operation=file.import_id, error=error.code, detail=error.detail)
            return _failed(file, error.code, error.detail)

    async def _publish(self, run: ImportOperation, archive: ArchiveEntries[Any], file: PendingFile) -> PendingFile:
        folder, given = resolve_destination(file, PENDING_KINDS[run.kind])
        top = format_import_directory(self._directory, file.import_started_at, file.import_name)
        directory, name = f"{top}/{folder}", parse_filename(given or file.link.member.rpartition("/")[2])
        # The sweep leaves the part of a run alone while its epoch is the last one.
        part = await self._destination.open_part(
            directory=directory, filename=name, download_id=part_id_of(run.id), epoch=run.epoch, existing=None
        )
        try:
            checksum = await self._copy(archive, file, part)
            saved = replace(
                file,
                status=FileStatus.COMPLETED,
                saved_size=part.size,
                saved_checksum=checksum,
                error=None,
                error_detail=None,
            )
            if file.path is not None and await self._is_saved(file.path, checksum):
                return saved
            return replace(saved, path=await self._publish_as(run, part, file, directory, name))
        finally:
            await part.remove()

    async def _copy(self, archive: ArchiveEntries[Any], file: PendingFile, part: Part) -> str:
        """Write the content to the part file, and return its checksum."""
        part.hash_while_writing((DEFAULT_ALGORITHM,))
        pieces = archive.pieces(file.link.member)
        try:
            size = archive.size(file.link.member)
            if self._max_size and size > self._max_size:
                raise FileTooLargeError(self._max_size)
            await part.reserve(size, missing=size)
            while piece := await asyncio.to_thread(next, pieces, b""):
                await part.write([piece], part.size)
        except (ImportRefusedError, KeyError) as error:
            problem = f"the file in the archive cannot be read: {error}"
            raise UnexpectedContentError(problem, hint=_ARCHIVE_HINT) from error
        await part.sync()
        return format_checksum(DEFAULT_ALGORITHM, await part.digest(DEFAULT_ALGORITHM))

    async def _publish_as(
        self, run: ImportOperation, part: Part, file: PendingFile, directory: str, name: SafeName
    ) -> str:
        """Give the part file its name or a free one like it, and return its path."""
        path = f"{directory}/{name}"
        await self._records.place(run.driver, file, path)
        if await part.publish(name, replace=False, last_modified=_last_modified(file)):
            return path
        while True:
            free = await self._destination.reserve_name(directory=directory, filename=name, conflict=Conflict.RENAME)
            if free is None:
                raise StorageError(f"no name like {name} is free")
            try:
                path = f"{directory}/{free}"
                await self._records.place(run.driver, file, path)
                if await part.publish(free, replace=False, last_modified=_last_modified(file)):
                    return path
            finally:
                self._destination.release_name(directory=directory, filename=free)

    async def _is_saved(self, path: str, checksum: str) -> bool:
        """Return True if the file at a path, which an interrupted run was about to create, has this checksum."""
        directory, _, name = path.rpartition("/")
        return await is_saved(self._destination, directory=directory, filename=parse_filename(name), checksum=checksum)


@asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[ArchiveEntries[Any]]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        archive = await asyncio.to_thread(open_archive, file)
        try:
            yield archive
        finally:
            archive.close()
    finally:
        file.close()


def _failed(file: PendingFile, error: ErrorCode, detail: str) -> PendingFile:
    return replace(file, status=FileStatus.FAILED, error=error, error_detail=detail)


def _last_modified(file: PendingFile) -> int | None:
    return None if file.link.time is None else int(file.link.time)
