"""One SFTP server: the directory that it stands for, and its files."""

from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from asyncssh import SFTPClient, SFTPNoSuchFile

from downloadd.clock import Clock
from downloadd.config import RemoteStorageConfig
from downloadd.download import join_path
from downloadd.errors import InvalidPathError
from downloadd.remote_upload import RemoteUpload
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.storage.finished_files import ReadableFile
from downloadd.storage.names import SafeDirectory, SafeName
from downloadd.storage.remote.remote_storage import FoundFile
from downloadd.storage.sftp.attributes import describe_found, read_attributes
from downloadd.storage.sftp.finished_files import FinishedSftpFile, list_directory
from downloadd.storage.sftp.location import MAX_PATH_BYTES
from downloadd.storage.sftp.publisher import SftpPublisher, is_completed
from downloadd.storage.sftp.server import SftpServer

MAX_NAME_BYTES: Final = 255


class SftpStorage:
    """SFTP server that has the files of one directory and those below it; implements `RemoteStorage`.

    Use it in `async with`.

    Attributes:
        path: the directory.
        url: user, host and directory.
        staging_size: bytes of the disk for files that are not uploaded yet; 0 for no limit.
        publisher: its uploads.
    """

    def __init__(self, config: RemoteStorageConfig, *, clock: Clock, environment: Mapping[str, str]) -> None:
        """Make a closed storage; `environment` may hold the password."""
        self._server = SftpServer(config, clock=clock, environment=environment)
        self.path = config.path
        self.url = self._server.location.url
        self.staging_size = config.staging_size
        self.publisher = SftpPublisher(self._server, part_size=config.part_size)

    async def __aenter__(self) -> Self:
        """Check that there is a login.

        Raises:
            SftpLoginError: there is none.
        """
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    def key_of(self, directory: SafeDirectory, filename: SafeName) -> str:
        """Return the path of a final file on the server.

        Raises:
            InvalidPathError: it is too long.
        """
        key = self._server.location.key_of(join_path(directory[len(self.path) :].lstrip("/"), filename))
        if len(key.encode()) > MAX_PATH_BYTES:
            raise InvalidPathError(
                f"directory and name have {len(key.encode())} bytes on the SFTP server of {self.path}, which takes "
                f"{MAX_PATH_BYTES}"
            )
        return key

    def max_name_bytes(self, directory: SafeDirectory) -> int:
        """Return the bytes of the longest name in a directory."""
        return min(MAX_NAME_BYTES, MAX_PATH_BYTES - len(self._place_of(directory).encode()) - 1)

    async def check(self) -> None:
        """Check that the server answers, accepts the login, and has the directory."""
        await self._server.call(lambda client: client.stat(self._server.location.key_of("")))

    async def find(self, key: str) -> FoundFile | None:
        """Return what is known of a file; None if there is none."""
        attributes = await self._server.call(lambda client: read_attributes(client, key))
        return None if attributes is None else describe_found(attributes)

    async def find_own(
        self, key: str, *, download_id: str, sha256: str | None = None, upload: RemoteUpload | None = None
    ) -> FoundFile | None:
        """Return the file if the recorded upload is of it, and completed."""
        if upload is None or (upload.storage, upload.key) != (self.url, key):
            return None
        if sha256 not in {None, upload.sha256} or not await self._server.call(
            lambda client: is_completed(client, upload)
        ):
            return None
        return await self.find(key)

    async def open_file(self, key: str, found: FoundFile, *, path: str) -> ReadableFile:
        """Open a file that was found; `path` names it in messages."""
        return FinishedSftpFile(self._server, key, found, path=path)

    async def list_entries(self, directory: SafeDirectory, *, after: str, limit: int) -> list[DirectoryEntry]:
        """Return files and directories; see `FileReader.list_entries`."""
        missing = None if directory == self.path else directory
        return await list_directory(self._server, self._place_of(directory), after=after, limit=limit, missing=missing)

    async def remove_file(self, key: str) -> None:
        """Remove a file; do nothing if there is none."""

        async def run(client: SFTPClient) -> None:
            with suppress(SFTPNoSuchFile):
                await client.remove(key)

        await self._server.call(run)

    def _place_of(self, directory: SafeDirectory) -> str:
        return self._server.location.key_of(directory[len(self.path) :].lstrip("/"))
