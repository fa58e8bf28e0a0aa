"""Comma-separated values: Rocket.Chat's own import format, or one table with a `url` column.

The zip contains `users.csv` (username, email, name), `channels.csv` (name, creator, `public` or `private`, members
separated by `;`), `<channel>/*.csv` (username, timestamp, text) and `directmessages/*.csv` (from, to, timestamp, text),
without header lines: https://docs.rocket.chat/docs/csv-importer. The single table has a header line with `url` and,
optionally, `directory`, `filename` and `checksum`. Quoting is that of RFC 4180; the separator is a comma, a semicolon
or a tab: that of a first line `sep=;`, as Excel writes it, else the most frequent one of the header.
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
from downloadd.imports.archive_entries import report_duplicates
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.skipping import malformed, shorten
from downloadd.imports.text import MAX_LINE_CHARACTERS, read_lines
from downloadd.imports.url_list import check_list_size, derive_file_id, no_url

_ZIP_SIGNATURE: Final = b"PK\x03\x04"
_DIRECT_MESSAGES_FOLDER: Final = "directmessages"
_LISTS: Final = frozenset({"users.csv", "channels.csv"})
_SEPARATORS: Final = ",;\t"
_SEPARATOR_LINE: Final = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)


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
    names = set(archive.names)
    if not names & _LISTS:
        raise ImportRefusedError("the archive has neither users.csv nor channels.csv at its top level")
    known: set[str] = set()
    yield from report_duplicates(archive.duplicates)
    for line, row in _read_member_rows(archive, "users.csv"):
        if len(row) < 2 or not row[0]:
            yield malformed("users.csv", "a line without username and email", line=line)
        else:
            yield WorkspaceUser(user_id=row[0], username=row[0], email=row[1])
    for line, row in _read_member_rows(archive, "channels.csv"):
        if not row[0]:
            yield malformed("channels.csv", "a line without a name", line=line)
        else:
            known.add(row[0])
            yield Channel(
                channel_id=row[0], name=row[0], is_private=len(row) > 2 and row[2].strip().lower() == "private"
            )
    for name in archive.names:
        folder, slash, rest = name.partition("/")
        if name in _LISTS:
            continue
        if not slash or not rest.lower().endswith(".csv"):
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
        yield MessageCount(count=sum(1 for _ in _read_member_rows(archive, name)))


def _read_table(file: BinaryIO) -> Iterator[ImportItem]:
    check_list_size(file, "table")
    rows = _read_rows(file)
    header = [cell.strip().lower() for cell in next(rows, (0, []))[1]]
    if "url" not in header:
        raise ImportRefusedError("the table has no column with the heading url")
    has_files = False
    for line, row in rows:
        if any(cell.strip() for cell in row):
            item = _read_link(header, line, row)
            has_files = has_files or isinstance(item, FileLink) or item.reason is not SkipReason.NO_URL
            yield item
    if not has_files:
        raise ImportRefusedError("the table names no file: the column url is empty")


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
        checksum=cells.get("checksum") or None,
        line=line,
    )


def _read_member_rows(archive: Archive, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of an entry with their lines, without empty ones."""
    return ((line, row) for line, row in _read_rows(io.BytesIO(archive.read(name))) if row)


def _read_rows(file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with the numbers of their first lines."""
    lines = _RowLimitedLines(file)
    try:
        for row in csv.reader(lines, delimiter=lines.separator):
            yield lines.end_row(), row
    except csv.Error as error:
        raise ImportRefusedError(f"the table cannot be read: {error}") from error


class _RowLimitedLines:
    """Lines of a table, with a limit on the length of a row, which an open quotation mark extends over lines."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = read_lines(file)
        self._length = 0
        self._line = self._first_line = 0
        first = next(self._lines, "")
        given = _SEPARATOR_LINE.fullmatch(first)
        if given is not None:
            self._line = self._first_line = 1
            self.separator = given[1]
        else:
            self._lines = chain((first,), self._lines)
            self.separator = max(_SEPARATORS, key=first.count)

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._line += 1
            self._length += len(line)
            if self._length > MAX_LINE_CHARACTERS:
                raise ImportRefusedError(f"a row of the table is longer than {MAX_LINE_CHARACTERS} characters")
            yield line.replace("\0", "")

    def end_row(self) -> int:
        """Begin the next row, and return the number of the first line of this one."""
        first, self._first_line, self._length = self._first_line + 1, self._line, 0
        return first
