"""Text of unknown encoding, read line by line, so that one line at a time is in memory."""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO, Final

MAX_LINE_CHARACTERS: Final = 512 * 1024
"""Characters of a line: enough for 16 URLs of maximal length."""

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHUNK_BYTES: Final = 64 * 1024


def read_lines(file: BinaryIO) -> Iterator[str]:
    """Yield the lines of a file from its start, each with its line end; leaves the file open.

    A longer line is truncated to `MAX_LINE_CHARACTERS` + 1. The encoding is that of the byte order mark if there is
    one, else UTF-16 if every second of the first bytes is zero, else UTF-8, else the Windows-1252 of old spreadsheets.
    A byte that is invalid in it becomes U+FFFD, so that one malformed name does not cost a whole list.
    """
    start, encoding = _detect_encoding(file)
    file.seek(start)
    text = io.TextIOWrapper(file, encoding, "replace", newline="")
    try:
        whole = True
        while line := text.readline(MAX_LINE_CHARACTERS + 1):
            if whole:
                yield line
            # False: the next piece is the rest of a line that was too long.
            whole = len(line) <= MAX_LINE_CHARACTERS or line.endswith(("\n", "\r"))
    finally:
        # The file is closed before a reader that ended early is collected.
        if not file.closed:
            text.detach()


def _detect_encoding(file: BinaryIO) -> tuple[int, str]:
    """Return the offset of the text and its encoding."""
    file.seek(0)
    start = file.read(4)
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return len(mark), encoding
    if len(start) == 4 and start.count(0) == 2:
        for zeros, encoding in ((start[1::2], "utf-16-le"), (start[::2], "utf-16-be")):
            if zeros == b"\0\0":
                return 0, encoding
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(_CHUNK_BYTES):
            decoder.decode(piece)
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return 0, "cp1252"
    return 0, "utf-8"
