"""The Destination seam: where files lie, whichever kind of storage stands behind it.

Every call may come from the event loop and leaves disk work to threads. Errors of the operating system come out as
`DownloadError`s: `InsufficientStorageError` for a full disk or quota, `InvalidPathError` for a path that cannot be,
`StorageRootMissingError` for as long as the storage is not there, `StorageError` for everything else.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

import msgspec

from downloadd.directory_settings import Quota
from downloadd.download import Conflict
from downloadd.metrics import StorageUsage
from downloadd.storage.splice import SocketSource, SpliceResult


class PartEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A part file found on disk."""

    directory: str
    name: str
    download_id: str
    epoch: int


class Part(Protocol):
    """One open part file: the bytes that have come so far, from one connection or from several at once."""

    @property
    def name(self) -> str:
        """Its name in the destination directory."""
        ...

    @property
    def size(self) -> int:
        """Where its last byte ends."""
        ...

    @property
    def synced(self) -> int:
        """Where its last byte ended when it was last brought to stable storage; 0 before that."""
        ...

    def hash_while_writing(self, algorithms: Iterable[str]) -> None:
        """Computes digests as bytes are written one after the other; to be called before something is written."""
        ...

    async def reserve(self, size: int) -> None:
        """Sees to it that the quotas of the directory leave room for `size` bytes in all.

        Raises:
            InsufficientStorageError: one of them does not; the sentence names it.
        """
        ...

    async def write(self, pieces: Sequence[bytes | memoryview], offset: int) -> None:
        """Writes all pieces, in order, completely, from `offset` on.

        Raises:
            InsufficientStorageError: the disk is full, and what fitted is kept and counted in `size`; or
                `min_free` would not stay free, and nothing was written.
        """
        ...

    async def receive(self, source: SocketSource, offset: int, max_bytes: int) -> SpliceResult:
        """Writes what comes from a socket, at most `max_bytes` bytes, from `offset` on; returns after a moment.

        Raises:
            NetworkError: the connection broke.
            InsufficientStorageError: the disk is full.
        """
        ...

    async def read(self, offset: int, nbytes: int) -> bytes:
        """So many bytes from `offset` on, or as many as there are."""
        ...

    async def clear(self) -> None:
        """Throws the bytes away: the download starts over."""
        ...

    async def digest(self, algorithm: str) -> str:
        """The lower-case hex digest of all bytes; `algorithm` as in `verify.ALGORITHMS`.

        What was not hashed while it was written is read once.
        """
        ...

    async def sync(self) -> None:
        """Brings the bytes to stable storage (nothing with `fsync = false`)."""
        ...

    def start_sync(self) -> None:
        """Begins to bring what is there to stable storage; `synced` tells when it is done."""
        ...

    async def publish(self, filename: str, *, replace: bool, last_modified: int | None) -> bool:
        """Gives the part its final name, atomically, and brings the name to stable storage.

        `last_modified` (Unix seconds) becomes the file's modification time. Afterwards the part is closed.

        Returns:
            False when `filename` is taken and `replace` is false; nothing has changed then.
        """
        ...

    async def close(self) -> None:
        """Lets go of the file and keeps it."""
        ...

    async def remove(self) -> None:
        """Deletes the file and lets go of it."""
        ...


class Destination(Protocol):
    """A place that files are downloaded to."""

    async def open_part(
        self, *, directory: str, filename: str, download_id: str, epoch: int, existing: str | None
    ) -> Part:
        """The part of a run.

        `existing` names the part of an earlier epoch; it is taken over by renaming it to this epoch's name
        (so that a late write of an earlier run cannot be published). If it is gone, an empty part is made, and the
        directory when it is missing; if it is None, at the latest when something is written or published.
        """
        ...

    async def remove_part(self, *, directory: str, name: str) -> None:
        """Deletes a part file; does nothing when it is gone."""
        ...

    async def exists(self, *, directory: str, filename: str) -> bool:
        """Whether the final name is taken."""
        ...

    async def reserve_name(self, *, directory: str, filename: str, conflict: Conflict) -> str | None:
        """The name to publish under, by the conflict policy; None for `skip` when the name is taken.

        Concurrent callers get different names under `rename`; `release_name` gives a name back.

        Raises:
            FileExistsAlreadyError: for `error` when the name is taken.
        """
        ...

    def release_name(self, *, directory: str, filename: str) -> None:
        """Forgets a name that `reserve_name` gave, once it is published or given up."""
        ...

    async def is_published(self, *, directory: str, filename: str, total: int, part_name: str | None) -> bool:
        """For recovery: whether the final file of a download that was `publishing` is in place.

        True when `filename` exists with `total` bytes and the part is gone, or is the same file (it is removed then).
        """
        ...

    def read_file(self, *, directory: str, filename: str) -> AsyncIterator[bytes]:
        """A finished file, piece by piece."""
        ...

    async def check_free_space(self, needed: int) -> None:
        """Checks that `needed` more bytes leave `min_free` bytes free.

        Raises:
            InsufficientStorageError: they do not.
            StorageRootMissingError: the storage is not there.
        """
        ...

    async def measure_use(self, quotas: Sequence[Quota]) -> StorageUsage:
        """How full the storage is, and the directories that these quotas are for."""
        ...

    def list_parts(self) -> AsyncIterator[Sequence[PartEntry]]:
        """Yield all part files below the root but those that are open, in chunks, for the sweep after start."""
        ...
