"""Listing of the part files below a storage root that are not open, for the sweep after start."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from weakref import WeakSet

from downloadd.storage.destination import PartEntry
from downloadd.storage.disk_threads import DiskPool, DiskThreadPools
from downloadd.storage.names import parse_part_name
from downloadd.storage.part_scan import MAX_PARTS_PER_CHUNK, PartScan
from downloadd.storage.root import StorageRoot


class OpenedPart(Protocol):
    """Part file that a run has opened."""

    @property
    def name(self) -> str:
        """Name of the file."""
        ...

    @property
    def is_closed(self) -> bool:
        """True after the part was closed."""
        ...


class PartListing:
    """Parts that were opened below a root, and the search for all others."""

    def __init__(self, root: StorageRoot, threads: DiskThreadPools) -> None:
        self._root = root
        self._threads = threads
        self._opened: WeakSet[OpenedPart] = WeakSet()

    def add(self, part: OpenedPart) -> None:
        """Leave a part out while it is open."""
        self._opened.add(part)

    async def read(self) -> AsyncIterator[Sequence[PartEntry]]:
        """Yield all part files below the root except for open ones, in chunks.

        See `PartScan` for directories that are skipped.
        """
        scan = PartScan(self._root)
        while not scan.is_complete:
            # A part may be opened or closed while its directory is read.
            open_before = self._open_ids()
            scanned = await self._threads.run(DiskPool.CALLS, "", scan.step)
            opened = open_before | self._open_ids()
            found = [part for part in scanned if (part.download_id, part.epoch) not in opened]
            for start in range(0, len(found), MAX_PARTS_PER_CHUNK):
                yield found[start : start + MAX_PARTS_PER_CHUNK]

    def _open_ids(self) -> set[tuple[str, int] | None]:
        """Return the download ids and epochs of the open parts.

        They are compared in place of names, whose spelling a disk may change.
        """
        return {parse_part_name(part.name) for part in self._opened if not part.is_closed}
