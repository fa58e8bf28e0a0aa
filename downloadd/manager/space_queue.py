"""Downloads that wait until the disk has space for their announced length."""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import DownloadError, SpacePendingError
from downloadd.manager import lifecycle
from downloadd.manager.discard_part import discard_part_of
from downloadd.manager.dispatcher import Queue
from downloadd.manager.retry import MAX_RETRY_AFTER_SECONDS
from downloadd.manager.space_selection import SpaceRequest, select_fitting, select_part_to_discard
from downloadd.records.protocol import Records, WaitingDownload
from downloadd.records.queue_places import QueueEntry
from downloadd.states import WAITING, WaitNotice, WaitReason
from downloadd.storage.destination import Destination
from downloadd.storage.reclaim import Reclaim, reclaim_nothing

log = structlog.get_logger()

SPACE_CHECK_SECONDS: Final = 2.0
"""Seconds between two checks of the space; space is also freed by others than the daemon."""
ANNOUNCEMENT_SECONDS: Final = 10.0
"""Seconds that a download has, from its start, to receive a response and to announce its length again."""
MAX_IDLE_SECONDS: Final = 60.0
"""Seconds without a running download after which a part file is discarded so that another download fits."""


class SpaceQueue:
    """Holds downloads back until they fit beside those that run.

    A download that does not fit is not a failure. While others run, they may free space by failing. Once none runs, the
    part files of those that wait may be what fills the disk, so that none of them can ever finish: then the smallest
    part file is discarded if another download fits without it. The part files of failed downloads are removed before,
    by `reclaim`.
    """

    def __init__(
        self,
        destination: Destination,
        queue: Queue,
        records: Records,
        clock: Clock,
        *,
        reclaim: Reclaim = reclaim_nothing,
    ) -> None:
        self._destination = destination
        self._reclaim = reclaim
        self._queue = queue
        self._records = records
        self._clock = clock
        self._requests: dict[int, SpaceRequest] = {}
        self._changed = asyncio.Event()
        # Times of starts, and the bytes that the downloads are about to announce.
        self._started: dict[int, tuple[float, int]] = {}
        self._idle_since: float | None = None

    @property
    def waiting(self) -> int:
        """Return the number of downloads that wait for space."""
        return len(self._requests)

    def add(self, row: Download, error: SpacePendingError) -> None:
        """Let a download whose run has ended with `error` wait."""
        # It tries by itself if it is not released before.
        waiting = WaitingDownload.of(row, not_before=self._clock.wall() + MAX_RETRY_AFTER_SECONDS)
        notice = WaitNotice(
            code=WaitReason.STORAGE_UNAVAILABLE, text=error.detail, needed=error.needed, available=error.available
        )
        self._requests[row.seq] = SpaceRequest(
            id=row.id, waiting=waiting, needed=error.needed, kept=error.kept, notice=notice
        )
        self._queue.hold(waiting)
        self._changed.set()

    def discard(self, seq: int) -> None:
        """Forget a download that starts, or that a user has changed; an unknown one is ignored."""
        self._requests.pop(seq, None)

    def reorder(self, entries: Iterable[QueueEntry]) -> None:
        """Give downloads other places; those that do not wait for space are ignored."""
        for one in entries:
            request = self._requests.get(one.seq)
            if request is not None:
                moved = replace(request.waiting, priority=one.priority, place=one.place)
                self._requests[one.seq] = replace(request, waiting=moved)

    def notify_run_ended(self, seq: int) -> None:
        """Check the space again, since the run of a download has ended."""
        self._started.pop(seq, None)
        self._changed.set()

    def explain_wait(self, seq: int) -> WaitNotice | None:
        """Return the reason why a download waits for space; None if it does not."""
        request = self._requests.get(seq)
        return None if request is None else request.notice

    async def watch(self) -> None:
        """Start downloads as soon as they fit, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(SPACE_CHECK_SECONDS if self._requests else None):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            if self._requests:
                try:
                    await self._release_fitting()
                except DownloadError as error:
                    # A missing storage root or records that are away: the next check tries again.
                    log.warning("space_check_failed", error=error.code, detail=error.detail)
            else:
                self._idle_since = None

    async def _release_fitting(self) -> None:
        space = await self._destination.measure_unannounced()
        now = self._clock.monotonic()
        self._started = {
            seq: started for seq, started in self._started.items() if now - started[0] < ANNOUNCEMENT_SECONDS
        }
        starting = sum(needed for _, needed in self._started.values())
        available = space.available - starting
        fitting = select_fitting(self._requests.values(), available)
        if not fitting and not starting:
            smallest = min(request.needed for request in self._requests.values())
            if await self._reclaim("", smallest - available):
                self._changed.set()
                return
        for request in fitting:
            self._started[request.waiting.seq] = now, request.needed
            self.discard(request.waiting.seq)
        self._queue.enqueue([replace(request.waiting, not_before=None) for request in fitting])
        if fitting or starting or space.announced:
            self._idle_since = None
            return
        if self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= MAX_IDLE_SECONDS:
            # Some file systems free space later than a file is removed.
            self._idle_since = None
            await self._discard_part(space.available)

    async def _discard_part(self, available: int) -> None:
        request = select_part_to_discard(self._requests.values(), available)
        if request is None:
            return
        changed = await self._records.amend(request.id, _forget_part)
        self.discard(request.waiting.seq)
        if changed is None or changed[0].state not in WAITING:
            return
        before, _ = changed
        log.warning("part_discarded_for_space", download_id=request.id, kept=request.kept)
        await discard_part_of(self._destination, before)
        total = request.needed + request.kept
        error = SpacePendingError(needed=total, kept=0, available=available)
        self.add(before, error)


def _forget_part(row: Download) -> Download:
    return lifecycle.reset_part(row) if row.state in WAITING else row
