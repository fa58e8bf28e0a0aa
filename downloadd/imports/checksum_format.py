"""Lists of checksums beside files: `SHA256SUMS`, `MD5SUMS`, `*.sha256` and others like them.

A line is that of GNU coreutils (`<hex>  <name>`, with `*` before the name of a binary file), that of BSD
(`SHA256 (<name>) = <hex>`) or of OpenSSL (`SHA2-256(<name>)= <hex>`), or the hex digits alone in a list of one file.
Empty lines, comments (`#`) and the signature of OpenPGP (RFC 9580, section 7) hold no checksum.
Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from downloadd.errors import InvalidUrlError
from downloadd.policy.url import parse_url
from downloadd.verify import ALGORITHMS, find_algorithm, format_checksum

MAX_LIST_BYTES: Final = 16 << 20
"""Bytes of a list of checksums."""

_WORDS: Final = "|".join(ALGORITHMS.values())
_LIST_NAME: Final = re.compile(rf"(?:.*[._-])?(?P<sums>{_WORDS})-?sums?(?:\.(?:txt|asc))?", re.IGNORECASE)
_SUFFIX: Final = re.compile(rf"(?P<file>.+)\.(?P<suffix>{_WORDS})", re.IGNORECASE)
_GNU_LINE: Final = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9A-Fa-f]{32,128})[ \t]+\*?(?P<name>\S.*)")
_BSD_LINE: Final = re.compile(r"(?P<algorithm>[A-Za-z0-9-]{3,9}) ?\((?P<name>.+)\) ?= ?(?P<digest>[0-9A-Fa-f]{32,128})")
_BARE_LINE: Final = re.compile(r"(?P<digest>[0-9A-Fa-f]{32,128})")
_ARMOR: Final = {
    "-----BEGIN PGP SIGNED MESSAGE-----": "",
    "-----BEGIN PGP SIGNATURE-----": "-----END PGP SIGNATURE-----",
}
"""First and last lines of what a signature adds to a text."""
_SEPARATOR: Final = re.compile(r"[/\\]")
_BY_DIGITS: Final = {32: "md5", 40: "sha-1", 64: "sha-256", 96: "sha-384", 128: "sha-512"}


def is_checksum_list(name: str) -> bool:
    """Return True if a file of this name is a list of checksums."""
    return _LIST_NAME.fullmatch(name) is not None or _SUFFIX.fullmatch(name) is not None


class ChecksumList(msgspec.Struct, frozen=True, kw_only=True):
    """Content of a list of checksums."""

    entries: list[tuple[str, str]]
    """Path and checksum of each file."""
    unread: int
    """Number of lines that hold no checksum and name, though a list has no other lines."""
    first_unread: int
    """Number of the first of them, from 1; 0 if there are none."""


def parse_checksum_list(name: str, lines: Iterable[str]) -> ChecksumList:
    """Return the content of the list of this name.

    `a.iso.sha256` may name its one file with the directories of the machine that made the list: `dist/a.iso`.
    """
    named = _SUFFIX.fullmatch(name)
    file = None if named is None else named["file"]
    entries: list[tuple[str, str]] = []
    unread = first_unread = 0
    for number, line in _number_content(lines):
        found = _parse_line(line, file)
        if found is not None:
            entries.append(found)
        else:
            unread += 1
            first_unread = first_unread or number
    if len(entries) == 1:
        path, checksum = entries[0]
        if path != file == _SEPARATOR.split(path)[-1]:
            entries.append((file, checksum))
    return ChecksumList(entries=entries, unread=unread, first_unread=first_unread)


def file_name_of(url: str) -> str:
    """Return the name of the file of a URL, without its query, decoded."""
    try:
        return unquote(urlsplit(url).path).rpartition("/")[2]
    except ValueError:
        return ""


def place_of(url: str) -> tuple[str, str]:
    """Return the directory of a URL, in one spelling of its server, and the name of its file, decoded."""
    try:
        origin = parse_url(url).origin
        path = unquote(urlsplit(url).path)
    except (InvalidUrlError, ValueError):
        return "", ""
    folder, _, name = path.rpartition("/")
    return f"{origin}{folder}/", name


def _number_content(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that should hold a checksum, stripped, with their numbers."""
    end: str | None = None
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if end is not None:
            end = None if text == end else end
        elif text in _ARMOR:
            end = _ARMOR[text]
        elif text and not text.startswith("#"):
            yield number, text


def _parse_line(line: str, named: str | None) -> tuple[str, str] | None:
    """Return the path and the checksum in a line; the path of digits alone is `named`."""
    bsd, gnu, bare = (pattern.fullmatch(line) for pattern in (_BSD_LINE, _GNU_LINE, _BARE_LINE))
    if bsd is not None:
        algorithm = find_algorithm(bsd["algorithm"])
        if algorithm is None or _BY_DIGITS.get(len(bsd["digest"])) != algorithm:
            return None
        return _clean(bsd["name"]), format_checksum(algorithm, bsd["digest"].lower())
    match = gnu or bare
    algorithm = None if match is None else _BY_DIGITS.get(len(match["digest"]))
    if match is None or algorithm is None:
        return None
    path = named if gnu is None else _clean(_unescape(gnu))
    return None if path is None else (path, format_checksum(algorithm, match["digest"].lower()))


def _unescape(line: "re.Match[str]") -> str:
    name = line["name"]
    return name.replace("\\n", "\n").replace("\\\\", "\\") if line["escaped"] else name


def _clean(name: str) -> str:
    return name.strip().removeprefix("./")
