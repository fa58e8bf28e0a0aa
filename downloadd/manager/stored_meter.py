"""Bytes that the files of users with a quota for them hold on the disk.

The files are those that the records name, with their sizes on the disk; one that is gone does not count. A count is
kept up to date by the runs of this process, and repeated before it refuses anything, because users remove files by
hand. It is also repeated before it accepts anything if other nodes have runs of their own.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import DownloadError, NotFoundError, UserQuotaError
from downloadd.records.user_files import UserFile, UserFiles
from downloadd.sizes import format_rounded_size
from downloadd.states import State
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.user_quota import UserQuota

log = structlog.get_logger()

MAX_COUNT_AGE_SECONDS: Final = 5.0
"""Seconds after which a count is repeated before it decides."""
LISTING_ENTRIES: Final = 10_000
"""Entries of a directory that one listing returns."""


class FileLister(Protocol):
    """The part of `FileReader` that a count needs."""

    async def list_entries(self, directory: str, *, after: str, limit: int) -> list[DirectoryEntry]:
        """Return files and directories; see `FileReader.list_entries`."""
        ...


class StoredMeter:
    """Counts the bytes of the files of each user with a quota for them."""

    def __init__(self, records: UserFiles, files: FileLister, clock: Clock, *, is_shared: bool = False) -> None:
        """Take the records of the files, the storage that has them, and the clock.

        With `is_shared`, other nodes store files too.
        """
        self._is_shared = is_shared
        self._records = records
        self._files = files
        self._clock = clock
        self._limits: Mapping[str, int] = {}
        self._closed: dict[str, int] = {}
        self._counted_at: dict[str, float] = {}
        self._charges: dict[str, dict[str, int]] = {}
        self._changes = 0
        self._lock = asyncio.Lock()

    def configure(self, quotas: Mapping[str, UserQuota]) -> None:
        """Replace the quotas."""
        self._limits = {user: quota.stored_bytes for user, quota in quotas.items() if quota.stored_bytes is not None}
        self._records.owners = self._limits.keys()
        self._counted_at.clear()

    def limit(self, user: str) -> int | None:
        """Return the bytes that the files of a user may hold; None for no limit."""
        return self._limits.get(user)

    def invalidate(self) -> None:
        """Count anew before the next decision, because files were removed."""
        self._counted_at.clear()

    async def used(self, user: str) -> int:
        """Return the bytes that the files of a user with a quota hold, with the announced ones of running downloads."""
        await self.refresh(user)
        return self.known(user)

    def known(self, user: str) -> int:
        """Return what `used` does, as it was counted last."""
        return self._closed.get(user, 0) + sum(self._charges.get(user, {}).values())

    async def require(self, user: str, more: int) -> None:
        """Return if `more` bytes of a user fit.

        Raises:
            UserQuotaError: they do not.
        """
        limit = self.limit(user)
        if limit is None:
            return
        if self._is_shared or user not in self._closed or self.known(user) + more > limit:
            await self.refresh(user)
        used = self.known(user)
        if used + more > limit:
            raise UserQuotaError(
                f"the files of {user} hold {format_rounded_size(used)} of {format_rounded_size(limit)} "
                f"(stored_bytes in [[users]]), and {format_rounded_size(more)} more do not fit; "
                "remove files of earlier downloads first"
            )

    def begin(self, download: Download) -> None:
        """Charge a run with what its part file has, which is not counted elsewhere while it runs."""
        charges = self._charges.setdefault(download.user, {})
        charges[download.id] = size = size_on_disk(download)
        self._changes += 1
        self._adjust(download.user, -size)

    async def charge(self, user: str, id: str, size: int) -> None:
        """Charge the run of a download with `size` bytes in all.

        Raises:
            UserQuotaError: they do not fit.
        """
        charges = self._charges.setdefault(user, {})
        more = size - charges.get(id, 0)
        if more > 0:
            await self.require(user, more)
            charges[id] = size

    def left(self, user: str) -> int:
        """Return the bytes of a user with a quota that fit beside those that are counted already."""
        return max(0, (self.limit(user) or 0) - self.known(user))

    def end(self, download: Download, size: int) -> None:
        """Charge a run no longer, which has left `size` bytes on the disk."""
        charges = self._charges.get(download.user, {})
        if charges.pop(download.id, None) is not None:
            self._adjust(download.user, size)
            self._changes += 1
        if not charges:
            self._charges.pop(download.user, None)

    def _adjust(self, user: str, nbytes: int) -> None:
        if user in self._closed:
            self._closed[user] = max(0, self._closed[user] + nbytes)

    async def refresh(self, user: str) -> None:
        """Count the files of a user, unless that was done a moment ago."""
        async with self._lock:
            counted_at = self._counted_at.get(user)
            if counted_at is not None and self._clock.monotonic() - counted_at < MAX_COUNT_AGE_SECONDS:
                return
            changes = self._changes
            try:
                running = tuple(self._charges.get(user, {}))
                counted = await self._count(user)
                parts = await self._records.part_bytes(user, without=running)
            except DownloadError as error:
                # The records or the disk are away; the last count decides.
                log.warning("user_files_not_counted", user=user, detail=error.detail)
                return
            self._closed[user] = counted + parts
            if changes == self._changes:
                # Otherwise a run has begun or ended meanwhile, and may be counted twice or not at all.
                self._counted_at[user] = self._clock.monotonic()

    async def _count(self, user: str) -> int:
        by_directory: dict[str, dict[str, UserFile]] = {}
        for one in await self._records.files(user):
            by_directory.setdefault(one.directory, {})[one.filename] = one
        total = 0
        gone: list[UserFile] = []
        for directory, files in by_directory.items():
            sizes = await self._read_sizes(directory, files)
            total += sum(sizes.values())
            gone += [one for name, one in files.items() if name not in sizes and one.is_removed]
        if gone:
            await self._records.forget(user, gone)
        return total

    async def _read_sizes(self, directory: str, names: Iterable[str]) -> Mapping[str, int]:
        """Return the sizes of the files of these names that are there."""
        wanted, sizes, after = set(names), {}, ""
        while True:
            entries = await self._list(directory, after)
            sizes.update({one.name: one.size for one in entries if one.name in wanted and not one.is_directory})
            if len(entries) < LISTING_ENTRIES or len(sizes) == len(wanted):
                return sizes
            after = entries[-1].name

    async def _list(self, directory: str, after: str) -> Sequence[DirectoryEntry]:
        try:
            return await self._files.list_entries(directory, after=after, limit=LISTING_ENTRIES)
        except NotFoundError:
            return ()


def size_on_disk(download: Download | None) -> int:
    """Return the bytes that a download holds on the disk after a run; None for one that another run holds."""
    if download is None:
        return 0
    if download.state is State.COMPLETED:
        return download.progress.total or download.progress.received
    return 0 if download.progress.part_name is None else download.progress.received
