"""Reuse of the file of an earlier download: the origin confirms its version, and the bytes are copied on the disk."""

import structlog
from msgspec.structs import replace

from downloadd.download import Condition, Download, OriginDigest, log_fields
from downloadd.media_types import parse_media_type
from downloadd.request_fields import Method
from downloadd.storage.destination import Part
from downloadd.storage.names import MAX_NAME_BYTES
from downloadd.transfer.classification import Unchanged, UseResponse
from downloadd.transfer.file_naming import name_file
from downloadd.transfer.known_content import is_same_version
from downloadd.transfer.present_files import KnownFile, PresentFiles, reading_limited
from downloadd.transfer.representation import Representation
from downloadd.transfer.session import OriginResponse

log = structlog.get_logger()

HISTORY_SOURCE = "history"
"""Source of a digest that an earlier download has recorded of its file."""


class Reuse:
    """Reuse for one attempt. What cannot be reused is received.

    Attributes:
        is_copying: True while a file is copied, which has a time limit of its own.
    """

    def __init__(self, files: PresentFiles, *, max_size: int) -> None:
        """Make the reuse of an attempt; `max_size` is that of downloads in bytes, 0 for no limit."""
        self.is_copying = False
        # Open, with a version that the origin has confirmed.
        self._source: KnownFile | None = None
        self._files = files
        self._max_size = max_size
        self._sends_condition = True
        self._sent_tag: str | None = None

    async def condition(self, download: Download, url: str) -> Condition | None:
        """Return the condition of a request for `url`: the version of the newest file of it; None if there is none."""
        if not self._sends_condition or not self._may_reuse(download):
            return None
        async with self._files.opening(download, url, self._is_allowed) as known:
            if known is None:
                return None
            self._sent_tag = known.download.progress.validator
        return Condition(entity_tag=self._sent_tag)

    async def expand(
        self, download: Download, unchanged: Unchanged, response: OriginResponse, url: str
    ) -> UseResponse | None:
        """Return the complete response that a 304 stands for; None if the origin must be asked for it.

        A 304 need not have all its fields (RFC 9110, section 15.4.5). Without a requested name, the earlier file must
        have that of the URL, so that no Content-Disposition can be missing.
        """
        self._sends_condition = False
        tag = self._sent_tag if unchanged.entity_tag is None else unchanged.entity_tag

        def is_confirmed(row: Download) -> bool:
            return (
                self._is_allowed(row)
                and row.progress.validator == tag
                and row.progress.final_url_digest == response.final_url_digest
                and unchanged.length in {None, row.progress.total}
                and _is_named(download, row, _stand_for(unchanged, row), response)
            )

        async with self._files.opening(download, url, is_confirmed) as known:
            return None if known is None else _stand_for(unchanged, known.download)

    async def find(self, download: Download, accepted: UseResponse, response: OriginResponse, url: str) -> UseResponse:
        """Open the file that has the version of a complete response, if there is one; return the response.

        If a checksum of the file is recorded, it is among the digests of the response, which the copy is compared with.
        """
        if not accepted.found.total or not self._may_reuse(download):
            return accepted
        found, digest = accepted.found, response.final_url_digest
        self._source = await self._files.open_known(
            download, url, lambda row: is_same_version(row, found, final_url_digest=digest)
        )
        checksum = None if self._source is None else self._source.download.result.checksum
        if checksum is None:
            return accepted
        recorded = OriginDigest(source=HISTORY_SOURCE, checksum=checksum)
        return replace(accepted, found=replace(found, origin_digests=(*found.origin_digests, recorded)))

    def has_file(self) -> bool:
        """Return True if a file is open, whose version the origin has confirmed."""
        return self._source is not None

    async def copy(self, download: Download, part: Part) -> bool:
        """Copy the open file to an empty part, and close it; return False if it was changed meanwhile.

        Raises:
            DownloadError: it cannot be read, or the part cannot be written.
        """
        known, self._source = self._source, None
        assert known is not None  # noqa: S101 - narrows the type; the caller has found it
        self.is_copying = True
        try:
            async with known.file as file, reading_limited(file, known.download.file_path):
                await part.copy(file, [(0, file.size)])
                is_copied = part.size == file.size and await file.is_unchanged()
        finally:
            self.is_copying = False
        log.info(
            "file_reused" if is_copied else "file_reuse_failed",
            **log_fields(download),
            source_id=known.download.id,
            size=part.size,
        )
        return is_copied

    def close(self) -> None:
        """Close the file if it was not copied."""
        known, self._source = self._source, None
        if known is not None:
            known.file.close()

    def _may_reuse(self, download: Download) -> bool:
        # After a checksum mismatch, only the bytes of the origin are trusted.
        return self._files.may_reuse and download.request.method is Method.GET and not download.progress.strict_resume

    def _is_allowed(self, row: Download) -> bool:
        """Return True if a file is not larger than the limit, which may have been higher before."""
        return not self._max_size or (row.progress.total or 0) <= self._max_size


def _stand_for(unchanged: Unchanged, row: Download) -> UseResponse:
    progress = row.progress
    return UseResponse(
        start=0,
        length=progress.total,
        found=Representation(
            total=progress.total,
            validator=progress.validator,
            last_modified=progress.last_modified if unchanged.last_modified is None else unchanged.last_modified,
            coding=progress.coding,
            media_type=parse_media_type(row.result.content_type),
            origin_digests=progress.origin_digests,
        ),
        content_type=row.result.content_type,
        suggested_filename=unchanged.suggested_filename,
    )


def _is_named(download: Download, row: Download, accepted: UseResponse, response: OriginResponse) -> bool:
    if download.request.requested_name is not None or accepted.suggested_filename is not None:
        return True
    urls = {"first_url": response.requested_url, "final_url": response.url}
    name = name_file(download.request, accepted, **urls, max_bytes=MAX_NAME_BYTES)
    return row.request.requested_name is None and row.filename == name
