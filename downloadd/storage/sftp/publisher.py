"""Uploads to an SFTP server: sent to a temporary name beside the final one, which the file gets at its completion.

The id of an upload is the time of modification that the file gets: with the size, that is all that SFTP says of a file.
The temporary name follows from what was recorded before, so that an upload without a recorded id is found too.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from posixpath import dirname
from typing import Final

from asyncssh import (
    FXF_CREAT,
    FXF_WRITE,
    SFTPClient,
    SFTPFailure,
    SFTPFileAlreadyExists,
    SFTPNoSuchFile,
    SFTPOpUnsupported,
    SFTPPermissionDenied,
)

from downloadd.remote_upload import RemoteUpload, UploadedPart
from downloadd.storage.remote.remote_storage import CONCURRENT_PARTS, StagedFile, UploadMissingError
from downloadd.storage.sftp.attributes import format_identity, read_attributes
from downloadd.storage.sftp.server import SftpServer

MAX_PARTS: Final = 10_000
"""Parts of one upload: each has a row in the records."""
MAX_TIME: Final = (1 << 32) - 1
"""Latest time that version 3 of the protocol can state."""


class SftpPublisher:
    """Uploads to one server; implements `Publisher`.

    Attributes:
        part_size: bytes that are sent and synced together.
        slots: limit on the parts that are in memory at once.
    """

    max_parts = MAX_PARTS
    keeps_owner = False

    def __init__(self, server: SftpServer, *, part_size: int) -> None:
        self.part_size = part_size
        self.slots = asyncio.Semaphore(CONCURRENT_PARTS)
        self._server = server

    def is_put(self, size: int) -> bool:
        """Return False: a file of any size gets its name after its bytes."""
        return False

    async def put(self, file: StagedFile, *, replace: bool) -> str | None:
        """Never called."""
        raise NotImplementedError

    async def create(self, file: StagedFile, upload: RemoteUpload) -> str:
        """Create the temporary file, and directories that are missing; return the time that the file gets."""

        async def run(client: SFTPClient) -> None:
            temporary = temporary_name(upload)
            try:
                await self._create_file(client, temporary)
            except SFTPNoSuchFile:
                await self._make_directories(client, dirname(temporary))
                await self._create_file(client, temporary)

        await self._server.call(run)
        modified = file.last_modified
        return str(modified if modified is not None and 0 < modified <= MAX_TIME else int(upload.begun))

    async def list_parts(self, upload: RemoteUpload, recorded: Sequence[UploadedPart]) -> dict[int, UploadedPart]:
        """Return the recorded parts that the temporary file is long enough for; see `Publisher.list_parts`."""
        attributes = await self._server.call(lambda client: read_attributes(client, temporary_name(upload)))
        if attributes is None:
            raise UploadMissingError
        size = attributes.size or 0
        return {part.number: part for part in recorded if min(part.number * upload.part_size, upload.size) <= size}

    async def send_part(self, upload: RemoteUpload, number: int, content: bytes) -> UploadedPart:
        """Write a part at its place and sync it, if the server can; see `Publisher.send_part`."""

        async def run(client: SFTPClient) -> None:
            try:
                async with self._server.opened(client, temporary_name(upload), FXF_WRITE) as file:
                    await file.write(content, (number - 1) * upload.part_size)
                    with suppress(SFTPOpUnsupported):
                        await file.fsync()
            except SFTPNoSuchFile as error:
                raise UploadMissingError from error

        await self._server.call(run, nbytes=len(content))
        return UploadedPart(number=number, etag="", checksum="")

    async def complete(
        self, file: StagedFile, upload: RemoteUpload, parts: Sequence[UploadedPart], *, replace: bool
    ) -> str | None:
        """Give the temporary file its name; see `Publisher.complete`.

        It may be made again after its answer was lost: a missing temporary file has its name then.
        """

        async def run(client: SFTPClient) -> bool:
            temporary, modified = temporary_name(upload), int(upload.upload_id or 0)
            attributes = await read_attributes(client, temporary)
            if attributes is None:
                if await is_completed(client, upload):
                    return True
                raise UploadMissingError
            if attributes.size != upload.size:
                await client.remove(temporary)
                raise UploadMissingError
            await client.utime(temporary, (modified, modified))
            if replace:
                await _replace(client, temporary, upload.key)
                return True
            return await _create_name(client, temporary, upload)

        if not await self._server.call(run):
            return None
        return format_identity(upload.size, int(upload.upload_id or 0))

    async def abort(self, upload: RemoteUpload) -> int:
        """Remove the temporary file; return the number of files that were removed."""

        async def run(client: SFTPClient) -> int:
            try:
                await client.remove(temporary_name(upload))
            except SFTPNoSuchFile:
                return 0
            return 1

        return await self._server.call(run)

    async def _create_file(self, client: SFTPClient, path: str) -> None:
        async with self._server.opened(client, path, FXF_WRITE | FXF_CREAT):
            pass

    async def _make_directories(self, client: SFTPClient, directory: str) -> None:
        """Make the directories below that of the storage, which must be there: a missing one may not be mounted."""
        base = self._server.location.key_of("")
        await client.stat(base)
        place = base.rstrip("/")
        for segment in directory[len(place) :].strip("/").split("/"):
            place = f"{place}/{segment}"
            if await read_attributes(client, place) is None:
                # Another upload may come before.
                with suppress(SFTPFailure, SFTPFileAlreadyExists):
                    await client.mkdir(place)


def temporary_name(upload: RemoteUpload) -> str:
    """Return the path of the file that an upload is sent to; uploads of one download have different ones."""
    directory = dirname(upload.key).rstrip("/")
    return f"{directory}/.{upload.download_id}.{int(upload.begun * 1000):x}.part"


async def is_completed(client: SFTPClient, upload: RemoteUpload) -> bool:
    """Return True if an upload has its name; finish the removal of the temporary name.

    So it is if the temporary file is missing, and that of the name has size and time of the upload, or if both are one
    file: a link was made, and the connection broke then.
    """
    if upload.upload_id is None:
        return False
    modified = int(upload.upload_id)
    found = await read_attributes(client, upload.key)
    if found is None or (found.size, found.mtime) != (upload.size, modified):
        return False
    temporary = temporary_name(upload)
    if await read_attributes(client, temporary) is None:
        return True
    # SFTP does not say which names are of one file. A change of one name shows with the other.
    other = modified - 1 if modified else 1
    await client.utime(temporary, (other, other))
    seen = await read_attributes(client, upload.key)
    await client.utime(temporary, (modified, modified))
    if seen is None or seen.mtime != other:
        return False
    await client.remove(temporary)
    return True


async def _replace(client: SFTPClient, temporary: str, path: str) -> None:
    """Give a file a name, in place of another file."""
    try:
        await client.posix_rename(temporary, path)
    except SFTPOpUnsupported:
        # Between the two requests, there is no file of the name.
        with suppress(SFTPNoSuchFile):
            await client.remove(path)
        await client.rename(temporary, path)


async def _create_name(client: SFTPClient, temporary: str, upload: RemoteUpload) -> bool:
    """Give a file a name that no file has; return False if one has it."""
    for is_linked in (True, False):
        try:
            if is_linked:
                await client.link(temporary, upload.key)
            else:
                # Refused by servers if there is a file of the name.
                await client.rename(temporary, upload.key)
        except (SFTPOpUnsupported, SFTPFailure, SFTPFileAlreadyExists, SFTPPermissionDenied):
            if await is_completed(client, upload):
                return True
            if await read_attributes(client, upload.key) is not None:
                return False
            # The server or its file system has no hard links.
            if not is_linked:
                raise
        else:
            if is_linked:
                await client.remove(temporary)
            return True
    raise AssertionError
