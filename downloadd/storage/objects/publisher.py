"""Uploads to a bucket: small files by one request, others as multipart uploads."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from downloadd.remote_upload import RemoteUpload, UploadedPart
from downloadd.storage.objects.bucket import Bucket
from downloadd.storage.objects.client import ObjectClient, ObjectHead
from downloadd.storage.objects.description import format_identity, is_own, make_content_type, make_metadata
from downloadd.storage.objects.errors import ObjectStorageError
from downloadd.storage.remote.remote_storage import CONCURRENT_PARTS, StagedFile, UploadMissingError

T = TypeVar("T")

MAX_PARTS: Final = 10_000
"""Parts of one upload (Amazon S3 User Guide, "Multipart upload limits")."""


class ObjectPublisher:
    """Uploads to one bucket; implements `Publisher`.

    Attributes:
        part_size: bytes of a part of an upload; a file up to that size is stored by one request.
        slots: limit on the parts that are in memory at once.
    """

    max_parts = MAX_PARTS
    keeps_owner = True

    def __init__(self, bucket: Bucket, *, part_size: int) -> None:
        self.part_size = part_size
        self.slots = asyncio.Semaphore(CONCURRENT_PARTS)
        self._bucket = bucket

    def is_put(self, size: int) -> bool:
        """Return True if a file has one part only."""
        return size <= self.part_size

    async def put(self, file: StagedFile, *, replace: bool) -> str | None:
        """Store a file by one request; return its identity, None if the key is taken and may not be replaced."""
        content = await file.read(0, file.size)
        try:
            etag = await self._bucket.call(
                lambda client: client.put(
                    file.key,
                    content,
                    content_type=make_content_type(file.description),
                    metadata=_metadata_of(file),
                    replace=replace,
                )
            )
        except ObjectStorageError as error:
            if (own := await self._find_own(file)) is not None:
                # The answer to an earlier request was lost.
                return format_identity(own.etag)
            if error.is_unmet_condition:
                return None
            raise self._bucket.map_error(error) from error
        return await self._identify(file, etag)

    async def create(self, file: StagedFile, upload: RemoteUpload) -> str:
        """Create a multipart upload; return its id."""
        return await self._call(
            lambda client: client.create_upload(
                file.key, content_type=make_content_type(file.description), metadata=_metadata_of(file)
            )
        )

    async def list_parts(self, upload: RemoteUpload, recorded: Sequence[UploadedPart]) -> dict[int, UploadedPart]:
        """Return the recorded parts that the bucket has, by number; see `Publisher.list_parts`."""
        etags = await self._call(lambda client: client.list_parts(upload.key, upload.upload_id or ""))
        return {part.number: part for part in recorded if etags.get(part.number) == part.etag}

    async def send_part(self, upload: RemoteUpload, number: int, content: bytes) -> UploadedPart:
        """Send a part; see `Publisher.send_part`."""
        return await self._call(lambda client: client.upload_part(upload.key, upload.upload_id or "", number, content))

    async def complete(
        self, file: StagedFile, upload: RemoteUpload, parts: Sequence[UploadedPart], *, replace: bool
    ) -> str | None:
        """Make the object appear; see `Publisher.complete`."""
        try:
            etag = await self._bucket.call(
                lambda client: client.complete_upload(file.key, upload.upload_id or "", parts, replace=replace)
            )
        except ObjectStorageError as error:
            if (own := await self._find_own(file)) is not None:
                # The answer to an earlier request was lost, which may have been that to another upload.
                await self.abort(upload)
                return format_identity(own.etag)
            if error.is_unmet_condition:
                return None
            raise UploadMissingError from error
        # Later requests may be answered with another entity tag than this one, as rclone does.
        head = await self._bucket.head(file.key)
        return format_identity(etag if head is None else head.etag)

    async def abort(self, upload: RemoteUpload) -> int:
        """Abort an upload; one without a recorded id is found by its key, which no other program uploads to."""
        if upload.upload_id is not None:
            ids = [upload.upload_id]
        else:
            listed = await self._bucket.call(lambda client: client.list_uploads(upload.key))
            ids = [each.upload_id for each in listed if each.key == upload.key]
        for upload_id in ids:
            await self._bucket.call(lambda client, id=upload_id: client.abort_upload(upload.key, id))  # type: ignore[misc]
        return len(ids)

    async def _call(self, run: Callable[[ObjectClient], Awaitable[T]]) -> T:
        try:
            return await self._bucket.call(run)
        except ObjectStorageError as error:
            raise UploadMissingError from error

    async def _find_own(self, file: StagedFile) -> ObjectHead | None:
        head = await self._bucket.head(file.key)
        is_found = head is not None and is_own(head.metadata, download_id=file.download_id, sha256=file.sha256)
        return head if is_found else None

    async def _identify(self, file: StagedFile, etag: str) -> str:
        """Return the identity of an object that has appeared; the server may have answered without its entity tag."""
        if not etag:
            head = await self._bucket.head(file.key)
            etag = "" if head is None else head.etag
        return format_identity(etag)


def _metadata_of(file: StagedFile) -> dict[str, str]:
    return make_metadata(
        file.description, download_id=file.download_id, sha256=file.sha256, last_modified=file.last_modified
    )
