"""History of the fake manager, of which entries can be removed."""

from collections.abc import Callable

from support.fake_manager import FakeManager

from downloadd.download import Download
from downloadd.errors import FileChangedError, InvalidStateError
from downloadd.events import HistoryRemoved
from downloadd.manager.history_removal import RemovalCount
from downloadd.records.protocol import HistoryFilter
from downloadd.states import FINISHED


class FakeHistory:
    """Fake of `HistoryEditor`.

    Attributes:
        changed_files: ids of downloads whose files are not those that they published.
        removed_files: ids of downloads that were removed with their files.
        filters: the filters of the removals.
    """

    def __init__(self, manager: FakeManager) -> None:
        self._manager = manager
        self._last_removal = 0
        self.changed_files: set[str] = set()
        self.removed_files: list[str] = []
        self.filters: list[HistoryFilter] = []

    async def remove(self, download: Download, *, with_file: bool) -> bool:
        if download.state not in FINISHED:
            raise InvalidStateError("only a finished download can be removed")
        if with_file and download.id in self.changed_files:
            raise FileChangedError("a is not the file that this download published")
        self._remove([download.id])
        if with_file:
            self.removed_files.append(download.id)
        return with_file

    async def remove_matching(self, criteria: HistoryFilter, can_use: Callable[[str], bool]) -> RemovalCount:
        self.filters.append(criteria)
        rows = await self._manager.history(criteria)
        removed = [row.id for row in rows if can_use(row.request.directory)]
        self._remove(removed)
        return RemovalCount(removed=len(removed), refused=len(rows) - len(removed))

    async def last_removal(self) -> int:
        return self._last_removal

    def _remove(self, ids: list[str]) -> None:
        ends = [download.result.ended_seq or 0 for download in self._manager.downloads.values()]
        self._last_removal = max(ends, default=0)
        for id in ids:
            del self._manager.downloads[id]
        self._manager.bus.publish(HistoryRemoved(ids=ids))
