"""Extraction of an archive into a directory beside it.

Each file is written as those of downloads are, within the quotas and `min_free`, and appears as a whole or not at all.
A file that is there with the same content is left, so that an extraction that was interrupted can be repeated.
"""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any, BinaryIO, Final

import msgspec

from downloadd.download import Download, join_path
from downloadd.errors import InvalidPathError
from downloadd.hooks.extraction_plan import PlannedFile, plan_files
from downloadd.hooks.unpacked_archive import UnpackedArchive, find_format
from downloadd.imports.archive_entries import ArchiveEntries
from downloadd.imports.archives import open_archive
from downloadd.imports.refusal import ImportRefusedError
from downloadd.storage.destination import Destination, Part
from downloadd.storage.names import avoid_reserved, numbered_name, sanitize_name, shorten_name
from downloadd.storage.saved_content import is_saved
from downloadd.verify import DEFAULT_ALGORITHM, format_checksum

HEADER_BYTES: Final = 1 << 30
"""Bytes that an archive may have beside those of its files, such as headers."""


class ExtractionRefusedError(Exception):
    """Archive that cannot be extracted; the text says why."""


class Extracted(msgspec.Struct, frozen=True, kw_only=True):
    """Result of an extraction."""

    directory: str
    """Directory of the files, below the storage root."""
    files: int
    skipped: int
    """Number of links, devices and files with the name of a later one."""


async def extract_archive(
    file: BinaryIO, download: Download, *, stem: str, max_bytes: int, destination: Destination
) -> Extracted:
    """Extract the archive of a download to the directory `stem` beside it; 0 `max_bytes` for no limit.

    Raises:
        ExtractionRefusedError: it is damaged, encrypted or no archive, has unsafe names, or exceeds a limit.
        LibraryMissingError: the library that reads it is not installed.
        DownloadError: the storage failed, or has no room.
    """
    directory = avoid_reserved(join_path(download.request.directory, sanitize_name(stem)))
    try:
        # All of a packed tar archive is unpacked to find its files.
        max_unpacked = max_bytes + HEADER_BYTES if max_bytes else None
        archive = await asyncio.to_thread(_open, file, max_unpacked)
        try:
            names = sorted(archive.names, key=archive.position)
            _check_size(archive, names, max_bytes)
            for number, planned in enumerate(await asyncio.to_thread(plan_files, names, directory)):
                await _FileWriter(destination, download, planned, number).write(archive)
        finally:
            archive.close()
    except (ImportRefusedError, InvalidPathError, KeyError) as error:
        raise ExtractionRefusedError(f"the archive cannot be extracted: {error}") from error
    return Extracted(directory=directory, files=len(names), skipped=len(archive.specials) + len(archive.duplicates))


def _open(file: BinaryIO, max_unpacked: int | None) -> ArchiveEntries[Any]:
    format = find_format(file)
    return open_archive(file, max_unpacked=max_unpacked) if format is None else UnpackedArchive(file, format)


def _check_size(archive: ArchiveEntries[Any], names: Sequence[str], max_bytes: int) -> None:
    # The sizes are those that the archive declares; readers of archives return no more than these.
    total = sum(map(archive.size, names))
    if max_bytes and total > max_bytes:
        raise ExtractionRefusedError(
            f"the files of the archive have {total} bytes together, more than max_extracted_size ({max_bytes})"
        )


class _FileWriter:
    """Writer of one file of an archive; `number` is its place in the archive."""

    def __init__(self, destination: Destination, download: Download, planned: PlannedFile, number: int) -> None:
        self._destination = destination
        self._download = download
        self._planned = planned
        self._number = number

    async def write(self, archive: ArchiveEntries[Any]) -> None:
        """Write the file."""
        part = await self._destination.open_part(
            directory=self._planned.directory,
            filename=self._planned.filename,
            download_id=self._download.id,
            epoch=self._download.epoch,
            existing=None,
            restart=self._number,
        )
        try:
            await self._publish(part, checksum=await self._copy(archive, part))
        finally:
            await part.remove()

    async def _copy(self, archive: ArchiveEntries[Any], part: Part) -> str:
        """Write the content to the part file; return its checksum."""
        part.hash_while_writing((DEFAULT_ALGORITHM,))
        entry = self._planned.entry
        size = archive.size(entry)
        await part.reserve(size, missing=size)
        pieces = archive.pieces(entry)
        while piece := await asyncio.to_thread(next, pieces, b""):
            if part.size + len(piece) > size:
                raise ExtractionRefusedError(f"{entry!r} is longer than the archive declares")
            await part.write([piece], part.size)
        await part.sync()
        return format_checksum(DEFAULT_ALGORITHM, await part.digest(DEFAULT_ALGORITHM))

    async def _publish(self, part: Part, *, checksum: str) -> None:
        """Give the part file its name, or a free one with a number, unless the file of that name has its content."""
        max_bytes = await self._destination.max_name_bytes(directory=self._planned.directory)
        name = shorten_name(self._planned.filename, max_bytes)
        for number in count():
            candidate = numbered_name(name, number, max_bytes=max_bytes) if number else name
            if await is_saved(
                self._destination, directory=self._planned.directory, filename=candidate, checksum=checksum
            ):
                return
            if await part.publish(candidate, replace=False, last_modified=self._download.progress.last_modified):
                return
