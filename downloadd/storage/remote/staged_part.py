"""Part file of a download to another machine: staged on the disk, and uploaded at its publication."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from downloadd.errors import InsufficientStorageError, StagingFullError, StorageError
from downloadd.storage.byte_source import ByteSource, MoveResult
from downloadd.storage.destination import Part
from downloadd.storage.names import SafeDirectory, SafeName, parse_directory
from downloadd.storage.present_file import PresentFile
from downloadd.storage.remote.remote_storage import FileDescription, RemoteStorage, StagedFile
from downloadd.storage.remote.uploader import Uploader

_ALGORITHM = "sha-256"

Describe = Callable[[str], Awaitable[FileDescription]]
"""Returns what is known of the file of a download, by its id."""


class StagedPart:
    """One open part file; implements `Part` and `RemotePart`.

    Args:
        staged: the part file on the disk.
        directory: its directory.
        download_id: id of its download.
        storage: the storage of the directory.
        uploaders: returns storage and uploader of a directory; None if its files stay on the disk.
        describe: returns what is known of the file.
        has_part: returns True if a part file of a name is in the directory.
    """

    is_held = False
    """The bytes are never in memory only: an upload is a publication of its own."""

    def __init__(
        self,
        staged: Part,
        *,
        directory: SafeDirectory,
        download_id: str,
        storage: RemoteStorage,
        uploaders: Callable[[str], tuple[RemoteStorage, Uploader] | None],
        describe: Describe,
        has_part: Callable[[str], Awaitable[bool]],
    ) -> None:
        self.staged = staged
        self.file_identity: str | None = None
        self.uploaded = 0
        self._directory = directory
        self._download_id = download_id
        self._storage = storage
        self._uploaders = uploaders
        self._describe = describe
        self._has_part = has_part

    @property
    def name(self) -> str:
        """Name in the directory."""
        return self.staged.name

    @property
    def size(self) -> int:
        """End of the last byte that was written."""
        return self.staged.size

    @property
    def synced(self) -> int:
        """End of the last byte at the last sync to stable storage; 0 before the first."""
        return self.staged.synced

    async def write_held(self) -> None:
        """Do nothing: no bytes are in memory only."""

    def hash_while_writing(self, algorithms: Iterable[str]) -> None:
        """Compute digests of bytes that are written in order, and that of the upload."""
        self.staged.hash_while_writing({*algorithms, _ALGORITHM})

    async def reserve(self, size: int, *, missing: int) -> None:
        """Reserve space for a file; see `Part.reserve`.

        Raises:
            StagingFullError: it does not fit beside the files that are not uploaded yet.
            InsufficientStorageError: it never fits.
        """
        limit = self._storage.staging_size
        if limit and size > limit:
            raise InsufficientStorageError(
                f"the file has {size} bytes, but files of {self._storage.path} may have {limit} on the disk before "
                "their upload (staging_size in [[storages]])",
                permanent=True,
            )
        with self._staging():
            await self.staged.reserve(size, missing=missing)

    async def write(self, pieces: Sequence[bytes | memoryview], offset: int, *, is_last: bool = False) -> None:
        """Write all pieces, in order and completely, from `offset` on; see `Part.write`."""
        with self._staging():
            await self.staged.write(pieces, offset)

    async def receive(self, source: ByteSource, offset: int, max_bytes: int) -> MoveResult:
        """Write at most `max_bytes` bytes from a source; see `Part.receive`."""
        with self._staging():
            return await self.staged.receive(source, offset, max_bytes)

    async def copy(self, source: Part | PresentFile, ranges: Iterable[tuple[int, int]]) -> None:
        """Write ranges of another open part or file; see `Part.copy`."""
        with self._staging():
            await self.staged.copy(source.staged if isinstance(source, StagedPart) else source, ranges)

    async def read(self, offset: int, nbytes: int) -> bytes:
        """Return `nbytes` bytes from `offset` on, or fewer at the end of the file."""
        return await self.staged.read(offset, nbytes)

    async def digest(self, algorithm: str) -> str:
        """Return the lower-case hex digest of all bytes."""
        return await self.staged.digest(algorithm)

    async def sync(self) -> None:
        """Sync the bytes to stable storage."""
        await self.staged.sync()

    def start_sync(self) -> None:
        """Start to sync the bytes that are written so far."""
        self.staged.start_sync()

    async def upload(self, filename: SafeName, *, last_modified: int | None, directory: str) -> None:
        """Send the parts of a large file, without a name yet; see `RemotePart.upload`."""
        found = self._uploaders(directory)
        if found is not None:
            storage, uploader = found
            await uploader.send_parts(await self._file(storage, filename, last_modified, parse_directory(directory)))

    async def publish(
        self, filename: SafeName, *, replace: bool, last_modified: int | None, directory: str | None = None
    ) -> bool:
        """Upload the file, and remove it from the disk; see `Part.publish`.

        Returns:
            False when the name is taken and `replace` is false; nothing has changed then.
        """
        place = self._directory if directory is None else parse_directory(directory)
        found = self._uploaders(place)
        if found is None:
            published = await self.staged.publish(
                filename, replace=replace, last_modified=last_modified, directory=place
            )
            self.file_identity = self.staged.file_identity
            return published
        storage, uploader = found
        # Without bytes, none was made.
        if self.size and not await self._has_part(self.name):
            # A later run has taken the part over.
            raise StorageError(f"the part file of {filename} was removed or renamed", transient=True)
        file = await self._file(storage, filename, last_modified, place)
        self.file_identity = await uploader.publish(file, replace=replace)
        if self.file_identity is None:
            return False
        await self.staged.remove()
        return True

    async def close(self) -> None:
        """Close the file and keep it."""
        await self.staged.close()

    async def remove(self) -> None:
        """Close the file and delete it."""
        await self.staged.remove()

    async def _file(
        self, storage: RemoteStorage, filename: SafeName, last_modified: int | None, directory: SafeDirectory
    ) -> StagedFile:
        return StagedFile(
            download_id=self._download_id,
            key=storage.key_of(directory, filename),
            size=self.size,
            sha256=await self.staged.digest(_ALGORITHM),
            description=await self._describe(self._download_id),
            last_modified=last_modified,
            read=self.staged.read,
            report=self._report,
        )

    def _report(self, nbytes: int) -> None:
        self.uploaded = nbytes

    @contextmanager
    def _staging(self) -> Iterator[None]:
        """Let the download wait for uploads, and not fail, if the limit on staged files is reached."""
        limit = self._storage.staging_size
        try:
            yield
        except InsufficientStorageError as error:
            # A directory of a storage has no quota of its own; the limit is counted as one.
            if limit and error.permanent and error.directory == self._storage.path:
                raise StagingFullError(self._storage.path, limit) from error
            raise
