"""Lists of URLs, one per line, as `wget -i` and `aria2c -i` read them.

Lines that begin with `#` are comments. As in aria2's input files, a line may contain several URLs of the same file,
separated by tabs. The indented lines below it are options, of which `out`, `dir` and `checksum` are used:
https://aria2.github.io/manual/en/html/aria2c.html#input-file and
https://www.gnu.org/software/wget/manual/html_node/Logging-and-Input-File-Options.html.
"""

import hashlib
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, Final

from downloadd.import_operation import FileLink, ImportErrorCode, ImportItem, SkippedEntry
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.text import MAX_LINE_CHARACTERS, read_lines

MAX_LIST_BYTES: Final = 64 << 20
"""Bytes of a list."""

MAX_MIRRORS: Final = 15

_OPTIONS: Final = frozenset({"out", "dir", "checksum"})


def read_urls(file: BinaryIO) -> Iterator[ImportItem]:
    """Yield the files of a list; see `importers.Reader`."""
    check_list_size(file, "list")
    urls: list[str] = []
    options: dict[str, str] = {}
    has_links = False
    for number, line in enumerate(chain(read_lines(file), ("",)), start=1):
        stripped = line.strip()
        if stripped.startswith("#"):
            continue
        if stripped and line[0] in " \t" and urls:
            name, _, value = stripped.partition("=")
            if name.strip() in _OPTIONS:
                options[name.strip()] = value.strip()
            continue
        if urls:
            has_links = True
            yield _build_file_link(urls, options)
            urls, options = [], {}
        if not stripped:
            continue
        if len(line) > MAX_LINE_CHARACTERS:
            yield SkippedEntry(reason=f"line {number}: longer than {MAX_LINE_CHARACTERS} characters")
            continue
        urls = [url for part in stripped.split("\t") if (url := part.strip())]
        if "://" not in urls[0]:
            # The line is not quoted: without its scheme, it may be a URL with a password.
            yield SkippedEntry(reason=f"line {number}: no URL with its scheme, such as https://")
            urls = []
    if not has_links:
        raise ImportRefusedError("the list contains no URL; write one per line")


def check_list_size(file: BinaryIO, kind: str) -> None:
    """Check the size of a file, which the message calls `kind`.

    Raises:
        ImportRefusedError: the file is longer than `MAX_LIST_BYTES`.
    """
    if file.seek(0, 2) > MAX_LIST_BYTES:
        raise ImportRefusedError(
            f"the {kind} is longer than {MAX_LIST_BYTES >> 20} MiB", ImportErrorCode.FILE_TOO_LARGE
        )


def derive_file_id(url: str) -> str:
    """Return an id for a file that is identified by its URL only."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _build_file_link(urls: list[str], options: dict[str, str]) -> FileLink:
    return FileLink(
        file_id=derive_file_id(urls[0]),
        url=urls[0],
        mirrors=tuple(urls[1 : 1 + MAX_MIRRORS]),
        name=options.get("out", ""),
        directory=options.get("dir", ""),
        checksum=options.get("checksum"),
    )
