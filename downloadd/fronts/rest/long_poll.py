"""Holding an answer until a download ends, the time is up, or the daemon stops."""

import asyncio

from downloadd.download import Download
from downloadd.fronts.rest.service import DownloadService


class LongPoll:
    """Knows every answer that is held, so that all can be let go at once."""

    def __init__(self, service: DownloadService) -> None:
        self._service = service
        self._waiting: set[asyncio.Timeout] = set()
        self._closed = False

    async def wait(self, download: Download, seconds: float) -> Download:
        """The row once the download has ended, or as it is when there is no more time."""
        if self._closed:
            return download
        try:
            async with asyncio.timeout(None) as limit:
                self._waiting.add(limit)
                try:
                    return await self._service.wait(download.id, seconds)
                finally:
                    self._waiting.discard(limit)
        except TimeoutError:
            return (await self._service.get(download.id)).download

    def release_all(self) -> None:
        """Lets every held answer go, and holds none any more."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for limit in self._waiting:
            limit.reschedule(now)
