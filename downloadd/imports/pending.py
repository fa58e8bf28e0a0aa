"""Downloads of pending files.

The outcome of each file is read from the records, which hold the downloads too. So no notification can be lost, and
after a crash a run continues from the records.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from downloadd.download_request import DownloadRequest
from downloadd.import_operation import PENDING_KINDS, FileCounts, ImportOperation, ImportState, PendingFile
from downloadd.imports.downloads import Downloads, cancel_if_active
from downloadd.imports.layout import format_import_directory, resolve_destination
from downloadd.imports.manifest import ManifestWriter
from downloadd.imports.operations import Operations
from downloadd.media_types import ANY_FILE, HTML_TYPES, parse_media_type
from downloadd.records.availability import once_available
from downloadd.records.import_protocol import MAX_CHUNK_ROWS, ImportFileRecords

MIN_POLL_SECONDS: Final = 0.1
MAX_POLL_SECONDS: Final = 1.0
"""Seconds between two queries for the outcomes of the files; the more files, the longer."""
MAX_FILES_POLLED_PER_SECOND: Final = 5_000
"""Files that the queries may read in a second."""
MAX_BATCH_FILES: Final = 2_000
"""Files that are started as downloads at once."""
MAX_ACTIVE_FILES: Final = 8_000
"""Active downloads of one operation, so that it does not fill the queue."""


class PendingDownloads:
    """Operations that download pending files: runs."""

    def __init__(
        self,
        *,
        operations: Operations,
        records: ImportFileRecords,
        downloads: Downloads,
        manifests: ManifestWriter,
        directory: str,
    ) -> None:
        """Take the components, and the directory of all imports."""
        self._operations = operations
        self._records = records
        self._downloads = downloads
        self._manifests = manifests
        self._directory = directory

    async def create(self, kind: str, *, user: str) -> ImportOperation:
        """Create a run of one of `PENDING_KINDS` with the user's pending files, except those of another run.

        Raises:
            StoreUnavailableError: the records are unavailable; no file is assigned.
        """
        async with self._operations.lock:
            run = self._operations.new(kind, user, ImportState.DOWNLOADING)
            await self._records.apply_outcomes()
            count = await self._records.reserve(run.id, user, PENDING_KINDS[kind])
            run = replace(run, file_counts=FileCounts(total=count))
            if not count:
                run = replace(run, state=ImportState.DONE)
            await once_available(partial(self._operations.create, run))
        return run

    async def download(self, run: ImportOperation) -> None:
        """Download the files of a run, as many at once as the limit allows, and return when all have finished."""
        # Before any file has its name, so that no file gets that of the manifest.
        await self._manifests.write_all(run)
        while lost := await self._records.without_download(run.id, MAX_BATCH_FILES):
            await self._start_downloads(run, lost)
        while True:
            run = await self._update_counts(run)
            if run.file_counts.is_finished:
                break
            if not await self._start_next(run):
                await asyncio.sleep(poll_seconds(run.file_counts.total))
        await self._manifests.write_all(run)
        await self._operations.advance_once_available(run, ImportState.DONE)

    async def release(self, id: str) -> None:
        """Make the files pending again that a run has not started.

        Raises:
            StoreUnavailableError: the records are unavailable; nothing was changed.
        """
        await self._records.release(id)

    async def cancel(self, run: ImportOperation) -> ImportOperation:
        """Cancel the downloads of a run; safe to repeat.

        Raises:
            StoreUnavailableError: the records are unavailable; some downloads may be cancelled.
        """
        await self._records.release(run.id)
        async for file in self._files(run.id):
            if file.download_id is not None and file.status not in {"completed", "pending"}:
                await cancel_if_active(self._downloads, file.download_id)
        await self._records.apply_outcomes()
        run = await self.with_counts(run)
        await self._manifests.write_all(run)
        return run

    async def with_counts(self, run: ImportOperation) -> ImportOperation:
        """Return the run with the numbers of its files at the moment."""
        return replace(run, file_counts=await self._records.count(run.id))

    async def _update_counts(self, run: ImportOperation) -> ImportOperation:
        counted = await self.with_counts(run)
        await self._records.apply_outcomes()
        if counted != run:
            self._operations.publish(counted)
        return counted

    async def _start_next(self, run: ImportOperation) -> bool:
        """Start the next files if the limit allows; return True if some were started."""
        if await self._records.count_downloading(run.id) > MAX_ACTIVE_FILES - MAX_BATCH_FILES:
            return False
        files = await self._records.claim(run.id, MAX_BATCH_FILES, self._operations.new_download_id)
        if files:
            await self._start_downloads(run, files)
        return bool(files)

    async def _start_downloads(self, run: ImportOperation, files: Sequence[PendingFile]) -> None:
        requests = [self._make_request(run, file) for file in files]
        await self._downloads.start(requests, user=run.user)

    def _make_request(self, run: ImportOperation, file: PendingFile) -> DownloadRequest:
        link = file.link
        directory, name = resolve_destination(file, PENDING_KINDS[run.kind])
        top = format_import_directory(self._directory, file.import_started_at, file.import_name)
        return DownloadRequest(
            url=link.url,
            mirrors=link.mirrors,
            directory=f"{top}/{directory}",
            filename=name,
            checksum=link.checksum,
            size=link.size,
            type=expected_type(link.content_type),
            timeout=0,
            operation=run.id,
            id=file.download_id,
        )

    async def _files(self, run: str) -> AsyncIterator[PendingFile]:
        after = 0
        while chunk := await self._records.of_run(run, after, MAX_CHUNK_ROWS):
            for file in chunk:
                yield file
            after = chunk[-1].number


def expected_type(content_type: str | None) -> str | None:
    """Return the type that a download must have if an import file states this one; None for any.

    Services guess the type of a file by its name, so that only a web page is known to be something else.
    """
    return None if content_type is None or parse_media_type(content_type) in HTML_TYPES else ANY_FILE


def poll_seconds(files: int) -> float:
    """Return the seconds between two queries for the outcomes of so many files."""
    return min(MAX_POLL_SECONDS, max(MIN_POLL_SECONDS, files / MAX_FILES_POLLED_PER_SECOND))
