"""Upload of a staged file to another machine, as it is recorded, and the protocol of its records."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class UploadedPart(msgspec.Struct, frozen=True, kw_only=True):
    """Part of an upload that the other machine has."""

    number: int
    """From 1 on."""
    etag: str
    """Entity tag, without quotes; "" where parts have none."""
    checksum: str
    """SHA-256, in Base64; "" where parts have none."""


class RemoteUpload(msgspec.Struct, frozen=True, kw_only=True):
    """Upload of the file of a download, in parts."""

    download_id: str
    storage: str
    """URL of the storage, as the configuration has it."""
    key: str
    """Name of the file there."""
    size: int
    """Bytes of the file."""
    sha256: str
    """Digest of the file, in hex: only the same file may continue the upload."""
    part_size: int
    """Bytes of each part but the last."""
    begun: float
    """Unix time before the upload was created."""
    upload_id: str | None = None
    """Id at the storage; None while the answer to its creation is not recorded."""


class UploadRecords(Protocol):
    """Durable records of uploads; a download has one at most.

    Raises:
        StoreUnavailableError: the records cannot be used at the moment.
    """

    async def find(self, download_id: str) -> tuple[RemoteUpload, Sequence[UploadedPart]] | None:
        """Return the upload of a download and its parts in order; None without one."""
        ...

    async def begin(self, upload: RemoteUpload) -> None:
        """Record an upload before it is created, in place of an earlier one of the download."""
        ...

    async def set_id(self, upload: RemoteUpload, upload_id: str) -> bool:
        """Record the id of an upload that was created; return False if it is not the recorded one any more."""
        ...

    async def add_part(self, upload: RemoteUpload, part: UploadedPart) -> bool:
        """Record a part; return False if another upload is recorded for the download, or none."""
        ...

    async def remove(self, upload: RemoteUpload) -> None:
        """Remove an upload that was aborted or completed; do nothing if another one is recorded."""
        ...

    async def abandoned(self, *, begun_before: float) -> Sequence[RemoteUpload]:
        """Return the uploads of downloads that have ended without a part file, or are not in the records.

        Files of imports are not downloads in the records: of uploads without a download, only those that were begun
        before a time are returned.
        """
        ...
