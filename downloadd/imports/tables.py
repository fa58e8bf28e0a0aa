"""Comma-separated values: Rocket.Chat's own import format, or one bare table with a `url` column.

The zip holds `users.csv` (username, email, name), `channels.csv` (name, creator, public or private, members separated
by `;`), `<channel>/*.csv` (username, timestamp, text) and `directmessages/*.csv` (from, to, timestamp, text), without
header lines: https://docs.rocket.chat/docs/csv-importer. The bare table has a header line, in which `url` stands and
`directory`, `filename` and `checksum` may. Quoting is that of RFC 4180; commas, semicolons and tabs separate.
"""

import csv
import io
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, Final

from downloadd.imports.archive import Archive
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.text import LONGEST_LINE, read_lines
from downloadd.imports.urls import file_id_of, require_short
from downloadd.operation import DIRECT_MESSAGES, Channel, FileLink, Item, Messages, Person, Skipped

_ZIP: Final = b"PK\x03\x04"
_DIRECT: Final = "directmessages"
_SEPARATORS: Final = ",;\t"


def read_csv(file: BinaryIO) -> Iterator[Item]:
    """What a zip of tables or a table of URLs holds; see `importers.Importer`."""
    start = file.read(len(_ZIP))
    file.seek(0)
    if start == _ZIP:
        with Archive(file) as archive:
            yield from _read_workspace(archive)
    else:
        yield from _read_table(file)


def _read_workspace(archive: Archive) -> Iterator[Item]:
    names = set(archive.names)
    if not names & {"users.csv", "channels.csv"}:
        raise ImportRefusedError("the archive holds neither users.csv nor channels.csv at its top level")
    known: set[str] = set()
    for row in _rows_in(archive, "users.csv"):
        if len(row) < 2 or not row[0]:
            yield Skipped(reason="users.csv: a line without username and email")
        else:
            yield Person(user_id=row[0], username=row[0], email=row[1])
    for row in _rows_in(archive, "channels.csv"):
        if not row or not row[0]:
            yield Skipped(reason="channels.csv: a line without a name")
        else:
            known.add(row[0])
            yield Channel(
                channel_id=row[0], name=row[0], is_private=len(row) > 2 and row[2].strip().lower() == "private"
            )
    for name in archive.names:
        folder, slash, rest = name.partition("/")
        if not slash or not rest.lower().endswith(".csv"):
            continue
        if folder == _DIRECT:
            if _DIRECT not in known:
                known.add(_DIRECT)
                yield Channel(channel_id=DIRECT_MESSAGES, name="Direct Messages", is_private=True, is_direct=True)
        elif folder not in known:
            known.add(folder)
            yield Channel(channel_id=folder, name=folder)
        yield Messages(count=sum(1 for row in _rows_in(archive, name) if row))


def _read_table(file: BinaryIO) -> Iterator[Item]:
    require_short(file, "table")
    rows = _rows(file)
    header = [cell.strip().lower() for cell in next(rows, [])]
    if "url" not in header:
        raise ImportRefusedError("the table has no column that is headed url")
    found = False
    for number, row in enumerate(rows, start=2):
        cells = {name: cell.strip() for name, cell in zip(header, row, strict=False)}
        url = cells.get("url", "")
        if not any(cells.values()):
            continue
        if "://" not in url:
            yield Skipped(reason=f"line {number}: no URL")
            continue
        found = True
        yield FileLink(
            file_id=file_id_of(url),
            url=url,
            name=cells.get("filename", ""),
            directory=cells.get("directory", ""),
            checksum=cells.get("checksum") or None,
        )
    if not found:
        raise ImportRefusedError("the table names no file: the column url is empty")


def _rows_in(archive: Archive, name: str) -> Iterator[list[str]]:
    return _rows(io.BytesIO(archive.read(name)))


def _rows(file: BinaryIO) -> Iterator[list[str]]:
    lines = _Lines(file)
    try:
        for row in csv.reader(lines, delimiter=lines.separator):
            lines.row_ends()
            yield row
    except csv.Error as error:
        raise ImportRefusedError(f"the table cannot be read: {error}") from error


class _Lines:
    """The lines of a table, for a reader that holds all cells of a row, which a quotation mark keeps from ending."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = read_lines(file)
        self._length = 0
        first = next(self._lines, "")
        self._lines = chain((first,), self._lines)
        self.separator = max(_SEPARATORS, key=first.count)

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._length += len(line)
            if self._length > LONGEST_LINE:
                raise ImportRefusedError(f"a row of the table is longer than {LONGEST_LINE} characters")
            yield line.replace("\0", "")

    def row_ends(self) -> None:
        self._length = 0
