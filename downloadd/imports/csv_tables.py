"""Comma-separated values: Rocket.Chat's own import format, or one table with a `url` column.

The zip contains `users.csv` (username, email, name), `channels.csv` (name, creator, `public` or `private`, members
separated by `;`), `<channel>/*.csv` (username, timestamp, text) and `directmessages/*.csv` (from, to, timestamp, text),
without header lines: https://docs.rocket.chat/docs/csv-importer. The single table has a header line with `url` and,
optionally, `directory`, `filename` and `checksum`. Quoting is that of RFC 4180; the separator is a comma, a semicolon
or a tab.
"""

import csv
import io
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
    WorkspaceUser,
)
from downloadd.imports.archive import Archive
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.text import MAX_LINE_CHARACTERS, read_lines
from downloadd.imports.url_list import check_list_size, derive_file_id

_ZIP_SIGNATURE: Final = b"PK\x03\x04"
_DIRECT_MESSAGES_FOLDER: Final = "directmessages"
_SEPARATORS: Final = ",;\t"


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
    if not names & {"users.csv", "channels.csv"}:
        raise ImportRefusedError("the archive has neither users.csv nor channels.csv at its top level")
    known: set[str] = set()
    for row in _read_member_rows(archive, "users.csv"):
        if len(row) < 2 or not row[0]:
            yield SkippedEntry(reason="users.csv: a line without username and email")
        else:
            yield WorkspaceUser(user_id=row[0], username=row[0], email=row[1])
    for row in _read_member_rows(archive, "channels.csv"):
        if not row or not row[0]:
            yield SkippedEntry(reason="channels.csv: a line without a name")
        else:
            known.add(row[0])
            yield Channel(
                channel_id=row[0], name=row[0], is_private=len(row) > 2 and row[2].strip().lower() == "private"
            )
    for name in archive.names:
        folder, slash, rest = name.partition("/")
        if not slash or not rest.lower().endswith(".csv"):
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
        yield MessageCount(count=sum(1 for row in _read_member_rows(archive, name) if row))


def _read_table(file: BinaryIO) -> Iterator[ImportItem]:
    check_list_size(file, "table")
    rows = _read_rows(file)
    header = [cell.strip().lower() for cell in next(rows, [])]
    if "url" not in header:
        raise ImportRefusedError("the table has no column with the heading url")
    has_links = False
    for number, row in enumerate(rows, start=2):
        cells = {name: cell.strip() for name, cell in zip(header, row, strict=False)}
        url = cells.get("url", "")
        if not any(cells.values()):
            continue
        if "://" not in url:
            yield SkippedEntry(reason=f"line {number}: no URL with its scheme, such as https://")
            continue
        has_links = True
        yield FileLink(
            file_id=derive_file_id(url),
            url=url,
            name=cells.get("filename", ""),
            directory=cells.get("directory", ""),
            checksum=cells.get("checksum") or None,
        )
    if not has_links:
        raise ImportRefusedError("the table names no file: the column url is empty")


def _read_member_rows(archive: Archive, name: str) -> Iterator[list[str]]:
    return _read_rows(io.BytesIO(archive.read(name)))


def _read_rows(file: BinaryIO) -> Iterator[list[str]]:
    lines = _RowLimitedLines(file)
    try:
        for row in csv.reader(lines, delimiter=lines.separator):
            lines.end_row()
            yield row
    except csv.Error as error:
        raise ImportRefusedError(f"the table cannot be read: {error}") from error


class _RowLimitedLines:
    """Lines of a table, with a limit on the length of a row, which an open quotation mark extends over lines."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = read_lines(file)
        self._length = 0
        first = next(self._lines, "")
        self._lines = chain((first,), self._lines)
        self.separator = max(_SEPARATORS, key=first.count)

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._length += len(line)
            if self._length > MAX_LINE_CHARACTERS:
                raise ImportRefusedError(f"a row of the table is longer than {MAX_LINE_CHARACTERS} characters")
            yield line.replace("\0", "")

    def end_row(self) -> None:
        self._length = 0
