"""Waiting list and list of results of the fake manager."""

from collections.abc import Callable

from msgspec.structs import replace
from support.downloads import with_fields
from support.fake_manager import FakeManager

from downloadd.download import Download, Snapshot
from downloadd.errors import InvalidStateError, NotFoundError
from downloadd.gid import GidNotUniqueError
from downloadd.manager.protocol import ResultCount
from downloadd.queue_move import QueueMove, QueueOrigin
from downloadd.states import FINISHED, State

LISTED = frozenset({State.QUEUED, State.PAUSED})


class FakeQueue:
    """Fake of `QueueManager`, with the order of the downloads in the manager, and of the lookup by gid."""

    def __init__(self, manager: FakeManager) -> None:
        self._manager = manager

    def _listed(self) -> list[Download]:
        rows = [row for row in self._manager.downloads.values() if row.state in LISTED]
        return sorted(rows, key=lambda row: (-row.control.priority, row.place))

    async def page(self, offset: int, limit: int) -> list[Snapshot]:
        rows = self._listed() if offset >= 0 else self._listed()[::-1]
        first = offset if offset >= 0 else -1 - offset
        return [Snapshot(download=row) for row in rows[first : first + limit]]

    async def revision(self) -> int:
        return 0

    async def move(self, id: str, move: QueueMove) -> int:
        row = self._manager.downloads.get(id)
        if row is None:
            raise NotFoundError("no download has this id")
        if row.state not in LISTED:
            raise InvalidStateError(f"the download is {row.state}; only a queued or paused one can be moved")
        rows = self._listed()
        base = {QueueOrigin.START: 0, QueueOrigin.CURRENT: rows.index(row), QueueOrigin.END: len(rows) - 1}
        index = min(max(0, base[move.origin] + move.offset), len(rows) - 1)
        rows.remove(row)
        rows.insert(index, row)
        for place, one in enumerate(rows):
            self._manager.downloads[one.id] = with_fields(one, place=float(place), priority=0)
        return index

    async def pause_all(self, can_use: Callable[[str], bool]) -> int:
        rows = [row for row in self._manager.downloads.values() if row.state not in FINISHED | {State.PAUSED}]
        return await self._set_state(State.PAUSED, [row for row in rows if can_use(row.request.directory)])

    async def resume_all(self, can_use: Callable[[str], bool]) -> int:
        rows = [row for row in self._manager.downloads.values() if row.state is State.PAUSED]
        return await self._set_state(State.QUEUED, [row for row in rows if can_use(row.request.directory)])

    async def find_gid(self, gid: str) -> Snapshot:
        found = [row for row in self._manager.downloads.values() if row.gid.startswith(gid)]
        if not found:
            raise NotFoundError("no download has this gid")
        if len(found) > 1:
            raise GidNotUniqueError
        return Snapshot(download=found[0])

    async def _set_state(self, state: State, rows: list[Download]) -> int:
        for row in rows:
            await self._manager.set_state(row.id, state)
        return len(rows)


class FakeResults:
    """Fake of `ResultManager`."""

    def __init__(self, manager: FakeManager) -> None:
        self._manager = manager

    def _shown(self) -> list[Download]:
        rows = [row for row in self._manager.downloads.values() if row.state in FINISHED and not row.result.cleared]
        return sorted(rows, key=lambda row: row.result.ended_seq or 0)

    async def page(self, offset: int, limit: int) -> list[Download]:
        return self._shown()[offset : offset + limit]

    async def revision(self) -> int:
        return 0

    async def count(self) -> ResultCount:
        finished = [row for row in self._manager.downloads.values() if row.state in FINISHED]
        return ResultCount(shown=len(self._shown()), total=len(finished))

    async def clear(self, id: str) -> None:
        row = self._manager.downloads.get(id)
        if row is None:
            raise NotFoundError("no download has this id")
        if row.state not in FINISHED:
            raise InvalidStateError("only a finished download can be cleared")
        self._manager.downloads[id] = replace(row, result=replace(row.result, cleared=True))

    async def clear_all(self) -> None:
        for row in self._shown():
            await self.clear(row.id)
