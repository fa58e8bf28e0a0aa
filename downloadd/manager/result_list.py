"""The list of results, which clients of aria2 show and clear; the history keeps all of them."""

from downloadd.download import Download
from downloadd.errors import NotFoundError
from downloadd.manager import lifecycle
from downloadd.manager.protocol import ResultCount
from downloadd.records.protocol import Records
from downloadd.records.results import ResultRecords


class ResultList:
    """The newest ended downloads that no user has cleared."""

    def __init__(self, records: Records, results: ResultRecords) -> None:
        self._records = records
        self._results = results

    async def page(self, offset: int, limit: int) -> list[Download]:
        """Return a part of the list, oldest end first."""
        return await self._results.page(offset, limit)

    async def revision(self) -> int:
        """Return a number that grows when the list or a row of it has changed."""
        return await self._results.revision()

    async def count(self) -> ResultCount:
        """Return the length of the list, and the number of all ended downloads."""
        return ResultCount(shown=await self._results.count(), total=await self._records.ended_count())

    async def clear(self, id: str) -> None:
        """Remove an ended download from the list, durably.

        Raises:
            NotFoundError: the id is unknown.
            InvalidStateError: the download has not ended.
        """
        if await self._records.amend(id, lifecycle.clear_result) is None:
            raise NotFoundError("no download has this id")

    async def clear_all(self) -> None:
        """Remove all downloads that have ended so far from the list, durably."""
        await self._results.clear_all()
