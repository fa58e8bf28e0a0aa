"""Actions of users on downloads that other nodes run.

What the user wants is in the row already. The node that runs the download gets a hint, and reads it with its next
heartbeat if the hint is lost. Here, the answer waits until that node has obeyed.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import DownloadError
from downloadd.records.availability import once_available
from downloadd.records.hints import Topic
from downloadd.records.store import Store
from downloadd.states import RUNNING

MAX_WAIT_SECONDS: Final = 5.0
"""Seconds for which an answer waits for another node; then it shows the download as it is."""
POLL_SECONDS: Final = 0.2
"""Seconds between two looks at the downloads that are waited for, without hints."""


class OtherNodes:
    """The other nodes, as the runs here and their callers see them."""

    def __init__(self, records: Store, clock: Clock, *, node: str) -> None:
        """Make the view of the node with this name."""
        self._records = records
        self._clock = clock
        self._node = node
        self._waiters: dict[asyncio.Future[None], str] = {}
        self._wake = asyncio.Event()
        for topic in (Topic.QUEUE, Topic.ENDS):
            records.hints.subscribe(topic, self._handle_hint)

    async def runs(self, row: Download) -> bool:
        """Return True if another node runs a download; unavailable records delay it."""
        if not self._records.is_shared or row.state not in RUNNING:
            return False
        nodes = await once_available(partial(self._records.runs.nodes, [row.id]))
        return nodes.get(row.id, self._node) != self._node

    async def hint(self, row: Download) -> bool:
        """Let another node apply a changed row of a download soon; return False if none runs it."""
        if not await self.runs(row):
            return False
        self._records.hints.send(Topic.DESIRED, [row.id])
        return True

    def hint_fenced(self, id: str) -> None:
        """Let another node stop the run of a download soon that does not hold its row any more."""
        self._records.hints.send(Topic.DESIRED, [id])

    async def wait_until_stopped(self, row: Download) -> Download:
        """Return the row when the run on another node has ended, or as it is after a while."""
        self._records.hints.send(Topic.DESIRED, [row.id])
        stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[stopped] = row.id
        self._wake.set()
        try:
            await asyncio.wait((stopped,), timeout=MAX_WAIT_SECONDS)
        finally:
            del self._waiters[stopped]
        # None if it has ended, and was removed from the history since.
        return await once_available(partial(self._records.get, row.id)) or row

    async def watch(self) -> None:
        """Look at the downloads that are waited for, all in one query, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS if self._waiters else None):
                    await self._wake.wait()
            self._wake.clear()
            if self._waiters:
                # While the records are unavailable, it is repeated.
                with suppress(DownloadError):
                    await self._look()

    async def _look(self) -> None:
        waiters = dict(self._waiters)
        running = await self._records.runs.nodes(sorted(set(waiters.values())))
        for stopped, id in waiters.items():
            if id not in running and not stopped.done():
                stopped.set_result(None)

    def _handle_hint(self, ids: Sequence[str]) -> None:
        if self._waiters:
            self._wake.set()
