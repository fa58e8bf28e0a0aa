"""Text of unknown encoding, line by line, so that no more of it is held than one line.

Nothing is read but the file that is handed in.
"""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO, Final

MAX_LINE_CHARACTERS: Final = 512 * 1024
"""Characters: sixteen URLs of the greatest length, and room."""

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHUNK_BYTES: Final = 64 * 1024


def read_lines(file: BinaryIO) -> Iterator[str]:
    """The lines of a file from its start, each with its end; of a line that is too long only `MAX_LINE_CHARACTERS` + 1.

    The encoding is that of the byte order mark if there is one, else UTF-8, else Windows-1252 of old spreadsheets.
    What fits none of them becomes U+FFFD: one broken name must not cost a whole list.
    """
    start, encoding = _detect_encoding(file)
    file.seek(start)
    text = io.TextIOWrapper(file, encoding, "replace", newline="")
    try:
        whole = True
        while line := text.readline(MAX_LINE_CHARACTERS + 1):
            if whole:
                yield line
            # What follows is the rest of a line that was too long.
            whole = len(line) <= MAX_LINE_CHARACTERS or line.endswith(("\n", "\r"))
    finally:
        text.detach()


def _detect_encoding(file: BinaryIO) -> tuple[int, str]:
    """Where the text begins, and how it is encoded."""
    file.seek(0)
    start = file.read(4)
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return len(mark), encoding
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(_CHUNK_BYTES):
            decoder.decode(piece)
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return 0, "cp1252"
    return 0, "utf-8"
