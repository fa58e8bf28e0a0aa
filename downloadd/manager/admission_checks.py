"""Checks of an admitted download that need the disk or the records: its name and its gid."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from downloadd.download import Conflict, Download
from downloadd.errors import FileExistsAlreadyError, InvalidParameterError, StorageAwayError
from downloadd.records.gids import GidRecords
from downloadd.storage.destination import Destination
from downloadd.storage.names import MIN_NAME_BYTES, check_length_of_name, parse_filename


async def _accept_all(download: Download) -> None:
    """Return for every download, where users have no quotas."""


class AdmissionChecks:
    """Checks of names and gids. A gid that passes is reserved until its download is recorded."""

    def __init__(
        self,
        destination: Destination,
        gids: GidRecords,
        *,
        check_quota: Callable[[Download], Awaitable[None]] = _accept_all,
    ) -> None:
        """Take the storage and the records.

        `check_quota` raises if a download does not fit into a quota of its user.
        """
        self._destination = destination
        self._gids = gids
        self.check_quota = check_quota
        # Those of requests that are not recorded yet: two requests at the same time may choose the same.
        self._reserved_gids: set[str] = set()

    async def check_name(self, download: Download) -> None:
        """Check that the disk takes the requested name, and that it is free if it must be.

        Raises:
            InvalidPathError: the name is too long.
            FileExistsAlreadyError: the file exists, and the request says that it may not.
        """
        if download.request.requested_name is None:
            return
        name, directory = parse_filename(download.request.requested_name), download.request.directory
        try:
            if len(name.encode()) > MIN_NAME_BYTES:
                check_length_of_name(name, await self._destination.max_name_bytes(directory=directory))
            request = download.request
            if request.conflict is not Conflict.ERROR or request.skip_same or request.pending_rules:
                # The file may be the same one, or be saved elsewhere.
                return
            exists = await self._destination.exists(directory=directory, filename=name)
        except StorageAwayError:
            # The name is checked again before anything is fetched.
            return
        if exists:
            raise FileExistsAlreadyError(download.file_path)

    @contextmanager
    def reserving_gids(self) -> Iterator[set[str]]:
        """End the reservations in the set that this yields, which `reserve_gid` adds to, with the block."""
        reserved: set[str] = set()
        try:
            yield reserved
        finally:
            self._reserved_gids -= reserved

    async def reserve_gid(self, download: Download, reserved: set[str], *, is_required: bool = True) -> Download:
        """Reserve the gid that a request chose, if it chose one, and add it to `reserved`; return the download.

        Without `is_required`, a download whose gid is taken is returned without it.

        Raises:
            InvalidParameterError: another download has it, or will have it.
        """
        gid = download.request.gid
        if gid is None:
            return download
        is_free = gid not in self._reserved_gids
        if is_free:
            self._reserved_gids.add(gid)
            reserved.add(gid)
        # Only after the reservation, so that no other request can record it in between.
        if is_free and not await self._gids.is_taken(gid):
            return download
        if is_required:
            raise InvalidParameterError("gid", "another download has it; choose another one, or none")
        return download.with_request(gid=None)
