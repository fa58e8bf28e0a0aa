"""Removal of finished downloads from the history, in small transactions."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Download, log_fields
from downloadd.errors import InvalidStateError
from downloadd.events import EventBus, HistoryRemoved
from downloadd.manager.discard_part import discard_part
from downloadd.manager.pause import pause_after
from downloadd.records.hints import Topic
from downloadd.records.protocol import EndedRow, HistoryFilter
from downloadd.records.store import Store
from downloadd.states import FINISHED, State
from downloadd.storage.destination import Destination
from downloadd.storage.names import parse_filename

log = structlog.get_logger()

CHUNK_ROWS: Final = 250
"""Downloads that one transaction removes."""


class RemovalCount(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of a removal by a filter."""

    removed: int = 0
    refused: int = 0
    """Downloads in directories that the user may not use; they stay."""


class HistoryEditor(Protocol):
    """Actions of users on the history, without their rights."""

    async def remove(self, download: Download, *, with_file: bool) -> bool:
        """Remove a finished download; return True if its file was removed too."""
        ...

    async def remove_matching(self, criteria: HistoryFilter, can_use: Callable[[str], bool]) -> RemovalCount:
        """Remove all downloads that match, in directories for which `can_use` returns True."""
        ...

    async def last_removal(self) -> int:
        """Return the newest `ended_seq` just before the last removal; 0 without one."""
        ...


class HistoryRemoval:
    """Removes finished downloads, and what only they have: the part file that was kept for a retry."""

    def __init__(
        self,
        *,
        records: Store,
        destination: Destination,
        bus: EventBus,
        clock: Clock,
        on_removed: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the parts; `on_removed` is called when files may have been removed with downloads."""
        self._records = records
        self._destination = destination
        self._bus = bus
        self._clock = clock
        self._on_removed = on_removed

    async def remove(self, download: Download, *, with_file: bool) -> bool:
        """Remove a finished download; return True if its file was removed too.

        The file is removed first: after a crash in between, the call can be repeated. A file that is missing is no
        obstacle.

        Raises:
            InvalidStateError: the download has not finished, or was retried or removed meanwhile.
            FileChangedError: the file is not the one that the download published; nothing is removed.
        """
        ended_seq = download.result.ended_seq
        if download.state not in FINISHED or ended_seq is None:
            raise InvalidStateError(
                f"the download is {download.state}; only a finished one can be removed from the history"
            )
        is_file_removed = False
        if with_file and download.state is State.COMPLETED:
            is_file_removed = await self._destination.remove_file(
                directory=download.request.directory,
                filename=parse_filename(download.filename),
                identity=download.result.file_identity,
                checksum=download.result.checksum,
            )
        superseded = download.progress.superseded
        row = EndedRow(
            seq=download.seq,
            id=download.id,
            ended_seq=ended_seq,
            end_time=download.result.end_time or download.start_time,
            directory=download.request.directory,
            part_directory=download.part_directory,
            part_name=download.progress.part_name,
            superseded_name=None if superseded is None else superseded.part_name,
        )
        if not await self.remove_rows([row]):
            raise InvalidStateError("the download was retried or removed meanwhile")
        log.info("history_entry_removed", **log_fields(download), path=download.file_path, file_removed=is_file_removed)
        return is_file_removed

    async def remove_matching(self, criteria: HistoryFilter, can_use: Callable[[str], bool]) -> RemovalCount:
        """Remove all downloads that match, in directories for which `can_use` returns True.

        Downloads that finish meanwhile stay. Cancelled, it has removed some of them.
        """
        removed = refused = 0
        before = criteria.before_ended_seq
        while True:
            started = self._clock.monotonic()
            page = await self._records.ended_rows(replace(criteria, before_ended_seq=before, limit=CHUNK_ROWS))
            allowed = [row for row in page if can_use(row.directory)]
            removed += await self.remove_rows(allowed)
            refused += len(page) - len(allowed)
            if len(page) < CHUNK_ROWS:
                break
            before = page[-1].ended_seq
            await pause_after(self._clock.monotonic() - started)
        log.info("history_entries_removed", removed=removed, refused=refused)
        return RemovalCount(removed=removed, refused=refused)

    async def remove_rows(self, rows: Sequence[EndedRow]) -> int:
        """Remove these downloads in one transaction, unless they were retried; return how many were removed."""
        if not rows:
            return 0
        removed = await self._records.remove_ended(rows)
        if removed:
            ids = [row.id for row in removed]
            self._bus.publish(HistoryRemoved(ids=ids))
            self._records.hints.send(Topic.REMOVED, ids)
        for row in removed:
            for name in (row.part_name, row.superseded_name):
                if name is not None:
                    await discard_part(self._destination, download_id=row.id, directory=row.part_directory, name=name)
        if removed:
            self._on_removed()
        return len(removed)

    async def last_removal(self) -> int:
        """Return the newest `ended_seq` just before the last removal; 0 without one."""
        return await self._records.last_removal()
