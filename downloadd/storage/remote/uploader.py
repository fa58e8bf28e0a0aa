"""Upload of one staged file: by one request, or in parts that a later run or another node continues."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.errors import DownloadError, StorageAwayError
from downloadd.metrics import UploadMetrics, UploadOutcome
from downloadd.remote_upload import RemoteUpload, UploadedPart, UploadRecords
from downloadd.storage.remote.remote_storage import (
    CONCURRENT_PARTS,
    FoundFile,
    RemoteStorage,
    StagedFile,
    UploadMissingError,
)

log = structlog.get_logger()


class Uploader:
    """Uploads files to one storage."""

    def __init__(self, storage: RemoteStorage, records: UploadRecords, clock: Clock, metrics: UploadMetrics) -> None:
        self._storage = storage
        self._publisher = storage.publisher
        self._records = records
        self._clock = clock
        self._metrics = metrics

    async def send_parts(self, file: StagedFile) -> None:
        """Send all parts that the storage does not have; do nothing for a file that one request stores.

        Cancelled, the parts that were sent are recorded.

        Raises:
            DownloadError: the storage does not take them at the moment.
        """
        if not self._publisher.is_put(file.size):
            with suppress(_PublishedError), self._counting_failures():
                await self._send(file)

    async def publish(self, file: StagedFile, *, replace: bool) -> str | None:
        """Make the file appear, at once and complete.

        Returns:
            Its identity; None if the key is taken and may not be replaced.

        Raises:
            DownloadError: the storage does not take it at the moment; a later call goes on.
        """
        with self._counting_failures():
            identity = await self._publish(file, replace=replace)
        self._metrics.ended(UploadOutcome.TAKEN if identity is None else UploadOutcome.PUBLISHED)
        return identity

    async def _publish(self, file: StagedFile, *, replace: bool) -> str | None:
        if self._publisher.is_put(file.size):
            identity = await self._publisher.put(file, replace=replace)
            self._metrics.sent(file.size)
            file.report(file.size)
            return identity
        try:
            upload, parts = await self._send(file)
        except _PublishedError as published:
            return published.identity
        try:
            identity = await self._publisher.complete(file, upload, parts, replace=replace)
        except UploadMissingError as error:
            await self._records.remove(upload)
            raise _make_missing_error(file) from error
        if identity is None:
            await self._abandon(upload)
        elif self._publisher.keeps_owner:
            await self._records.remove(upload)
        return identity

    async def find_own(self, key: str, download_id: str) -> FoundFile | None:
        """Return the file of a key if a download has published it.

        Raises:
            DownloadError: the storage does not say.
        """
        recorded = None if self._publisher.keeps_owner else await self._records.find(download_id)
        return await self._storage.find_own(key, download_id=download_id, upload=recorded[0] if recorded else None)

    async def _send(self, file: StagedFile) -> tuple[RemoteUpload, Sequence[UploadedPart]]:
        """Return the upload of a file, all of whose parts are sent, with its parts in order."""
        upload, parts = await self._continue(file) or (await self._begin(file), {})
        file.report(sum(_size_of(upload, number) for number in parts))
        missing = iter([number for number in range(1, _count(upload) + 1) if number not in parts])
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(CONCURRENT_PARTS):
                    group.create_task(self._send_each(file, upload, missing, parts))
        except ExceptionGroup as errors:
            error = errors.exceptions[0]
            if isinstance(error, UploadMissingError):
                await self._records.remove(upload)
                error = _make_missing_error(file)
            raise error from None
        return upload, [parts[number] for number in sorted(parts)]

    async def _send_each(
        self, file: StagedFile, upload: RemoteUpload, missing: Iterator[int], parts: dict[int, UploadedPart]
    ) -> None:
        for number in missing:
            async with self._publisher.slots:
                content = await file.read((number - 1) * upload.part_size, upload.part_size)
                part = await self._publisher.send_part(upload, number, content)
            if not await self._records.add_part(upload, part):
                raise StorageAwayError(f"another run uploads {file.key} now")
            parts[number] = part
            self._metrics.sent(len(content))
            file.report(sum(_size_of(upload, number) for number in parts))

    async def _continue(self, file: StagedFile) -> tuple[RemoteUpload, dict[int, UploadedPart]] | None:
        """Return the recorded upload of the same file with the parts that the storage has; None without one."""
        recorded = await self._records.find(file.download_id)
        if recorded is None:
            return None
        upload, sent = recorded
        is_same = (upload.storage, upload.key, upload.size, upload.sha256) == (
            self._storage.url,
            file.key,
            file.size,
            file.sha256,
        )
        if not is_same or upload.upload_id is None:
            if upload.storage == self._storage.url:
                await self._abandon(upload)
            return None
        try:
            parts = await self._publisher.list_parts(upload, sent)
        except UploadMissingError:
            own = await self._storage.find_own(
                file.key, download_id=file.download_id, sha256=file.sha256, upload=upload
            )
            if own is None or self._publisher.keeps_owner:
                await self._records.remove(upload)
            if own is not None:
                # The answer to its completion was lost.
                raise _PublishedError(own.identity) from None
            return None
        log.info("upload_continued", download_id=file.download_id, parts=len(parts), of=_count(upload))
        return upload, parts

    async def _begin(self, file: StagedFile) -> RemoteUpload:
        """Create an upload. It is recorded before, so that one whose id is lost is found and aborted later."""
        upload = RemoteUpload(
            download_id=file.download_id,
            storage=self._storage.url,
            key=file.key,
            size=file.size,
            sha256=file.sha256,
            part_size=max(self._publisher.part_size, -(-file.size // self._publisher.max_parts)),
            begun=self._clock.wall(),
        )
        await self._records.begin(upload)
        created = replace(upload, upload_id=await self._publisher.create(file, upload))
        if not await self._records.set_id(upload, created.upload_id or ""):
            await self._publisher.abort(created)
            raise StorageAwayError(f"another run uploads {file.key} now")
        return created

    @contextmanager
    def _counting_failures(self) -> Iterator[None]:
        try:
            yield
        except DownloadError:
            self._metrics.ended(UploadOutcome.FAILED)
            raise

    async def _abandon(self, upload: RemoteUpload) -> None:
        await abort_upload(self._storage, upload)
        await self._records.remove(upload)


class _PublishedError(Exception):
    """The file has appeared already."""

    def __init__(self, identity: str) -> None:
        super().__init__(identity)
        self.identity = identity


async def abort_upload(storage: RemoteStorage, upload: RemoteUpload) -> None:
    """Abort an upload that the records name.

    Raises:
        DownloadError: the storage does not answer, or does not allow it.
    """
    aborted = await storage.publisher.abort(upload)
    log.info("upload_aborted", download_id=upload.download_id, uploads=aborted)


def _make_missing_error(file: StagedFile) -> StorageAwayError:
    return StorageAwayError(f"the upload of {file.key} was aborted by others; it begins anew")


def _count(upload: RemoteUpload) -> int:
    return -(-upload.size // upload.part_size)


def _size_of(upload: RemoteUpload, number: int) -> int:
    return min(upload.part_size, upload.size - (number - 1) * upload.part_size)
