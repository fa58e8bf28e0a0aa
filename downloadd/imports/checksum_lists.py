"""Lists of checksums among the files of a run: they verify the files beside them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import structlog
from msgspec.structs import replace

from downloadd.errors import DownloadError, ErrorCode, StoreUnavailableError
from downloadd.import_operation import FileStatus, ImportOperation, PendingFile
from downloadd.imports.checksum_format import MAX_LIST_BYTES, parse_checksum_list, place_of
from downloadd.records.availability import once_available
from downloadd.records.import_protocol import MAX_CHUNK_ROWS, ImportFileRecords
from downloadd.storage.destination import Destination
from downloadd.storage.names import parse_filename

log = structlog.get_logger()


class _Checksums:
    """Checksums by the URL of the list that has them, and by the directory and name of the file."""

    def __init__(self) -> None:
        self._by_place: dict[str, str] = {}
        self._by_list: dict[tuple[str, str], str] = {}

    def add(self, list_url: str, text: str) -> None:
        folder, list_name = place_of(list_url)
        for name, checksum in parse_checksum_list(list_name, text):
            self._by_place[f"{folder}{name}"] = checksum
            self._by_list[list_url, name.rpartition("/")[2]] = checksum

    def find(self, file: PendingFile) -> str | None:
        link = file.link
        if link.checksum_list:
            names = (link.name, place_of(link.url)[1])
            return next((found for name in names if (found := self._by_list.get((link.checksum_list, name)))), None)
        places = ("".join(place_of(url)) for url in (link.url, *link.mirrors))
        return next((self._by_place[place] for place in places if place in self._by_place), None)


class ChecksumLists:
    """Lists of checksums that runs have downloaded."""

    def __init__(self, *, records: ImportFileRecords, destination: Destination) -> None:
        """Take the components."""
        self._records = records
        self._destination = destination

    async def apply(self, run: ImportOperation) -> None:
        """Add the checksums of the downloaded lists to the files of a run that have none and are not started.

        The lists are those of the imports that the run downloads files of, whichever run downloaded them.
        A file whose list was given by its URL, and does not contain it, fails: it could not be verified.

        Raises:
            StoreUnavailableError: the records are unavailable.
        """
        checksums = _Checksums()
        for source in run.sources:
            async for file in _all_pages(partial(self._records.lists, source)):
                if file.path is not None:
                    checksums.add(file.link.url, await self._read(file.path))
        changed: list[PendingFile] = []
        async for file in _all_pages(partial(self._records.of_run, run.id)):
            if file.status != FileStatus.RESERVED or file.link.checksum is not None or file.link.is_checksum_list:
                continue
            found = checksums.find(file)
            if found is not None:
                changed.append(replace(file, link=replace(file.link, checksum=found)))
            elif file.link.checksum_list:
                failed = replace(file, status=FileStatus.FAILED, error=ErrorCode.CHECKSUM_MISMATCH)
                await once_available(partial(self._records.settle, failed))
            if len(changed) >= MAX_CHUNK_ROWS:
                await self._records.set_links(changed)
                changed = []
        if changed:
            await self._records.set_links(changed)

    async def _read(self, path: str) -> str:
        """Return the text of a list; "" if it cannot be read."""
        directory, _, name = path.rpartition("/")
        content = bytearray()
        try:
            async for piece in self._destination.read_file(directory=directory, filename=parse_filename(name)):
                content += piece
                if len(content) > MAX_LIST_BYTES:
                    log.warning("checksum_list_too_long", path=path)
                    return ""
        except StoreUnavailableError:
            raise
        except DownloadError as error:
            log.warning("checksum_list_unreadable", path=path, error=error.code, detail=error.detail)
            return ""
        return content.decode(errors="replace")


async def _all_pages(read: Callable[[int, int], Awaitable[list[PendingFile]]]) -> AsyncIterator[PendingFile]:
    """Yield the files of all pages; `read` takes the number of the last file and a limit."""
    after = 0
    while page := await read(after, MAX_CHUNK_ROWS):
        for file in page:
            yield file
        after = page[-1].number
