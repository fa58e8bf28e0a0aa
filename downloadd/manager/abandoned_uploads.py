"""Abortion of uploads to other machines whose downloads were cancelled, or failed without a part file, or are lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from downloadd.clock import Clock
from downloadd.errors import DownloadError
from downloadd.remote_upload import RemoteUpload, UploadRecords

log = structlog.get_logger()

CHECK_SECONDS: Final = 15.0
"""Seconds between two searches."""
LOST_SECONDS: Final = 86_400.0
"""Seconds after which the upload of a file that is not a download's, as those of imports, counts as lost."""


class AbandonedUploads:
    """Searches for abandoned uploads at the start and at regular times; each is aborted once, and then forgotten.

    Only uploads that the records name are aborted: other programs may upload to the same place.
    """

    def __init__(self, records: UploadRecords, abort: Callable[[RemoteUpload], Awaitable[None]], clock: Clock) -> None:
        """Take the parts; `abort` aborts an upload, and raises `DownloadError` if that must be tried again."""
        self._records = records
        self._abort = abort
        self._clock = clock

    async def watch(self) -> None:
        """Search until cancelled."""
        while True:
            try:
                await self.search()
            except DownloadError as error:
                log.warning("upload_search_failed", error=error.code, detail=error.detail)
            await asyncio.sleep(CHECK_SECONDS)

    async def search(self) -> None:
        """Abort all abandoned uploads; one that cannot be aborted now is left for the next search."""
        for upload in await self._records.abandoned(begun_before=self._clock.wall() - LOST_SECONDS):
            try:
                await self._abort(upload)
            except DownloadError as error:
                log.warning("upload_not_aborted", download_id=upload.download_id, error=error.code, detail=error.detail)
            else:
                await self._records.remove(upload)
