"""Lists of checksums among the files of a run: they verify the files beside them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from io import BytesIO
from typing import Final

import structlog
from msgspec.structs import replace

from downloadd.errors import DownloadError, ErrorCode, StoreUnavailableError
from downloadd.import_operation import FileLink, FileStatus, ImportOperation, PendingFile, SkippedEntry, SkipReason
from downloadd.imports.checksum_format import MAX_LIST_BYTES, ChecksumList, parse_checksum_list, place_of
from downloadd.imports.reader_thread import ReaderThread
from downloadd.imports.skipping import shorten
from downloadd.imports.text import read_lines
from downloadd.policy.redaction import redact_url
from downloadd.records.availability import once_available
from downloadd.records.import_protocol import MAX_CHUNK_ROWS, ImportRecords
from downloadd.states import State
from downloadd.storage.destination import Destination
from downloadd.storage.names import parse_filename
from downloadd.verify import strongest

log = structlog.get_logger()

_DOWNLOADED: Final = frozenset({FileStatus.COMPLETED, State.SKIPPED})
_MAX_SEGMENTS: Final = 32
"""Segments at the end of a URL that are compared with the paths of a list."""


class _List:
    """Checksums of one list in the directory `folder`, as `place_of` returns it.

    Attributes:
        by_path: checksums by the path of the file, relative to the directory of the list.
        by_name: checksums by the name without directories; None if files with different checksums have the name.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.by_path: dict[str, str] = {}
        self.by_name: dict[str, str | None] = {}

    def add(self, entries: Iterable[tuple[str, str]]) -> None:
        for path, checksum in entries:
            _keep_strongest(self.by_path, path, checksum)
        for path, checksum in self.by_path.items():
            name = path.rpartition("/")[2]
            if self.by_name.setdefault(name, checksum) != checksum:
                self.by_name[name] = None

    def find(self, link: FileLink) -> str | None:
        """Return the checksum of a file: by its path below the list, else the longest end of it, else its name."""
        places = ["".join(place_of(url)) for url in (link.url, *link.mirrors)]
        paths = [place.removeprefix(self._folder) for place in places if place.startswith(self._folder)]
        for place in (f"/{link.directory}/{link.name}", *(place.partition("://")[2] for place in places)):
            segments = place.split("/")
            start = max(1, len(segments) - _MAX_SEGMENTS)
            paths += ["/".join(segments[first:]) for first in range(start, len(segments) - 1)]
        found = next((self.by_path[path] for path in paths if path in self.by_path), None)
        names = (link.name, place_of(link.url)[1])
        return found or next((checksum for name in names if (checksum := self.by_name.get(name))), None)


class _Checksums:
    """Checksums by the URL of the list that has them, and by the directory and name of the file."""

    def __init__(self) -> None:
        self._by_place: dict[str, str] = {}
        self._lists: dict[str, _List] = {}
        self._unusable: dict[str, tuple[str, str]] = {}

    def add(self, list_url: str, content: bytes) -> ChecksumList:
        """Add the checksums of a list, and return its content."""
        folder, list_name = place_of(list_url)
        parsed = parse_checksum_list(list_name, read_lines(BytesIO(content)))
        for path, checksum in parsed.entries:
            _keep_strongest(self._by_place, f"{folder}{path}", checksum)
        if parsed.entries:
            self._lists.setdefault(list_url, _List(folder)).add(parsed.entries)
        return parsed

    def add_unusable(self, list_url: str, error: str, problem: str) -> None:
        """Add a list without checksums; `error` is that of the files that it was given for."""
        self._unusable[list_url] = error, problem

    def failure(self, list_url: str) -> tuple[str, str]:
        """Return the error of a file that has no checksum in the list that was given for it, and a sentence."""
        error, problem = str(ErrorCode.CHECKSUM_MISMATCH), "it has no checksum that is only of this file"
        if list_url not in self._lists:
            error, problem = self._unusable.get(list_url, (error, "it was not downloaded"))
        return error, f"the list of checksums {shorten(redact_url(list_url))} does not verify the file: {problem}"

    def find_all(self, links: Sequence[FileLink]) -> list[str | None]:
        """Return the checksum of each file; None if no list has it."""
        return [self._find(link) for link in links]

    def _find(self, link: FileLink) -> str | None:
        if link.checksum_list:
            given = self._lists.get(link.checksum_list)
            return None if given is None else given.find(link)
        places = ("".join(place_of(url)) for url in (link.url, *link.mirrors))
        return next((self._by_place[place] for place in places if place in self._by_place), None)


def _keep_strongest(checksums: dict[str, str], path: str, checksum: str) -> None:
    checksums[path] = strongest(checksum, checksums.get(path, checksum))


class ChecksumLists:
    """Lists of checksums that runs have downloaded."""

    def __init__(self, *, records: ImportRecords, destination: Destination, reader_thread: ReaderThread) -> None:
        """Take the components."""
        self._records = records.files
        self._contents = records.contents
        self._destination = destination
        self._reader_thread = reader_thread

    async def apply(self, run: ImportOperation) -> bool:
        """Add the checksums of the downloaded lists to the files of a run that have none and are not started.

        The lists are those of the imports that the run downloads files of, whichever run downloaded them.
        A file whose list was given by its URL fails if the list does not contain it, and with the error of the list if
        that failed: it could not be verified. A list that cannot be used, and lines of one that cannot be read, are
        recorded as a skipped entry of its import. Safe to repeat.

        Returns True if there are skipped entries.

        Raises:
            StoreUnavailableError: the records are unavailable.
        """
        checksums, has_skipped = _Checksums(), False
        for source in run.sources:
            reports: list[SkippedEntry] = []
            async for page in _pages(partial(self._records.lists, source)):
                for file in page:
                    reports += await self._read(checksums, file)
            if reports:
                has_skipped = True
                await self._record(run, source, reports)
        async for page in _pages(partial(self._records.of_run, run.id)):
            await self._apply_to(run, checksums, [file for file in page if _needs_checksum(file)])
        return has_skipped

    async def _apply_to(self, run: ImportOperation, checksums: _Checksums, files: Sequence[PendingFile]) -> None:
        found = await self._reader_thread.run(checksums.find_all, [file.link for file in files])
        changed: list[PendingFile] = []
        for file, checksum in zip(files, found, strict=True):
            if checksum is not None:
                changed.append(replace(file, link=replace(file.link, checksum=checksum)))
            elif file.link.checksum_list:
                error, detail = checksums.failure(file.link.checksum_list)
                failed = replace(file, status=FileStatus.FAILED, error=error, error_detail=detail)
                await once_available(partial(self._records.settle, run.driver, failed))
        if changed:
            await self._records.set_links(run.driver, changed)

    async def _read(self, checksums: _Checksums, file: PendingFile) -> list[SkippedEntry]:
        """Add the checksums of a list, and return the reports about it."""
        if file.status not in _DOWNLOADED:
            checksums.add_unusable(file.link.url, file.error or ErrorCode.CHECKSUM_MISMATCH, "it was not downloaded")
            return []
        content, problem = await self._read_content(file)
        if not problem:
            parsed = await self._reader_thread.run(checksums.add, file.link.url, content)
            if parsed.entries:
                return [_report_lines(file.link, parsed)] if parsed.unread else []
            problem = "it has no line with a checksum and a name"
        checksums.add_unusable(file.link.url, ErrorCode.CHECKSUM_MISMATCH, problem)
        return [_report(SkipReason.UNUSABLE_LIST, file.link, f"cannot be used: {problem}")]

    async def _read_content(self, file: PendingFile) -> tuple[bytes, str]:
        """Return the content of a downloaded list, and the reason if it cannot be read, else ""."""
        if file.path is None:
            return b"", "its path is not recorded"
        directory, _, name = file.path.rpartition("/")
        content = bytearray()
        try:
            async for piece in self._destination.read_file(directory=directory, filename=parse_filename(name)):
                content += piece
                if len(content) > MAX_LIST_BYTES:
                    return b"", f"it is longer than {MAX_LIST_BYTES >> 20} MiB"
        except StoreUnavailableError:
            raise
        except DownloadError as error:
            log.warning("checksum_list_unreadable", path=file.path, error=error.code, detail=error.detail)
            return b"", f"it cannot be read ({error.code})"
        return bytes(content), ""

    async def _record(self, run: ImportOperation, source: str, entries: Sequence[SkippedEntry]) -> None:
        """Record skipped entries of an import, except those that are recorded already."""
        missing, after = list(entries), 0
        while missing and (page := await self._contents.skipped(source, after, MAX_CHUNK_ROWS)):
            recorded = {replace(entry, channel="") for _, entry in page}
            missing = [entry for entry in missing if entry not in recorded]
            after = page[-1][0]
        for entry in missing:
            log.warning("checksum_list_unusable", operation=source, detail=entry.detail)
        if missing:
            await self._contents.add(run.driver, missing, operation=source)


def _needs_checksum(file: PendingFile) -> bool:
    return file.status == FileStatus.RESERVED and file.link.checksum is None and not file.link.is_checksum_list


def _report_lines(link: FileLink, parsed: ChecksumList) -> SkippedEntry:
    lines = "one line" if parsed.unread == 1 else f"{parsed.unread} lines"
    problem = f"has {lines} without a name and a known checksum, the first at line {parsed.first_unread}"
    return _report(SkipReason.MALFORMED, link, problem)


def _report(reason: SkipReason, link: FileLink, problem: str) -> SkippedEntry:
    """Return the report of a list; `problem` is the end of a sentence about it."""
    return SkippedEntry(
        reason=reason,
        detail=f"the list of checksums {shorten(redact_url(link.url))} {problem}",
        line=link.line,
        channel_id=link.channel_id,
    )


async def _pages(read: Callable[[int, int], Awaitable[list[PendingFile]]]) -> AsyncIterator[list[PendingFile]]:
    """Yield all pages; `read` takes the number of the last file and a limit."""
    after = 0
    while page := await read(after, MAX_CHUNK_ROWS):
        yield page
        after = page[-1].number
