"""Holding an answer until a download ends, the time is up, or the daemon stops."""

import asyncio

from downloadd.api.engine import Engine
from downloadd.download import Download


class Patience:
    """Knows every answer that is held, so that all can be let go at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: set[asyncio.Timeout] = set()
        self._over = False

    async def wait(self, download: Download, seconds: float) -> Download:
        """The row once the download has ended, or as it is when there is no more time."""
        if self._over:
            return download
        try:
            async with asyncio.timeout(None) as limit:
                self._held.add(limit)
                try:
                    return await self._engine.wait(download.id, seconds)
                finally:
                    self._held.discard(limit)
        except TimeoutError:
            return (await self._engine.get(download.id)).download

    def end(self) -> None:
        """Lets every held answer go, and holds none any more."""
        self._over = True
        now = asyncio.get_running_loop().time()
        for limit in self._held:
            limit.reschedule(now)
