"""One object storage: the directory that it stands for, and its files."""

from collections.abc import Callable, Mapping
from ssl import SSLContext
from types import TracebackType
from typing import Self

from downloadd.clock import Clock
from downloadd.config import RemoteStorageConfig
from downloadd.download import join_path
from downloadd.errors import InvalidPathError
from downloadd.remote_upload import RemoteUpload
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.storage.finished_files import ReadableFile
from downloadd.storage.names import SafeDirectory, SafeName
from downloadd.storage.objects.bucket import Bucket
from downloadd.storage.objects.description import describe_found, is_own
from downloadd.storage.objects.finished_objects import FinishedObject, list_objects
from downloadd.storage.objects.location import MAX_KEY_BYTES
from downloadd.storage.objects.publisher import ObjectPublisher
from downloadd.storage.remote.remote_storage import FoundFile


class ObjectStorage:
    """Bucket that has the files of one directory and those below it; implements `RemoteStorage`.

    Use it in `async with`.

    Attributes:
        path: the directory.
        url: URL of bucket and prefix.
        staging_size: bytes of the disk for files that are not uploaded yet; 0 for no limit.
        publisher: its uploads.
    """

    def __init__(
        self,
        config: RemoteStorageConfig,
        *,
        clock: Clock,
        environment: Mapping[str, str],
        tls: Callable[[str], SSLContext],
    ) -> None:
        """Make a closed storage.

        Args:
            config: its settings, checked.
            clock: the clock.
            environment: variables, which may hold the credentials.
            tls: returns the context for a host.
        """
        self._bucket = Bucket(config, clock=clock, environment=environment, tls=tls)
        self.path = config.path
        self.url = self._bucket.location.url
        self.staging_size = config.staging_size
        self.publisher = ObjectPublisher(self._bucket, part_size=config.part_size)

    async def __aenter__(self) -> Self:
        """Read the credentials.

        Raises:
            CredentialsError: there are none.
        """
        await self._bucket.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._bucket.__aexit__(kind, error, trace)

    def key_of(self, directory: SafeDirectory, filename: SafeName) -> str:
        """Return the key of a final file.

        Raises:
            InvalidPathError: it is too long.
        """
        key = self._bucket.location.key_of(join_path(directory[len(self.path) :].lstrip("/"), filename))
        if len(key.encode()) > MAX_KEY_BYTES:
            raise InvalidPathError(
                f"directory and name have {len(key.encode())} bytes with the prefix, but the object storage of "
                f"{self.path} takes {MAX_KEY_BYTES}"
            )
        return key

    def max_name_bytes(self, directory: SafeDirectory) -> int:
        """Return the bytes of the longest name in a directory."""
        return MAX_KEY_BYTES - len(self._prefix_of(directory).encode())

    async def check(self) -> None:
        """Check that the bucket is there and accepts the credentials."""
        await self._bucket.check()

    async def find(self, key: str) -> FoundFile | None:
        """Return what is known of an object; None if there is none."""
        head = await self._bucket.head(key)
        return None if head is None else describe_found(head)

    async def find_own(
        self, key: str, *, download_id: str, sha256: str | None = None, upload: RemoteUpload | None = None
    ) -> FoundFile | None:
        """Return the object if its metadata names a download, and the digest if that is given."""
        head = await self._bucket.head(key)
        if head is None or not is_own(head.metadata, download_id=download_id, sha256=sha256):
            return None
        return describe_found(head)

    async def open_file(self, key: str, found: FoundFile, *, path: str) -> ReadableFile:
        """Open an object that was found; `path` names it in messages."""
        return FinishedObject(self._bucket, key, found, path=path)

    async def list_entries(self, directory: SafeDirectory, *, after: str, limit: int) -> list[DirectoryEntry]:
        """Return files and directories; see `FileReader.list_entries`."""
        return await list_objects(
            self._bucket,
            self._prefix_of(directory),
            after=after,
            limit=limit,
            missing=None if directory == self.path else directory,
        )

    async def remove_file(self, key: str) -> None:
        """Remove an object; do nothing if there is none."""
        await self._bucket.call(lambda client: client.delete(key))

    def _prefix_of(self, directory: SafeDirectory) -> str:
        """Return the beginning of the keys of all files in a directory and below."""
        below = directory[len(self.path) :].lstrip("/")
        return self._bucket.location.key_of(f"{below}/" if below else "")
