"""Upload of one staged file: by one request, or as a multipart upload that a later run or another node continues."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Protocol

import msgspec
import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.errors import StorageAwayError
from downloadd.object_upload import ObjectUpload, UploadedPart, UploadRecords
from downloadd.storage.objects.client import ObjectClient
from downloadd.storage.objects.description import (
    FileDescription,
    is_own,
    make_content_type,
    make_metadata,
)
from downloadd.storage.objects.errors import ObjectStorageError
from downloadd.storage.objects.storage import CONCURRENT_PARTS, ObjectStorage

log = structlog.get_logger()

MAX_PARTS: Final = 10_000
"""Parts of one upload (Amazon S3 User Guide, "Multipart upload limits")."""

ReadBytes = Callable[[int, int], Awaitable[bytes]]
"""Returns bytes of the staged file, from an offset on."""


class StagedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A verified file on the disk, and the object that it is to be."""

    download_id: str
    key: str
    size: int
    sha256: str
    """Lower-case hex digest."""
    description: FileDescription
    last_modified: int | None
    read: ReadBytes


class Uploader:
    """Uploads files to one storage."""

    def __init__(self, storage: ObjectStorage, records: UploadRecords, clock: Clock) -> None:
        self._storage = storage
        self._records = records
        self._clock = clock

    async def send_parts(self, file: StagedFile) -> None:
        """Send all parts that the storage does not have; do nothing for a file that one request stores.

        Cancelled, the parts that were sent are recorded.

        Raises:
            DownloadError: the storage does not take them at the moment.
        """
        if file.size > self._storage.part_size:
            with suppress(_PublishedError):
                await self._send(file)

    async def publish(self, file: StagedFile, *, replace: bool) -> str | None:
        """Make the object appear, at once and complete.

        Returns:
            Its entity tag; None if the key is taken and may not be replaced.

        Raises:
            DownloadError: the storage does not take it at the moment; a later call goes on.
        """
        if file.size <= self._storage.part_size:
            content = await file.read(0, file.size)
            etag, _ = await self._appear(
                file,
                lambda client: client.put(
                    file.key,
                    content,
                    content_type=make_content_type(file.description),
                    metadata=_metadata_of(file),
                    replace=replace,
                ),
            )
            return etag
        try:
            upload, parts = await self._send(file)
        except _PublishedError as published:
            return published.etag
        try:
            etag, is_completed = await self._appear(
                file,
                lambda client: client.complete_upload(file.key, upload.upload_id or "", parts, replace=replace),
            )
        except ObjectStorageError as error:
            await self._records.remove(upload)
            raise StorageAwayError(f"the upload of {file.key} was aborted by others; it begins anew") from error
        # A lost answer may have been that to another upload.
        await (self._records.remove(upload) if is_completed else self._abandon(upload))
        return etag

    async def _appear(self, file: StagedFile, run: "_Completion") -> tuple[str | None, bool]:
        """Return the entity tag of the object, None if the key is taken, and True if the request made it appear.

        An earlier request whose answer was lost may have made it appear.

        Raises:
            ObjectStorageError: the upload is missing, and the object is not ours.
        """
        try:
            etag = await self._storage.call(run)
        except ObjectStorageError as error:
            head = await self._storage.head(file.key)
            if head is not None and is_own(head.metadata, download_id=file.download_id, sha256=file.sha256):
                return head.etag, False
            if error.is_unmet_condition:
                return None, False
            raise
        if not etag:
            head = await self._storage.head(file.key)
            return "" if head is None else head.etag, True
        return etag, True

    async def _send(self, file: StagedFile) -> tuple[ObjectUpload, Sequence[UploadedPart]]:
        """Return the upload of a file, all of whose parts are sent, with its parts in order."""
        upload, parts = await self._continue(file) or (await self._begin(file), {})
        missing = iter([number for number in range(1, _count(upload) + 1) if number not in parts])
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(CONCURRENT_PARTS):
                    group.create_task(self._send_each(file, upload, missing, parts))
        except ExceptionGroup as errors:
            error = errors.exceptions[0]
            if isinstance(error, ObjectStorageError):
                # The only one that is raised says that the upload is missing.
                await self._records.remove(upload)
                error = StorageAwayError(f"the upload of {file.key} was aborted by others; it begins anew")
            raise error from None
        return upload, [parts[number] for number in sorted(parts)]

    async def _send_each(
        self, file: StagedFile, upload: ObjectUpload, missing: Iterator[int], parts: dict[int, UploadedPart]
    ) -> None:
        for number in missing:
            async with self._storage.slots:
                content = await file.read((number - 1) * upload.part_size, upload.part_size)
                part = await self._storage.call(
                    lambda client, number=number, content=content: client.upload_part(  # type: ignore[misc]
                        file.key, upload.upload_id or "", number, content
                    )
                )
            if not await self._records.add_part(upload, part):
                raise StorageAwayError(f"another run uploads {file.key} now")
            parts[number] = part

    async def _continue(self, file: StagedFile) -> tuple[ObjectUpload, dict[int, UploadedPart]] | None:
        """Return the recorded upload of the same file with the parts that the storage has; None without one."""
        found = await self._records.find(file.download_id)
        if found is None:
            return None
        upload, recorded = found
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
        upload_id = upload.upload_id
        try:
            etags = await self._storage.call(lambda client: client.list_parts(upload.key, upload_id))
        except ObjectStorageError:
            await self._records.remove(upload)
            head = await self._storage.head(file.key)
            if head is not None and is_own(head.metadata, download_id=file.download_id, sha256=file.sha256):
                # The answer to its completion was lost.
                raise _PublishedError(head.etag) from None
            return None
        parts = {part.number: part for part in recorded if etags.get(part.number) == part.etag}
        log.info("upload_continued", download_id=file.download_id, parts=len(parts), of=_count(upload))
        return upload, parts

    async def _begin(self, file: StagedFile) -> ObjectUpload:
        """Create an upload. It is recorded before, so that one whose id is lost is found and aborted later."""
        part_size = max(self._storage.part_size, -(-file.size // MAX_PARTS))
        upload = ObjectUpload(
            download_id=file.download_id,
            storage=self._storage.url,
            key=file.key,
            size=file.size,
            sha256=file.sha256,
            part_size=part_size,
            begun=self._clock.wall(),
        )
        await self._records.begin(upload)
        upload_id = await self._storage.call(
            lambda client: client.create_upload(
                file.key, content_type=make_content_type(file.description), metadata=_metadata_of(file)
            )
        )
        created = replace(upload, upload_id=upload_id)
        if not await self._records.set_id(upload, upload_id):
            await self._storage.call(lambda client: client.abort_upload(file.key, upload_id))
            raise StorageAwayError(f"another run uploads {file.key} now")
        return created

    async def _abandon(self, upload: ObjectUpload) -> None:
        await abort_upload(self._storage, upload)
        await self._records.remove(upload)


class _PublishedError(Exception):
    """The file has appeared already."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class _Completion(Protocol):
    def __call__(self, client: ObjectClient, /) -> Awaitable[str]: ...


async def abort_upload(storage: ObjectStorage, upload: ObjectUpload) -> None:
    """Abort an upload; one without a recorded id is found by its key, which no other program uploads to.

    Raises:
        DownloadError: the storage does not answer, or does not allow it.
    """
    if upload.upload_id is not None:
        ids = [upload.upload_id]
    else:
        listed = await storage.call(lambda client: client.list_uploads(upload.key))
        ids = [each.upload_id for each in listed if each.key == upload.key]
    for upload_id in ids:
        await storage.call(lambda client, id=upload_id: client.abort_upload(upload.key, id))  # type: ignore[misc]
    log.info("upload_aborted", download_id=upload.download_id, uploads=len(ids))


def _metadata_of(file: StagedFile) -> dict[str, str]:
    return make_metadata(
        file.description, download_id=file.download_id, sha256=file.sha256, last_modified=file.last_modified
    )


def _count(upload: ObjectUpload) -> int:
    return -(-upload.size // upload.part_size)
