"""Comma-separated values: Rocket.Chat's own import format, or one table with a `url` column.

The zip contains `users.csv` (username, email, name), `channels.csv` (name, creator, `public` or `private`, members
separated by `;`), `<channel>/*.csv` (username, timestamp, text) and `directmessages/*.csv` (from, to, timestamp, text),
without header lines: https://docs.rocket.chat/docs/csv-importer. The single table has a header line with `url` and,
optionally, `directory`, `filename` and `checksum`, or columns of hex digits that are named by their algorithm, such as
`sha256` and `MD5`. Quoting is that of RFC 4180; the separator is a comma, a semicolon
or a tab: that of a first line `sep=;`, as Excel writes it, else the most frequent one of the header. Empty lines before
the header are skipped.

Text after a closing quotation mark (`"5" disk`) is part of its cell, unless the row has several lines: then an earlier
quotation mark has probably joined rows, and the row is reported.
"""

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, Final

from downloadd.import_operation import (
    DIRECT_MESSAGES_CHANNEL_ID,
    Channel,
    FileLink,
    ImportItem,
    MessageCount,
    SkippedEntry,
    SkipReason,
    WorkspaceUser,
)
from downloadd.imports.archive import Archive
from downloadd.imports.archive_entries import report_unread
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.skipping import malformed, shorten
from downloadd.imports.text import MAX_LINE_CHARACTERS, read_lines
from downloadd.imports.url_list import check_list_size, derive_file_id, no_url
from downloadd.verify import STRONGEST_FIRST, find_algorithm, format_checksum

_ZIP_SIGNATURE: Final = b"PK\x03\x04"
_DIRECT_MESSAGES_FOLDER: Final = "directmessages"
_LISTS: Final = frozenset({"users.csv", "channels.csv"})
_HEADINGS: Final = ("url", "directory", "filename", "checksum", *STRONGEST_FIRST)
"""Headings of the columns of a table that are used."""
_SEPARATORS: Final = ",;\t"
_JOINED_ROWS: Final = "text follows a quotation mark that closes a cell of several lines; is an earlier one not closed?"
_SEPARATOR_LINE: Final = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)

_NumberedRow = tuple[int, list[str] | SkippedEntry]
"""Row with the number of its first line."""


def read_csv(file: BinaryIO) -> Iterator[ImportItem]:
    """Yield the items of a zip of tables or of a table of URLs; see `importers.Reader`."""
    start = file.read(len(_ZIP_SIGNATURE))
    file.seek(0)
    if start == _ZIP_SIGNATURE:
        with Archive(file) as archive:
            yield from _read_workspace(archive)
    else:
        yield from _read_table(file)


def _read_workspace(archive: Archive) -> Iterator[ImportItem]:
    top = _find_top_folder(archive)
    lists = {f"{top}{name}" for name in _LISTS}
    known: set[str] = set()
    yield from report_unread(archive)
    yield from _read_users(archive, f"{top}users.csv")
    for line, row in _read_member_rows(archive, f"{top}channels.csv"):
        if isinstance(row, SkippedEntry):
            yield row
        elif not row[0]:
            yield malformed(f"{top}channels.csv", "a line without a name", line=line)
        else:
            known.add(row[0])
            yield Channel(
                channel_id=row[0], name=row[0], is_private=len(row) > 2 and row[2].strip().lower() == "private"
            )
    for name in archive.names:
        folder, slash, rest = name.removeprefix(top).partition("/")
        if name in lists:
            continue
        if not name.startswith(top) or not slash or not rest.lower().endswith(".csv"):
            yield SkippedEntry(
                reason=SkipReason.UNKNOWN_ENTRY,
                detail="exports in CSV have no such entry",
                entry=shorten(name),
            )
            continue
        if folder == _DIRECT_MESSAGES_FOLDER:
            if _DIRECT_MESSAGES_FOLDER not in known:
                known.add(_DIRECT_MESSAGES_FOLDER)
                yield Channel(
                    channel_id=DIRECT_MESSAGES_CHANNEL_ID, name="Direct Messages", is_private=True, is_direct=True
                )
        elif folder not in known:
            known.add(folder)
            yield Channel(channel_id=folder, name=folder)
        yield from _count_messages(archive, name)


def _find_top_folder(archive: Archive) -> str:
    """Return the directory of the lists within the archive, with its slash; "" for the top level."""
    parts = (name.rpartition("/") for name in archive.names)
    # A program that packs a directory puts it above the lists; a channel is a level below it.
    tops = {f"{folder}{slash}" for folder, slash, base in parts if base in _LISTS and "/" not in folder}
    if not tops:
        raise ImportRefusedError("the archive has neither users.csv nor channels.csv at its top level")
    return min(tops)


def _read_users(archive: Archive, name: str) -> Iterator[ImportItem]:
    for line, row in _read_member_rows(archive, name):
        if isinstance(row, SkippedEntry):
            yield row
        elif len(row) < 2 or not row[0]:
            yield malformed(name, "a line without username and email", line=line)
        else:
            yield WorkspaceUser(user_id=row[0], username=row[0], email=row[1])


def _count_messages(archive: Archive, name: str) -> Iterator[ImportItem]:
    count = 0
    try:
        for _, row in _read_member_rows(archive, name):
            if isinstance(row, SkippedEntry):
                yield row
            else:
                count += 1
    except _UnclosedQuoteError as error:
        yield malformed(name, str(error), line=error.line)
    yield MessageCount(count=count)


def _read_table(file: BinaryIO) -> Iterator[ImportItem]:
    check_list_size(file, "table")
    rows = _read_rows(file, "")
    header = _read_header(rows)
    has_files = False
    for line, row in rows:
        if isinstance(row, SkippedEntry):
            has_files = True
            yield row
        elif any(cell.strip() for cell in row):
            item = _read_link(header, line, row)
            has_files = has_files or isinstance(item, FileLink) or item.reason is not SkipReason.NO_URL
            yield item
    if not has_files:
        raise ImportRefusedError("the table names no file: the column url is empty")


def _read_header(rows: Iterator[_NumberedRow]) -> list[str]:
    """Return the headings of a table: its first row that is not empty.

    Raises:
        ImportRefusedError: it cannot be read, has no heading `url`, or has one that is used twice.
    """
    header: list[str] = []
    while not any(header) and (first := next(rows, None)) is not None:
        line, row = first
        if isinstance(row, SkippedEntry):
            raise ImportRefusedError(f"the header at line {line} cannot be read: {_JOINED_ROWS}")
        header = [find_algorithm(cell) or cell.strip().lower() for cell in row]
    if "url" not in header:
        raise ImportRefusedError("the table has no column with the heading url")
    for name in _HEADINGS:
        if header.count(name) > 1:
            raise ImportRefusedError(f"the table has several columns with the heading {name}; keep or rename one")
    return header


def _read_link(header: list[str], line: int, row: list[str]) -> FileLink | SkippedEntry:
    if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
        return SkippedEntry(
            reason=SkipReason.TOO_MANY_CELLS,
            detail=f"line {line}: {len(row)} cells, but the header has {len(header)}; quote cells",
            line=line,
        )
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=False)}
    url = cells.get("url", "")
    if "://" not in url:
        return no_url(line)
    return FileLink(
        file_id=derive_file_id(url),
        url=url,
        name=cells.get("filename", ""),
        directory=cells.get("directory", ""),
        checksum=cells.get("checksum") or _find_digest(cells),
        line=line,
    )


def _find_digest(cells: dict[str, str]) -> str | None:
    """Return the checksum in the column of the strongest algorithm; None if all of them are empty."""
    found = ((algorithm, cells.get(algorithm)) for algorithm in STRONGEST_FIRST)
    return next((format_checksum(algorithm, digest) for algorithm, digest in found if digest), None)


def _read_member_rows(archive: Archive, name: str) -> Iterator[_NumberedRow]:
    """Yield the rows of an entry, without empty ones; see `_read_rows`."""
    return ((line, row) for line, row in _read_rows(io.BytesIO(archive.read(name)), name) if row)


def _read_rows(file: BinaryIO, entry: str) -> Iterator[_NumberedRow]:
    """Yield the rows of an entry, or of a table alone (""), with the numbers of their first lines.

    A row that quotation marks joined from others is a report.

    Raises:
        ImportRefusedError: the table cannot be read.
    """
    name = entry or "the table"
    lines = _RowLimitedLines(file, name)
    try:
        for row in csv.reader(lines, delimiter=lines.separator):
            is_joined = len(lines.row) > 1 and not _is_strict(lines.row, lines.separator)
            line = lines.end_row()
            yield line, _report_joined(entry, line) if is_joined else row
    except csv.Error as error:
        raise ImportRefusedError(f"{name} cannot be read: line {lines.next_row}: {error}") from error


def _report_joined(entry: str, line: int) -> SkippedEntry:
    return malformed(entry, _JOINED_ROWS if entry else f"line {line}: {_JOINED_ROWS}", line=line)


def _is_strict(lines: list[str], separator: str) -> bool:
    """Return True if each closing quotation mark of a row is at the end of its cell."""
    try:
        return bool(next(csv.reader(lines, delimiter=separator, strict=True)))
    except csv.Error:
        return False


class _UnclosedQuoteError(ImportRefusedError):
    """A quotation mark that opens a cell, and that no other one closes."""

    def __init__(self, name: str, line: int) -> None:
        super().__init__(
            f"{name} cannot be read: a quotation mark in the row at line {line} is not closed; "
            "close it, or double it and quote the cell"
        )
        self.line = line


class _RowLimitedLines:
    """Lines of a table, with a limit on the length of a row, which an open quotation mark extends over lines.

    Attributes:
        separator: separator of the cells.
        row: the lines of the row under way.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.row: list[str] = []
        self._name = name
        self._lines = read_lines(file)
        self._length = 0
        self._line = 0
        first = next(self._lines, "")
        while first and not first.strip():
            self._line += 1
            first = next(self._lines, "")
        given = _SEPARATOR_LINE.fullmatch(first)
        if given is not None:
            self._line += 1
            self.separator = given[1]
        else:
            self._lines = chain((first,), self._lines)
            self.separator = max(_SEPARATORS, key=first.count)
        self._first_line = self._line

    @property
    def next_row(self) -> int:
        """Return the number of the first line of the row under way."""
        return self._first_line + 1

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._line += 1
            self._length += len(line)
            if self._length > MAX_LINE_CHARACTERS:
                raise ImportRefusedError(
                    f"{self._name} cannot be read: the row at line {self.next_row} is longer than "
                    f"{MAX_LINE_CHARACTERS} characters; is a quotation mark not closed?"
                )
            text = line.replace("\0", "")
            self.row.append(text)
            yield text
        # The reader asks for another line within a row only if a quotation mark is open.
        if self._length:
            raise _UnclosedQuoteError(self._name, self.next_row)

    def end_row(self) -> int:
        """Begin the next row, and return the number of the first line of this one."""
        first, self._first_line, self._length, self.row = self.next_row, self._line, 0, []
        return first
