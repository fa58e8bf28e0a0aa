"""Lookup of downloads by the gids that clients of aria2 name them by."""

from downloadd.download import Snapshot
from downloadd.errors import NotFoundError
from downloadd.gid import GidNotUniqueError, is_gid_prefix
from downloadd.manager.run_table import RunTable
from downloadd.records.gids import GidRecords


class GidLookup:
    """Finds downloads by gid."""

    def __init__(self, gids: GidRecords, runs: RunTable) -> None:
        self._gids = gids
        self._runs = runs

    async def find(self, gid: str) -> Snapshot:
        """Return the download with a gid, or with the only gid that begins with a prefix; lower case.

        Raises:
            NotFoundError: there is none, or it was removed from the list of results.
            GidNotUniqueError: several gids begin with the prefix.
        """
        rows = await self._gids.find(gid) if is_gid_prefix(gid) else []
        if not rows:
            raise NotFoundError("no download has this gid")
        if len(rows) > 1:
            raise GidNotUniqueError(f"several gids begin with {gid}; state more digits")
        return await self._runs.snapshot(rows[0])
