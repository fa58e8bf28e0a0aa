"""Reading of finished files on an SFTP server."""

from heapq import nsmallest
from types import TracebackType
from typing import BinaryIO, Self

from asyncssh import FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_REGULAR, SFTPClient, SFTPClientFile, SFTPNoSuchFile

from downloadd.errors import FileChangedError, NotFoundError
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.storage.remote.remote_files import is_shown, refuse_duplicate
from downloadd.storage.remote.remote_storage import FoundFile
from downloadd.storage.sftp.attributes import describe_found
from downloadd.storage.sftp.server import SftpServer


class FinishedSftpFile:
    """An open finished file; implements `ReadableFile`. It stays the same if another file gets its name."""

    def __init__(self, server: SftpServer, key: str, found: FoundFile, *, path: str) -> None:
        self.size = found.size
        self.modified_ns = int(found.modified) * 10**9
        self._server = server
        self._key = key
        self._found = found
        self._path = path
        self._file: SFTPClientFile | None = None
        self._client: SFTPClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            await self._server.close_quietly(file)

    async def read(self, offset: int, nbytes: int) -> bytes:
        """Return `nbytes` bytes from `offset` on, or fewer at the end of the file.

        Raises:
            FileChangedError: it was replaced meanwhile.
            DownloadError: the server does not answer.
        """
        if offset >= self.size or nbytes <= 0:
            return b""

        async def run(client: SFTPClient) -> bytes:
            if self._file is None or self._client is not client:
                # A handle is of one connection.
                self._file, self._client = await self._open(client), client
            content: bytes = await self._file.read(min(nbytes, self.size - offset), offset)
            return content

        return await self._server.call(run, nbytes=nbytes)

    def duplicate(self) -> BinaryIO:
        """Refuse: the file is not on this machine."""
        refuse_duplicate(self._path)

    async def _open(self, client: SFTPClient) -> SFTPClientFile:
        error = FileChangedError(f"{self._path} was replaced or removed while it was read")
        try:
            file = await client.open(self._key, "rb")
        except SFTPNoSuchFile:
            raise error from None
        if describe_found(await file.stat()) != self._found:
            await file.close()
            raise error
        return file


async def list_directory(
    server: SftpServer, place: str, *, after: str, limit: int, missing: str | None
) -> list[DirectoryEntry]:
    """Return files and directories of a directory; see `FileReader.list_entries`.

    Raises:
        NotFoundError: there is no such directory, and `missing` names it.
    """

    async def run(client: SFTPClient) -> list[DirectoryEntry]:
        entries: list[DirectoryEntry] = []
        try:
            async for each in client.scandir(place):
                name, attributes = str(each.filename), each.attrs
                is_directory = attributes.type == FILEXFER_TYPE_DIRECTORY
                if name > after and is_shown(name) and (is_directory or attributes.type == FILEXFER_TYPE_REGULAR):
                    found = describe_found(attributes)
                    entries.append(
                        DirectoryEntry(
                            name=name,
                            is_directory=is_directory,
                            size=0 if is_directory else found.size,
                            modified=0 if is_directory else int(found.modified),
                        )
                    )
        except SFTPNoSuchFile:
            if missing is None:
                raise
            raise NotFoundError(f"there is no directory {missing}") from None
        return entries

    return nsmallest(limit, await server.call(run), key=lambda entry: entry.name)
