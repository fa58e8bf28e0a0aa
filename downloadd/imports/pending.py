"""Downloads of pending files.

The outcome of each file is read from the records, which hold the downloads too. So no notification can be lost, and
after a crash a run continues from the records.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download_request import DownloadRequest, make_download_request
from downloadd.import_operation import (
    PENDING_KINDS,
    FileParameters,
    FileStatus,
    ImportOperation,
    ImportState,
    PendingFile,
    PendingRequest,
)
from downloadd.imports.archived_files import ArchivedFiles
from downloadd.imports.checksum_lists import ChecksumLists
from downloadd.imports.downloads import Downloads, cancel_if_active
from downloadd.imports.layout import format_import_directory, resolve_destination
from downloadd.imports.manifest import ManifestWriter
from downloadd.imports.operations import Operations
from downloadd.media_types import ANY_FILE, HTML_TYPES, parse_media_type
from downloadd.records.availability import once_available
from downloadd.records.import_protocol import MAX_CHUNK_ROWS, ImportFencedError, ImportRecords
from downloadd.states import FINISHED

MIN_POLL_SECONDS: Final = 0.1
MAX_POLL_SECONDS: Final = 1.0
"""Seconds between two queries for the outcomes of the files; the more files, the longer."""
MAX_FILES_POLLED_PER_SECOND: Final = 5_000
"""Files that the queries may read in a second."""
MAX_BATCH_FILES: Final = 2_000
"""Files that are started as downloads at once."""
MAX_ACTIVE_FILES: Final = 8_000
"""Active downloads of one operation, so that it does not fill the queue."""
_ENDED: Final = frozenset({*FINISHED, FileStatus.GIVEN_UP})


class PendingDownloads:
    """Operations that download pending files: runs."""

    def __init__(
        self,
        *,
        operations: Operations,
        records: ImportRecords,
        downloads: Downloads,
        archives: ArchivedFiles,
        checksum_lists: ChecksumLists,
        manifests: ManifestWriter,
        clock: Clock,
        directory: str,
    ) -> None:
        """Take the components, and the directory of all imports."""
        self._clock = clock
        self._operations = operations
        self._records = records.files
        self._contents = records.contents
        self._all_operations = records.operations
        self._downloads = downloads
        self._archives = archives
        self._checksum_lists = checksum_lists
        self._manifests = manifests
        self._directory = directory

    async def create(self, request: PendingRequest, *, user: str) -> ImportOperation:
        """Create a run with the user's pending files that a request names, except those of another run.

        Raises:
            StoreUnavailableError: the records are unavailable; no file is assigned.
        """
        async with self._operations.lock:
            run = self._operations.new(request.kind, user, ImportState.DOWNLOADING)
            run = replace(run, not_before=request.not_before)
            before = await self._all_operations.current(user)
            if before is not None and before.pending_kind is None and request.operation is None:
                # An import of which nothing is pending has skipped entries, too.
                run = replace(run, sources=(before.id,))
            await self._records.apply_outcomes()
            reserved = await self._records.reserve(run, request)
            run = reserved.run
            skipped = [await once_available(partial(self._count_skipped, id)) for id in run.sources]
            run = replace(run, skipped=sum(skipped))
            if not has_work(run):
                run = replace(run, state=ImportState.DONE)
            run = await once_available(partial(self._operations.update, run))
            await self._operations.discard_replaced(before)
        await self._update_runs(reserved.earlier_runs)
        return run

    async def download(self, run: ImportOperation) -> None:
        """Download the files of a run, as many at once as the limit allows, and return when all have finished.

        Raises:
            ImportFencedError: another driver has taken over the run.
        """
        # Before any file has its name, so that no file gets that of the manifest.
        await self._manifests.write_all(run)
        while lost := await self._records.without_download(run.id, MAX_BATCH_FILES):
            await self._start(run, lost)
        run = await self._download_checksum_lists(run)
        while True:
            run = await self._update_counts(run)
            if run.file_counts.is_finished:
                break
            if not await self._start_next(run):
                await asyncio.sleep(poll_seconds(run.file_counts.total))
        await self._manifests.write_all(run)
        await self._archives.remove_unneeded(run.sources)
        # A user may have retried a failed download meanwhile.
        await self._operations.advance_once_available(await self.with_counts(run), ImportState.DONE)

    async def cancel(self, run: ImportOperation) -> ImportOperation:
        """Cancel the downloads of a run; safe to repeat.

        Raises:
            StoreUnavailableError: the records are unavailable; some downloads may be cancelled.
        """
        await self._records.release(run.driver)
        # The former driver was stopped before it started their downloads, or is taking them from an archive.
        while lost := await self._records.without_download(run.id, MAX_BATCH_FILES):
            for file in lost:
                await self._records.settle(run.driver, replace(file, status=FileStatus.CANCELLED))
        async for file in self._files(run.id):
            if file.status not in _ENDED and file.download_id is not None:
                await cancel_if_active(self._downloads, file.download_id)
        await self._records.apply_outcomes()
        run = await self.with_counts(run)
        await self._manifests.write_all(run)
        return run

    async def give_up(self, operation: ImportOperation) -> int:
        """End the files of a finished import or run that are pending, failed or cancelled; return their number.

        The numbers of the runs that they belong to are updated.

        Raises:
            StoreUnavailableError: the records are unavailable; nothing was changed.
        """
        imports = operation.sources if operation.pending_kind is not None else (operation.id,)
        given_up = await self._records.give_up(imports, operation.pending_kind)
        await self._update_runs(given_up.runs)
        if given_up.count:
            await once_available(partial(self._manifests.write_all, operation))
            await self._archives.remove_unneeded(imports)
        return given_up.count

    async def with_counts(self, run: ImportOperation) -> ImportOperation:
        """Return the run with the numbers of its files at the moment."""
        return replace(run, file_counts=await self._records.count(run.id))

    async def _update_counts(self, run: ImportOperation) -> ImportOperation:
        await self._operations.require_driver(run)
        counted = await self.with_counts(run)
        await self._records.apply_outcomes()
        if counted != run:
            self._operations.publish(counted)
        return counted

    async def _update_runs(self, ids: Sequence[str]) -> None:
        """Count the files of finished runs again."""
        for id in ids:
            run = await once_available(partial(self._all_operations.get, id))
            if run is not None and run.state is not ImportState.DOWNLOADING:
                run = await once_available(partial(self.with_counts, run))
                # Another call that changes the run counts its files too.
                with suppress(ImportFencedError):
                    await once_available(partial(self._operations.update, run))

    async def _count_skipped(self, id: str) -> int:
        source = await self._all_operations.get(id)
        return 0 if source is None else source.skipped

    async def _download_checksum_lists(self, run: ImportOperation) -> ImportOperation:
        """Download the lists of checksums, and add the checksums to the files that they name.

        An earlier run may have downloaded the lists of the same imports. Returns the run with its number of skipped
        entries.
        """
        if not await self._records.has_lists(run.sources):
            return run
        while await self._records.count_lists(run.id):
            run = await self._update_counts(run)
            if not await self._start_next(run, lists_only=True):
                await asyncio.sleep(MIN_POLL_SECONDS)
        if not await self._checksum_lists.apply(run):
            return run
        for id in run.sources:
            source = await self._all_operations.get(id)
            if source is not None:
                skipped = await self._contents.count_skipped(id)
                await self._operations.update(replace(source, skipped=skipped), driver=run.driver)
        skipped = sum([await self._count_skipped(id) for id in run.sources])
        return await self._operations.update(replace(run, skipped=skipped))

    async def _start_next(self, run: ImportOperation, *, lists_only: bool = False) -> bool:
        """Start the next files if the limit allows; return True if some were started."""
        if await self._records.count_downloading(run.id) > MAX_ACTIVE_FILES - MAX_BATCH_FILES:
            return False
        files = await self._records.claim(
            run.driver, MAX_BATCH_FILES, self._operations.new_download_id, lists_only=lists_only
        )
        if files:
            await self._start(run, files)
        return bool(files)

    async def _start(self, run: ImportOperation, files: Sequence[PendingFile]) -> None:
        """Start the downloads of claimed files, then save those that their archives contain."""
        requests = [self._make_request(run, file) for file in files if not file.link.member]
        if requests:
            await self._downloads.start(requests, user=run.user, driver=run.driver)
        counted_at = self._clock.monotonic()

        async def on_saved() -> None:
            nonlocal counted_at
            if self._clock.monotonic() - counted_at >= MAX_POLL_SECONDS:
                await self._update_counts(run)
                counted_at = self._clock.monotonic()

        members = [file for file in files if file.link.member]
        await self._archives.save(run, members, on_saved=on_saved)

    def _make_request(self, run: ImportOperation, file: PendingFile) -> DownloadRequest:
        link = file.link
        directory, name = resolve_destination(file, PENDING_KINDS[run.kind])
        top = format_import_directory(self._directory, file.import_started_at, file.import_name)
        parameters = link.parameters or FileParameters()
        return make_download_request(
            parameters,
            not_before=run.not_before if parameters.not_before is None else parameters.not_before,
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
            # The earlier download of a file that is tried again has its gid, and so has that of another import.
            requires_gid=False,
            **({} if link.request_fields is None else link.request_fields.to_parameters()),
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


def has_work(run: ImportOperation) -> bool:
    """Return True if a new run has files, or skipped entries that its manifest lists."""
    return run.file_counts.total > 0 or run.skipped > 0


def poll_seconds(files: int) -> float:
    """Return the seconds between two queries for the outcomes of so many files."""
    return min(MAX_POLL_SECONDS, max(MIN_POLL_SECONDS, files / MAX_FILES_POLLED_PER_SECOND))
