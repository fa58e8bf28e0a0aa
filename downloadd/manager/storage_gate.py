"""Suspension of the queue while the storage is full, missing, or takes no writes."""

import asyncio
from typing import Final

import structlog

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import DownloadError, ErrorCode, InsufficientStorageError, StorageAwayError
from downloadd.manager.dispatcher import Queue
from downloadd.manager.scheduler import DISK_FULL_REASON
from downloadd.states import WAITING
from downloadd.storage.destination import Destination

log = structlog.get_logger()

MIN_FREE_BYTES: Final = 1 << 20
"""Bytes; a disk with less free space is full."""
STORAGE_CHECK_SECONDS: Final = 2.0
"""Seconds between two checks of a disk that is full or away."""
MAX_SUSPENSION_SECONDS: Final = 60.0
"""Seconds for which a full disk suspends the queue before some downloads may try."""


class StorageGate:
    """Suspends the queue after a failure of the storage, so that it is not spent on attempts which must fail.

    While the disk is full, some downloads start now and then all the same: the parts of waiting downloads may be what
    fills it, and the space is free again only when these have used up their retries. A disk that is away can be
    brought back only by an administrator, so nothing starts until then.
    """

    def __init__(self, destination: Destination, queue: Queue, clock: Clock) -> None:
        self._destination = destination
        self._queue = queue
        self._clock = clock
        self._failed = asyncio.Event()
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Return why the queue is suspended, in words; None if it is not."""
        return self._problem

    async def open(self) -> None:
        """Suspend the queue if the storage is away, or another one, at the start; before `watch`."""
        try:
            await self._destination.check_root()
        except StorageAwayError as error:
            self._suspend(error.detail)
            self._failed.set()

    def report_outcome(self, row: Download, *, lacks_space: bool = False) -> None:
        """Suspend the queue if a run ended with this row because of the storage; `watch` ends the suspension.

        `lacks_space` says that the run ended because the download waits for space.
        """
        is_failure = (
            lacks_space
            or row.result.error is ErrorCode.INSUFFICIENT_STORAGE
            or (row.result.error is ErrorCode.STORAGE_ERROR and row.state in WAITING)
        )
        if is_failure and not self._failed.is_set():
            # Until the storage has been checked.
            self._suspend(DISK_FULL_REASON)
            self._failed.set()

    async def watch(self) -> None:
        """Check the storage after each failure, and suspend the queue until it is in order; until cancelled."""
        while True:
            await self._failed.wait()
            logged_reason = await self._suspend_until_available()
            self._failed.clear()
            self._suspend(None)
            if logged_reason is not None:
                log.info("queue_resumed", reason=logged_reason)

    def _suspend(self, reason: str | None) -> None:
        self._problem = reason
        self._queue.set_suspension(reason)

    async def _suspend_until_available(self) -> str | None:
        """Return the reason of the suspension that was logged last; None when the storage was in order at once."""
        until = self._clock.monotonic() + MAX_SUSPENSION_SECONDS
        logged_reason: str | None = None
        while (failure := await self._check_storage()) is not None:
            is_away = isinstance(failure, StorageAwayError)
            if not is_away and self._clock.monotonic() >= until:
                break
            reason = failure.detail if is_away else DISK_FULL_REASON
            if reason != logged_reason:
                (log.error if is_away else log.warning)("queue_suspended", reason=reason)
                logged_reason = reason
            self._suspend(reason)
            await asyncio.sleep(STORAGE_CHECK_SECONDS)
        return logged_reason

    async def _check_storage(self) -> InsufficientStorageError | StorageAwayError | None:
        try:
            await self._destination.check_free_space(MIN_FREE_BYTES)
            # A full disk is not written to.
            await self._destination.try_writing()
        except (InsufficientStorageError, StorageAwayError) as error:
            return error
        except DownloadError:
            # Other failures are reported by the attempts.
            pass
        return None
