"""Interface of a storage: part files and final files, on whichever kind of storage.

All calls may be made on the event loop; disk work runs in threads. Errors of the operating system are raised as
`DownloadError`: `InsufficientStorageError` for a full disk or quota, `InvalidPathError` for an impossible path,
`StorageRootMissingError` while the storage is missing, `StorageAwayError` while it does not answer or takes no writes,
`StorageError` for everything else.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from enum import Enum
from typing import Protocol, runtime_checkable

import msgspec

from downloadd.directory_settings import Quota
from downloadd.download import Conflict
from downloadd.metrics import StorageUsage
from downloadd.root_identity import RootIdentity
from downloadd.storage.byte_source import ByteSource, MoveResult
from downloadd.storage.free_space import UnannouncedSpace
from downloadd.storage.names import SafeName
from downloadd.storage.present_file import PresentFile


class PartEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A part file found on disk."""

    directory: str
    name: str
    download_id: str
    epoch: int


class Part(Protocol):
    """One open part file, written by one connection or by several at once."""

    @property
    def name(self) -> str:
        """Name in the destination directory."""
        ...

    @property
    def size(self) -> int:
        """End of the last byte that was written."""
        ...

    @property
    def synced(self) -> int:
        """End of the last byte at the last sync to stable storage; 0 before the first."""
        ...

    @property
    def is_held(self) -> bool:
        """True while the bytes are in memory only; `SmallFileStorage` publishes them with others."""
        ...

    @property
    def file_identity(self) -> str | None:
        """Identity of the published file, for `Destination.remove_file`; None before its publication."""
        ...

    async def write_held(self) -> None:
        """Write bytes that are in memory only to the part file.

        Raises:
            InsufficientStorageError: as for `write`.
        """
        ...

    def hash_while_writing(self, algorithms: Iterable[str]) -> None:
        """Compute digests of bytes that are written in order; call it before the first write."""
        ...

    async def reserve(self, size: int, *, missing: int) -> None:
        """Reserve space for a file of `size` bytes in all, of which `missing` are not written yet, until it is closed.

        Raises:
            FileTooLargeForDiskError: the storage does not take a file of this size.
            SpacePendingError: the missing bytes do not fit beside those that the other open parts have reserved.
            InsufficientStorageError: the disk is too small, or a quota is exceeded; the message names it.
        """
        ...

    async def write(self, pieces: Sequence[bytes | memoryview], offset: int, *, is_last: bool = False) -> None:
        """Write all pieces, in order and completely, from `offset` on.

        `is_last` says that no more bytes follow; a small file may then be held in memory.

        Raises:
            InsufficientStorageError: the disk is full, and the bytes that fitted are kept and counted in `size`; or
                `min_free` would be violated, and nothing was written.
        """
        ...

    async def receive(self, source: ByteSource, offset: int, max_bytes: int) -> MoveResult:
        """Write at most `max_bytes` bytes from a source, from `offset` on; return after a short time.

        Raises:
            NetworkError: the connection broke.
            InsufficientStorageError: the disk is full.
        """
        ...

    async def copy(self, source: "Part | PresentFile", ranges: Iterable[tuple[int, int]]) -> None:
        """Write ranges of another open part or file of this storage, each from start to end, at their place.

        A range is copied as far as the source has it. Later writes to the source do not change the copy, also where
        the file system shares the blocks of both.

        Raises:
            InsufficientStorageError: as for `write`.
        """
        ...

    async def read(self, offset: int, nbytes: int) -> bytes:
        """Return `nbytes` bytes from `offset` on, or fewer at the end of the file."""
        ...

    async def digest(self, algorithm: str) -> str:
        """Return the lower-case hex digest of all bytes; `algorithm` as in `verify.ALGORITHMS`.

        Bytes that were not hashed while they were written are read once.
        """
        ...

    async def sync(self) -> None:
        """Sync the bytes to stable storage; do nothing with `fsync = false`."""
        ...

    def start_sync(self) -> None:
        """Start to sync the bytes that are written so far; `synced` changes when it is done."""
        ...

    async def publish(
        self, filename: SafeName, *, replace: bool, last_modified: int | None, directory: str | None = None
    ) -> bool:
        """Rename the part file to its final name, atomically, and sync the name to stable storage.

        `last_modified` (Unix seconds) becomes the file's modification time. `directory` is that of the final name if
        it is another one than that of the part. The part is closed afterwards.

        Returns:
            False when `filename` is taken and `replace` is false; nothing has changed then.

        Raises:
            PartElsewhereError: the directory is on another file system; nothing has changed.
        """
        ...

    async def close(self) -> None:
        """Close the file and keep it."""
        ...

    async def remove(self) -> None:
        """Close the file and delete it."""
        ...


@runtime_checkable
class RemotePart(Protocol):
    """Part whose publication sends its bytes to another machine, which takes long."""

    @property
    def uploaded(self) -> int:
        """Number of bytes that the other machine has."""
        ...

    async def upload(self, filename: SafeName, *, last_modified: int | None, directory: str) -> None:
        """Send the bytes in advance of `Part.publish` with the same arguments, without making the name appear.

        It may be cancelled, and goes on later where it was.

        Raises:
            DownloadError: the storage does not take them at the moment.
        """
        ...


class LinkResult(Enum):
    """Result of linking a small file."""

    PUBLISHED = "published"
    """The file has its name, and both are on stable storage."""
    TAKEN = "taken"
    """Another file has the name; the part holds its bytes still."""
    UNSUITABLE = "unsuitable"
    """It must be published as an ordinary part file; the part holds its bytes still."""


class SmallFile(Protocol):
    """Held bytes of one part, with the name that they are to have."""

    @property
    def size(self) -> int:
        """Number of bytes."""
        ...

    @property
    def identity(self) -> str | None:
        """Identity of the file once it is written; None before, and if it must be an ordinary part file.

        Once the file has its name, it is the `Part.file_identity`.
        """
        ...


class SmallFileStorage(Protocol):
    """Writer of small files, many at once."""

    def make(self, part: Part, filename: SafeName, *, last_modified: int | None) -> SmallFile:
        """Return the held bytes of a part as a file to be published with others."""
        ...

    async def write(self, files: Sequence[SmallFile]) -> None:
        """Write files to stable storage, without names yet; set the identity of those that were written."""
        ...

    async def link(self, files: Sequence[SmallFile]) -> Sequence[LinkResult]:
        """Give written files their names, and sync the names; return the result for each."""
        ...

    async def discard(self, files: Sequence[SmallFile]) -> None:
        """Discard written files that will not be linked."""
        ...


class Destination(Protocol):
    """Storage that files are downloaded to."""

    @property
    def small_files(self) -> SmallFileStorage:
        """Writer of small files."""
        ...

    async def open_part(
        self,
        *,
        directory: str,
        filename: SafeName,
        download_id: str,
        epoch: int,
        existing: str | None,
        restart: int = 0,
    ) -> Part:
        """Open the part file of a run.

        `existing` names the part file of an earlier epoch. It is renamed to this epoch's name, so that a late write of
        an earlier run cannot be published. If it is missing, an empty part file is made, and the directory if needed.
        If `existing` is None, that happens at the first write or at publication. `restart` counts the part files of
        one run: a transfer that starts over writes a new file, since a later run or a published file may share the old
        one.

        An existing part is continued in place. If another process may have it open, only its name is taken away from
        that process: continue in a copy (`Part.copy`).
        """
        ...

    async def claim_part(
        self, *, directory: str, filename: SafeName, download_id: str, epoch: int, existing: str
    ) -> str | None:
        """Rename the part file of an earlier epoch as `open_part` does, without opening it; return its name.

        From then on no earlier run can publish or remove it.

        Returns:
            None if it is missing: an earlier run has published or removed it, or has not made it.
        """
        ...

    async def has_part(self, *, directory: str, name: str) -> bool:
        """Return True if a part file exists."""
        ...

    async def remove_part(self, *, directory: str, name: str) -> None:
        """Delete a part file; do nothing if it is missing."""
        ...

    async def max_name_bytes(self, *, directory: str) -> int:
        """Return the bytes of the longest name that the storage takes in a directory."""
        ...

    async def can_rename(self, *, directory: str, to: str) -> bool:
        """Return True if a file of a directory can be renamed into another one, as far as that is known before."""
        ...

    async def exists(self, *, directory: str, filename: SafeName) -> bool:
        """Return True if the final name is taken."""
        ...

    async def reserve_name(self, *, directory: str, filename: SafeName, conflict: Conflict) -> SafeName | None:
        """Reserve the name to publish under, by the conflict policy; return None for `skip` when the name is taken.

        Concurrent callers get different names under `rename`; `release_name` releases a name.

        Raises:
            FileExistsAlreadyError: for `error` when the name is taken.
        """
        ...

    def release_name(self, *, directory: str, filename: SafeName) -> None:
        """Release a name that `reserve_name` returned, once it is published or no longer needed."""
        ...

    async def is_published(
        self,
        *,
        directory: str,
        filename: SafeName,
        total: int,
        part_name: str | None,
        identity: str | None,
        part_directory: str | None = None,
        epoch: int = 0,
    ) -> bool:
        """Return True if the final file of a download that was being published at a crash is in place.

        `part_directory` is that of the part file if it is another one. A run of a later epoch than that of the part
        file, up to `epoch`, may have renamed it.

        That is so when `filename` exists with `total` bytes and the part file is missing, or is the same file (it is
        removed then). With an `identity`, that of a small file, `filename` must have it.
        """
        ...

    async def remove_file(
        self, *, directory: str, filename: SafeName, identity: str | None, checksum: str | None
    ) -> bool:
        """Remove a published file, on stable storage; return False if there is none of this name.

        Args:
            directory: its directory.
            filename: its name.
            identity: the `Part.file_identity` of its publication, if that was recorded.
            checksum: of its bytes, if it is known; decides when the identity is another one.

        Raises:
            FileChangedError: the file of this name is not the one that was published, or cannot be recognised.
        """
        ...

    def read_file(self, *, directory: str, filename: SafeName) -> AsyncIterator[bytes]:
        """Yield the content of a final file in pieces."""
        ...

    async def check_root(self) -> None:
        """Check that the storage is there, and is the one that was used before.

        Raises:
            StorageRootMissingError: it is not; see `ReplaceableRoot`.
        """
        ...

    async def try_writing(self) -> None:
        """Check the storage, and that it takes writes, by a trial.

        Raises:
            StorageAwayError: it is missing, or takes none.
        """
        ...

    async def check_directory(self, *, directory: str) -> None:
        """Check that a directory, or the nearest above it that is there, takes writes.

        Raises:
            DownloadError: it does not.
        """
        ...

    async def check_free_space(self, needed: int) -> None:
        """Check that `needed` more bytes leave `min_free` bytes free.

        Raises:
            InsufficientStorageError: they do not.
            StorageRootMissingError: the storage is missing.
        """
        ...

    async def measure_unannounced(self) -> UnannouncedSpace:
        """Measure the space that no open part has reserved.

        Raises:
            StorageRootMissingError: the storage is missing.
        """
        ...

    async def directories(self, prefix: str, limit: int) -> list[str]:
        """Return up to `limit` directories whose paths begin with `prefix` and have no slash after it, in order.

        Directories that no download can be in, and hidden ones, are left out.

        Raises:
            InvalidPathError: no directory can begin with `prefix`.
        """
        ...

    async def measure_use(self, quotas: Sequence[Quota]) -> StorageUsage:
        """Return the use of the storage and of the directories that have these quotas."""
        ...

    def list_parts(self) -> AsyncIterator[Sequence[PartEntry]]:
        """Yield all part files below the root except for open ones, in chunks, for the sweep after start."""
        ...


class ReplaceableRoot(Protocol):
    """Storage whose root may be another one than before, for example because a disk is not mounted."""

    async def accept_root(self) -> RootIdentity:
        """Use the root that is there, though it is not the one that was used before; return its identity.

        Raises:
            StorageRootMissingError: there is none.
        """
        ...
