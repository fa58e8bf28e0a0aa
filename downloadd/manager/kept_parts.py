"""Part files and secrets of ended downloads, which are kept for a retry until they expire or their space is needed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import structlog

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import DownloadError, InsufficientStorageError
from downloadd.manager import lifecycle
from downloadd.manager.discard_part import discard_part_of
from downloadd.metrics import KeptUsage
from downloadd.records.availability import once_available
from downloadd.records.kept_parts import PAGE_ROWS, KeptPart, KeptPartRecords
from downloadd.records.protocol import Records
from downloadd.states import FINISHED
from downloadd.storage.destination import Destination
from downloadd.storage.quotas import is_within

log = structlog.get_logger()

EXPIRY_CHECK_SECONDS: Final = 60.0
"""Seconds between two removals of what has expired."""


class KeptParts:
    """Removes what is kept of ended downloads.

    The row is written before its part file is removed: a kill in between leaves a file that no row owns, which the
    sweep of the next start removes.
    """

    def __init__(
        self,
        *,
        records: Records,
        kept: KeptPartRecords,
        destination: Destination,
        clock: Clock,
        keep_seconds: float,
    ) -> None:
        """Make the component.

        Args:
            records: the store of the rows.
            kept: the queries for what is kept.
            destination: the storage of the part files.
            clock: the clock.
            keep_seconds: seconds after a failure for which part file and secrets are kept.
        """
        self._records = records
        self._kept = kept
        self._destination = destination
        self._clock = clock
        self._keep_seconds = keep_seconds
        self._lock = asyncio.Lock()
        self._reclaims = 0
        # End time (Unix time) of the last check for secrets; more downloads may have ended in that second.
        self._checked_until = 0

    async def watch(self) -> None:
        """Remove what has expired, and the secrets that earlier versions kept, until cancelled."""
        await self._log_failure(self.remove_stale_secrets)
        while True:
            await self._log_failure(self.remove_expired)
            await asyncio.sleep(EXPIRY_CHECK_SECONDS)

    async def usage(self) -> KeptUsage:
        """Return the number and size of all kept part files."""
        return await self._kept.usage()

    async def reclaim(self, directory: str, nbytes: int) -> bool:
        """Remove the oldest kept part files below a directory until `nbytes` bytes are free; see `Reclaim`."""
        reclaims = self._reclaims
        async with self._lock:
            if self._reclaims != reclaims:
                # Another caller has freed space meanwhile, perhaps enough.
                return True
            try:
                removed = await self._remove_oldest(directory, nbytes)
            except DownloadError as error:
                log.warning("kept_part_removal_failed", error=error.code, detail=error.detail)
                return False
            self._reclaims += removed
            return removed

    async def remove_expired(self) -> None:
        """Remove the part files and secrets of downloads that failed longer ago than they are kept."""
        failed_before = int(self._clock.wall() - self._keep_seconds)
        after = 0
        while True:
            page = await self._kept.page(after_ended_seq=after)
            expired = [part for part in page if part.end_time <= failed_before]
            removed = [await self._remove(part) for part in expired]
            if any(removed):
                log.info("kept_parts_removed", reason="expired", parts=sum(removed))
            if len(page) < PAGE_ROWS or not expired:
                break
            after = page[-1].ended_seq
        await self._remove_secrets(self._checked_until, failed_before, failed_before=failed_before)
        self._checked_until = failed_before

    async def remove_stale_secrets(self) -> None:
        """Remove all secrets of downloads that cannot be retried: earlier versions kept them."""
        now = int(self._clock.wall())
        failed_before = int(now - self._keep_seconds)
        await self._remove_secrets(0, now, failed_before=failed_before)
        self._checked_until = failed_before

    async def _remove_secrets(self, since: int, until: int, *, failed_before: int) -> None:
        """Remove the secrets of downloads that ended from `since` until `until` (Unix times)."""
        after = (since, 0)
        while page := await self._kept.with_secrets(after=after, until=until):
            await self._expire_secrets(page, failed_before)
            if len(page) < PAGE_ROWS:
                return
            last = page[-1].result
            after = (last.end_time or 0, last.ended_seq or 0)

    async def _expire_secrets(self, page: Sequence[Download], failed_before: int) -> None:
        expire = partial(lifecycle.expire_secrets, failed_before=failed_before)
        # Together, so that they share a transaction.
        await asyncio.gather(
            *(once_available(partial(self._records.amend, row.id, expire)) for row in page if expire(row) != row)
        )

    async def _remove_oldest(self, directory: str, nbytes: int) -> bool:
        removed = [await self._remove(part) for part in await self._select_oldest(directory, nbytes)]
        if any(removed):
            log.info("kept_parts_removed", reason="space is needed", directory=directory, parts=sum(removed))
        return any(removed)

    async def _select_oldest(self, directory: str, nbytes: int) -> list[KeptPart]:
        """Return the oldest parts below a directory that have `nbytes` bytes together; none if all have less."""
        chosen: list[KeptPart] = []
        after = 0
        while True:
            page = await self._kept.page(after_ended_seq=after)
            for part in page:
                if is_within(part.directory, directory):
                    chosen.append(part)
                    nbytes -= part.received
                    if nbytes <= 0:
                        return chosen
            if len(page) < PAGE_ROWS:
                return []
            after = page[-1].ended_seq

    async def _remove(self, part: KeptPart) -> bool:
        """Remove a part file; return False if its download owns it no more."""
        forget = partial(lifecycle.forget_kept_part, part_name=part.part_name)
        try:
            changed = await once_available(partial(self._records.amend, part.id, forget))
        except InsufficientStorageError:
            # The records are on the same disk: it has no space for the row before the file is gone. A row without its
            # file is right too: the retry starts from the first byte.
            row = await once_available(partial(self._records.get, part.id))
            if row is None or row.state not in FINISHED or row.progress.part_name != part.part_name:
                return False
            await discard_part_of(self._destination, row)
            return await once_available(partial(self._records.amend, part.id, forget)) is not None
        if changed is None or changed[0] == changed[1]:
            return False
        await discard_part_of(self._destination, changed[0])
        return True

    async def _log_failure(self, remove: Callable[[], Awaitable[None]]) -> None:
        try:
            await remove()
        except DownloadError as error:
            log.warning("kept_parts_check_failed", error=error.code, detail=error.detail)
