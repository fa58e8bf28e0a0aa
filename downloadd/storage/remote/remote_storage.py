"""Interface of a storage on another machine, and what it is told of the files that it gets.

A file gets there by `Uploader`: an upload is created, its parts are sent, in any order, and its completion makes the
file appear under its key, at once. What the records have of an upload is enough to continue or abort it from any node.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from downloadd.remote_upload import RemoteUpload, UploadedPart
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.storage.finished_files import ReadableFile
from downloadd.storage.names import SafeDirectory, SafeName

CONCURRENT_PARTS: Final = 4
"""Parts of all uploads to one storage that are in memory at once."""

ReadBytes = Callable[[int, int], Awaitable[bytes]]
"""Returns bytes of the staged file, from an offset on."""


class UploadMissingError(Exception):
    """The storage does not have the upload: others have aborted it, or it is completed."""


class FileDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file besides its bytes."""

    source_url: str = ""
    """Without secrets."""
    content_type: str = ""


class StagedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A verified file on the disk, and the key that it is to have."""

    download_id: str
    key: str
    size: int
    sha256: str
    """Lower-case hex digest."""
    description: FileDescription
    last_modified: int | None
    read: ReadBytes
    report: Callable[[int], None]
    """Called with the number of bytes that the storage has."""


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a storage says of a file."""

    size: int
    modified: float
    """Unix time."""
    identity: str
    """Another file of the same key has another one, as far as the storage can tell them apart."""
    sha256: str = ""
    """Digest that was stored with the file, in hex; "" if there is none."""


class Publisher(Protocol):
    """Uploads of one storage."""

    @property
    def part_size(self) -> int:
        """Bytes of a part."""
        ...

    @property
    def max_parts(self) -> int:
        """Parts of one upload."""
        ...

    @property
    def slots(self) -> asyncio.Semaphore:
        """Limit on the parts that are in memory at once."""
        ...

    @property
    def keeps_owner(self) -> bool:
        """True if a file says by itself which download it is of.

        Otherwise the record of its upload says so, and stays until the download has ended.
        """
        ...

    def is_put(self, size: int) -> bool:
        """Return True if files of this size are stored by `put`, not by an upload."""
        ...

    async def put(self, file: StagedFile, *, replace: bool) -> str | None:
        """Store a file by one request; return its identity, None if the key is taken and may not be replaced."""
        ...

    async def create(self, file: StagedFile, upload: RemoteUpload) -> str:
        """Create an upload, which is recorded; return its id."""
        ...

    async def list_parts(self, upload: RemoteUpload, recorded: Sequence[UploadedPart]) -> dict[int, UploadedPart]:
        """Return the recorded parts that the storage has, by number.

        Raises:
            UploadMissingError: it does not have the upload.
        """
        ...

    async def send_part(self, upload: RemoteUpload, number: int, content: bytes) -> UploadedPart:
        """Send a part, in place of an earlier one with the number; it is durable when this returns.

        Raises:
            UploadMissingError: the storage does not have the upload.
        """
        ...

    async def complete(
        self, file: StagedFile, upload: RemoteUpload, parts: Sequence[UploadedPart], *, replace: bool
    ) -> str | None:
        """Make the file appear; return its identity.

        None if the key is taken and may not be replaced: the upload is left then.

        Raises:
            UploadMissingError: the storage has neither the upload nor the file.
        """
        ...

    async def abort(self, upload: RemoteUpload) -> int:
        """Abort an upload, also one whose id was lost; return the number of uploads that were there."""
        ...


class RemoteStorage(Protocol):
    """Storage that has the files of one directory and those below it.

    Each call, and each of its publisher, raises `DownloadError` if the storage does not answer, or refuses.
    """

    @property
    def path(self) -> str:
        """The directory."""
        ...

    @property
    def url(self) -> str:
        """Its place, without credentials; names it in the records."""
        ...

    @property
    def staging_size(self) -> int:
        """Bytes of the disk for files that are not sent yet; 0 for no limit."""
        ...

    @property
    def publisher(self) -> Publisher:
        """Its uploads."""
        ...

    def key_of(self, directory: SafeDirectory, filename: SafeName) -> str:
        """Return the key of a final file.

        Raises:
            InvalidPathError: it is too long.
        """
        ...

    def max_name_bytes(self, directory: SafeDirectory) -> int:
        """Return the bytes of the longest name in a directory."""
        ...

    async def check(self) -> None:
        """Check that the storage is there, and accepts the credentials."""
        ...

    async def find(self, key: str) -> FoundFile | None:
        """Return what is known of a file; None if there is none."""
        ...

    async def find_own(
        self, key: str, *, download_id: str, sha256: str | None = None, upload: RemoteUpload | None = None
    ) -> FoundFile | None:
        """Return the file if it is that of a download, with the digest if that is given.

        `upload` is what the records have of an upload of the download.
        """
        ...

    async def open_file(self, key: str, found: FoundFile, *, path: str) -> ReadableFile:
        """Open a file that was found; `path` names it in messages."""
        ...

    async def list_entries(self, directory: SafeDirectory, *, after: str, limit: int) -> list[DirectoryEntry]:
        """Return files and directories; see `FileReader.list_entries`."""
        ...

    async def remove_file(self, key: str) -> None:
        """Remove a file; do nothing if there is none."""
        ...
