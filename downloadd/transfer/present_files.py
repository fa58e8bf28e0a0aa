"""Comparison of the file that has the name of a download with what the origin and the user say of its content."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final

import msgspec

from downloadd.download import Download
from downloadd.errors import StorageError
from downloadd.records.known_files import KnownFileRecords
from downloadd.request_fields import Method
from downloadd.storage.destination import Part
from downloadd.storage.finished_files import FileReader
from downloadd.storage.names import parse_filename
from downloadd.storage.present_file import PresentFile
from downloadd.transfer.known_content import is_same_version, may_share, resource_of_url
from downloadd.transfer.representation import Representation
from downloadd.verify import DEFAULT_ALGORITHM, checksum_algorithm, format_checksum, strongest

READ_MARGIN_SECONDS: Final = 60.0
"""Seconds that reading a file may take in addition to those by its size."""

MIN_DISK_BYTES_PER_SECOND: Final = 1 << 20
"""Bytes a second at which a file is read at least."""


class Comparison(Enum):
    """Result of a comparison with a response."""

    SAME = "same"
    OTHER = "other"
    """It has other bytes, or nothing proves that they are the same."""
    UNDECIDED = "undecided"
    """Its checksum decides, which takes long: the response is released before."""


class KnownFile(msgspec.Struct, frozen=True, kw_only=True):
    """An open file, with the download that has published it."""

    download: Download
    file: PresentFile


class PresentFiles:
    """Files that are on the disk, compared with representations; for all downloads."""

    def __init__(self, files: FileReader, known: KnownFileRecords, *, may_reuse: bool = False) -> None:
        """Make a comparison of the files of a storage, by the records of their downloads.

        `may_reuse` lets downloads copy files of earlier ones.
        """
        self.may_reuse = may_reuse
        self._files = files
        self._known = known

    async def open_known(self, download: Download, url: str, matches: Callable[[Download], bool]) -> KnownFile | None:
        """Return the open file of the newest download of `url` that matches and is as it was published.

        It is one that may be shared with `download`.
        """
        resource = resource_of_url(url)
        for row in [] if resource is None else await self._known.find(resource):
            if not (may_share(row, download) and matches(row)):
                continue
            file = await self._files.open_present(
                directory=row.request.directory, filename=parse_filename(row.filename)
            )
            if file is None:
                continue
            if file.size == row.progress.total and file.is_as_published(row.result.file_identity):
                return KnownFile(download=row, file=file)
            file.close()
        return None

    @asynccontextmanager
    async def opening(
        self, download: Download, url: str, matches: Callable[[Download], bool]
    ) -> AsyncIterator[KnownFile | None]:
        """Return the context of the file that `open_known` opens."""
        known = await self.open_known(download, url, matches)
        try:
            yield known
        finally:
            if known is not None:
                known.file.close()

    async def has_checksum(self, download: Download, checksum: str) -> bool:
        """Return True if the file that has the name of a download has a checksum, in the normal form of `verify`."""
        algorithm = checksum_algorithm(checksum)
        file = await self._files.open_present(
            directory=download.request.directory, filename=parse_filename(download.filename)
        )
        if file is None:
            return False
        async with file, reading_limited(file, download.file_path):
            return format_checksum(algorithm, await file.digest(algorithm)) == checksum and await file.is_unchanged()

    async def has_content(self, download: Download, part: Part) -> bool:
        """Return True if the file that has the name of a download has the bytes of a part."""
        file = await self._files.open_present(
            directory=download.request.directory, filename=parse_filename(download.filename)
        )
        if file is None:
            return False
        async with file, reading_limited(file, download.file_path):
            if file.size != part.size:
                return False
            present, received = await file.digest(DEFAULT_ALGORITHM), await part.digest(DEFAULT_ALGORITHM)
            return present == received and await file.is_unchanged()

    async def has_version(
        self, download: Download, found: Representation, *, url: str, final_url_digest: str | None
    ) -> bool | None:
        """Return True if the file that has the name of a download was published with the version of a response.

        None if it has the length of the representation, and nothing is known of its version.
        """
        directory, filename = download.request.directory, parse_filename(download.filename)
        file = await self._files.open_present(directory=directory, filename=filename)
        if file is None:
            return False
        async with file:
            if file.size != found.total:
                return False
            resource = resource_of_url(url)
            known = [] if resource is None else await self._known.find(resource)
            return (
                any(
                    (row.request.directory, row.filename) == (directory, filename)
                    and file.is_as_published(row.result.file_identity)
                    and may_share(row, download)
                    and is_same_version(row, found, final_url_digest=final_url_digest)
                    for row in known
                )
                or None
            )


@asynccontextmanager
async def reading_limited(file: PresentFile, path: str) -> AsyncIterator[None]:
    """Limit the time in which a file is read completely.

    Raises:
        StorageError: the disk has not read it in time.
    """
    try:
        async with asyncio.timeout(READ_MARGIN_SECONDS + file.size / MIN_DISK_BYTES_PER_SECOND):
            yield
    except TimeoutError:
        raise StorageError(f"{path} could not be read within the time that a slow disk needs", transient=True) from None


class PresentFileCheck:
    """Comparison for one attempt of a download with `skip_same`; each file is compared once.

    Attributes:
        is_reading: True while a file is read, which has a time limit of its own.
    """

    def __init__(self, files: PresentFiles) -> None:
        self.is_reading = False
        self._files = files
        self._is_done = False
        self._awaited: str | None = None

    async def is_same_by_request(self, download: Download) -> bool:
        """Return True if the file has the checksum that the request states, before the origin is asked."""
        if not _may_compare(download):
            return False
        self._awaited = download.request.requested_checksum
        return await self.is_same_by_checksum(download)

    async def is_same_by_checksum(self, download: Download) -> bool:
        """Return True if the file has the checksum that an undecided comparison needs."""
        checksum, self._awaited = self._awaited, None
        if checksum is None:
            return False
        self._is_done = self.is_reading = True
        try:
            return await self._files.has_checksum(download, checksum)
        finally:
            self.is_reading = False

    async def compare(
        self, download: Download, found: Representation, *, url: str, final_url_digest: str | None
    ) -> Comparison:
        """Compare the file with the representation of a response to a request for `url`."""
        if self._is_done or not _may_compare(download):
            return Comparison.OTHER
        # It alone decides: the origin may have another file than the user wants.
        self._awaited = download.request.requested_checksum
        if self._awaited is None:
            has_version = await self._files.has_version(download, found, url=url, final_url_digest=final_url_digest)
            if has_version is not None:
                return Comparison.SAME if has_version else Comparison.OTHER
            digests = [digest.checksum for digest in found.origin_digests]
            self._awaited = strongest(*digests) if digests else None
        return Comparison.OTHER if self._awaited is None else Comparison.UNDECIDED


def _may_compare(download: Download) -> bool:
    # Another method changes something at the origin: it is sent, once, and its response may be another each time.
    return download.request.skip_same and download.request.method is Method.GET
