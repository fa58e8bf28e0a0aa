"""Lists of checksums beside files: `SHA256SUMS`, `MD5SUMS`, `*.sha256` and others like them.

A line is that of GNU coreutils (`<hex>  <name>`, with `*` before the name of a binary file), that of BSD
(`SHA256 (<name>) = <hex>`), or the hex digits alone in a list of one file.
Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote, urlsplit

from downloadd.verify import ALGORITHMS, find_algorithm, format_checksum

MAX_LIST_BYTES: Final = 16 << 20
"""Bytes of a list of checksums."""

_WORDS: Final = "|".join(ALGORITHMS.values())
_LIST_NAME: Final = re.compile(rf"(?:.*[._-])?(?P<sums>{_WORDS})-?sums?(?:\.(?:txt|asc))?", re.IGNORECASE)
_SUFFIX: Final = re.compile(rf"(?P<file>.+)\.(?P<suffix>{_WORDS})", re.IGNORECASE)
_GNU_LINE: Final = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9A-Fa-f]{32,128})[ \t]+\*?(?P<name>\S.*)")
_BSD_LINE: Final = re.compile(r"(?P<algorithm>[A-Za-z0-9-]{3,9}) ?\((?P<name>.+)\) ?= ?(?P<digest>[0-9A-Fa-f]{32,128})")
_BARE_LINE: Final = re.compile(r"(?P<digest>[0-9A-Fa-f]{32,128})")
_BY_DIGITS: Final = {32: "md5", 40: "sha-1", 64: "sha-256", 96: "sha-384", 128: "sha-512"}


def is_checksum_list(name: str) -> bool:
    """Return True if a file of this name is a list of checksums."""
    return _LIST_NAME.fullmatch(name) is not None or _SUFFIX.fullmatch(name) is not None


def parse_checksum_list(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the checksum of each file in the list of this name; other lines are left out."""
    named = _SUFFIX.fullmatch(name)
    for line in text.splitlines():
        stripped = line.strip()
        bsd, gnu, bare = (pattern.fullmatch(stripped) for pattern in (_BSD_LINE, _GNU_LINE, _BARE_LINE))
        if bsd is not None:
            algorithm = find_algorithm(bsd["algorithm"])
            if algorithm is not None and _BY_DIGITS.get(len(bsd["digest"])) == algorithm:
                yield _clean(bsd["name"]), format_checksum(algorithm, bsd["digest"].lower())
            continue
        match = gnu or bare
        algorithm = None if match is None else _BY_DIGITS.get(len(match["digest"]))
        if match is None or algorithm is None:
            continue
        if gnu is not None:
            yield _clean(_unescape(gnu)), format_checksum(algorithm, gnu["digest"].lower())
        elif named is not None:
            yield named["file"], format_checksum(algorithm, match["digest"].lower())


def place_of(url: str) -> tuple[str, str]:
    """Return the directory of a URL, without its query, and the name of its file, decoded."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    folder, _, name = unquote(parts.path).rpartition("/")
    return f"{parts.scheme}://{parts.netloc}{folder}/", name


def _unescape(line: "re.Match[str]") -> str:
    name = line["name"]
    return name.replace("\\n", "\n").replace("\\\\", "\\") if line["escaped"] else name


def _clean(name: str) -> str:
    return name.strip().removeprefix("./")
