"""Responses that are held until a download ends, the time is up, or the daemon stops."""

import asyncio

from downloadd.download import Download
from downloadd.users import User
from downloadd.views import DownloadViews


class LongPoll:
    """All held responses, so that they can be released together."""

    def __init__(self, views: DownloadViews) -> None:
        self._views = views
        self._waiting: set[asyncio.Timeout] = set()
        self._closed = False

    async def wait(self, user: User, download: Download, seconds: float) -> Download:
        """Return the row when the download has ended, or as it is after `seconds` or when all are released."""
        if self._closed:
            return download
        try:
            async with asyncio.timeout(None) as limit:
                self._waiting.add(limit)
                try:
                    return await self._views.wait(user, download.id, seconds)
                finally:
                    self._waiting.discard(limit)
        except TimeoutError:
            return (await self._views.get(user, download.id)).download

    def release_all(self) -> None:
        """Release every held response, and hold none from now on."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for limit in self._waiting:
            limit.reschedule(now)
