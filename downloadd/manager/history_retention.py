"""Removal of the oldest finished downloads, by age and by count."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import structlog

from downloadd.clock import Clock
from downloadd.config import HistoryConfig
from downloadd.errors import DownloadError
from downloadd.manager.history_removal import CHUNK_ROWS, HistoryRemoval
from downloadd.manager.pause import pause_after
from downloadd.manager.tasks import TaskSet
from downloadd.records.protocol import EndedRow, HistoryFilter, Records

log = structlog.get_logger()

RETENTION_SECONDS: Final = 60.0
"""Seconds between two searches for expired entries."""


class HistoryRetention:
    """Task that removes what `[history]` does not keep. Opens with `async with`."""

    def __init__(self, *, records: Records, removal: HistoryRemoval, clock: Clock, config: HistoryConfig) -> None:
        self._records = records
        self._removal = removal
        self._clock = clock
        self._config = config
        self._changed = asyncio.Event()
        self._tasks = TaskSet()

    async def __aenter__(self) -> Self:
        self._tasks.spawn(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.cancel()

    def configure(self, config: HistoryConfig) -> None:
        """Set what is kept from now on."""
        self._config = config
        self._changed.set()

    async def prune(self) -> int:
        """Remove expired entries, oldest first; return how many."""
        keep, keep_count = self._config.keep, self._config.keep_count
        expired_before = self._clock.wall() - keep if keep else None
        expired_seq = await self._records.ended_seq_of_newest(keep_count) if keep_count else None
        if expired_before is None and expired_seq is None:
            return 0
        removed = after = 0
        while True:
            started = self._clock.monotonic()
            page = await self._records.ended_rows(HistoryFilter(after_ended_seq=after, limit=CHUNK_ROWS))
            expired = select_expired(page, expired_before=expired_before, expired_seq=expired_seq)
            removed += await self._removal.remove_rows(expired)
            # The order is that of the ends; only after the clock was set does a later end have an earlier time.
            if not expired or len(page) < CHUNK_ROWS:
                break
            after = page[-1].ended_seq
            await pause_after(self._clock.monotonic() - started)
        if removed:
            log.info("history_pruned", removed=removed)
        return removed

    async def _watch(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self.prune()
            except DownloadError as error:
                log.warning("history_not_pruned", error=error.code, detail=error.detail)
            with suppress(TimeoutError):
                async with asyncio.timeout(RETENTION_SECONDS):
                    await self._changed.wait()


def select_expired(
    rows: Sequence[EndedRow], *, expired_before: float | None, expired_seq: int | None
) -> list[EndedRow]:
    """Return the rows that ended before a time (Unix), or not after the one with `expired_seq`; None expires none."""
    return [
        row
        for row in rows
        if (expired_before is not None and row.end_time < expired_before)
        or (expired_seq is not None and row.ended_seq <= expired_seq)
    ]
