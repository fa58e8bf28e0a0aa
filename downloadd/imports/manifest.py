"""Manifest of an import: a file in its directory that lists the outcome of each of its files."""

import msgspec
import structlog
from msgspec import UNSET, UnsetType

from downloadd.errors import DownloadError, StoreUnavailableError
from downloadd.import_operation import ImportOperation, PendingFile, SkippedEntry
from downloadd.import_part import part_id_of
from downloadd.imports.layout import MANIFEST_NAME, format_import_directory
from downloadd.imports.operations import Operations
from downloadd.policy.redaction import redact_url
from downloadd.records.import_protocol import MAX_CHUNK_ROWS, ImportRecords
from downloadd.storage.destination import Destination

log = structlog.get_logger()


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `manifest.jsonl`."""

    file_id: str
    channel: str
    user: str
    message_time: float | None
    url: str
    path: str | None
    size: int | None
    sha256: str | None
    status: str
    error: str | None
    """Error code of a failed file, or reason of a skipped entry."""
    detail: str | UnsetType = UNSET
    """Sentence about a failed file or a skipped entry."""
    entry: str | UnsetType = UNSET
    """Name of the entry of the archive that a skipped entry is in."""
    line: int | UnsetType = UNSET
    """Line, row or element of a skipped entry."""


class ManifestWriter:
    """Writer of manifests: first the files, then the skipped entries."""

    def __init__(
        self, *, operations: Operations, records: ImportRecords, destination: Destination, directory: str
    ) -> None:
        """Take the components, and the directory of all imports."""
        self._operations = operations
        self._records = records
        self._destination = destination
        self._directory = directory

    async def write_all(self, run: ImportOperation) -> None:
        """Write the manifest of an import, or of each one that a run has files of; log failures of the storage.

        Raises:
            ImportFencedError: another driver has taken over the operation.
            StoreUnavailableError: the records are unavailable.
        """
        sources = await self._records.operations.sources(run.id) if run.pending_kind is not None else (run,)
        for source in sources:
            try:
                await self._write(run, source)
            except StoreUnavailableError:
                raise
            except DownloadError as error:
                log.warning("manifest_write_failed", operation=run.id, error=error.code, detail=error.detail)

    async def _write(self, run: ImportOperation, source: ImportOperation) -> None:
        # The sweep leaves the part of an operation alone while its epoch is the last one.
        part = await self._destination.open_part(
            directory=format_import_directory(self._directory, source.started_at, source.name),
            filename=MANIFEST_NAME,
            download_id=part_id_of(run.id),
            epoch=run.epoch,
            existing=None,
        )
        try:
            after = 0
            while chunk := await self._records.files.of_import(source.id, after, MAX_CHUNK_ROWS):
                lines = [msgspec.json.encode(make_manifest_entry(file)) + b"\n" for file in chunk]
                await part.write(lines, part.size)
                after = chunk[-1].number
            after = 0
            while skipped := await self._records.contents.skipped(source.id, after, MAX_CHUNK_ROWS):
                lines = [msgspec.json.encode(make_skipped_entry(entry)) + b"\n" for _, entry in skipped]
                await part.write(lines, part.size)
                after = skipped[-1][0]
            await part.sync()
            await self._operations.require_driver(run)
            await part.publish(MANIFEST_NAME, replace=True, last_modified=None)
        finally:
            await part.remove()


def make_manifest_entry(file: PendingFile) -> ManifestEntry:
    """Return the entry of a file, without the secrets of its URL."""
    link = file.link
    algorithm, _, digest = (file.saved_checksum or "").partition("=")
    return ManifestEntry(
        file_id=link.file_id,
        channel=file.channel,
        user=link.user,
        message_time=link.time,
        url=redact_url(link.url) if link.url else "",
        path=file.path,
        size=file.saved_size,
        sha256=digest if algorithm == "sha-256" else None,
        status=file.status,
        error=file.error,
        detail=UNSET if file.error_detail is None else file.error_detail,
    )


def make_skipped_entry(skipped: SkippedEntry) -> ManifestEntry:
    """Return the entry of a part of the import file that is not imported."""
    return ManifestEntry(
        file_id=skipped.file_id,
        channel=skipped.channel or skipped.channel_id,
        user="",
        message_time=None,
        url="",
        path=None,
        size=None,
        sha256=None,
        status="skipped",
        error=skipped.reason,
        detail=skipped.detail,
        entry=skipped.entry or UNSET,
        line=UNSET if skipped.line is None else skipped.line,
    )
