"""Metalink (RFC 5854): files with their mirrors, sizes and hashes, as XML.

Entities are refused: no Metalink needs them, and they can make a small file enormous.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO, Final
from xml.parsers import expat

from downloadd.imports.refusal import ImportRefusedError, RefusalCode
from downloadd.imports.urls import MOST_MIRRORS, file_id_of
from downloadd.operation import FileLink, Item, Skipped

NAMESPACE: Final = "urn:ietf:params:xml:ns:metalink"

_LOWEST_PRIORITY: Final = 999_999
"""Of a URL that names none (RFC 5854, section 4.2.16.1)."""
_STRONGEST_FIRST: Final = ("sha-512", "sha-256", "sha-1", "md5")
_MOST_DIGITS: Final = 19
_LONGEST_TEXT: Final = 16 * 1024
_PIECE: Final = 64 * 1024

_LONGEST_TAG: Final = 256 * 1024
"""Bytes of a tag or a comment, of which the parser holds the whole."""
_DEEPEST: Final = 32
"""Elements in each other; the format needs five."""
_MOST_NAMES: Final = 5_000
"""Different names of elements, attributes and prefixes, of which the parser keeps every one."""
_MOST_URLS: Final = 256
"""URLs of one file that are held until it is known which of them are the best."""


def read_metalink(file: BinaryIO) -> Iterator[Item]:
    """The files of a Metalink; see `importers.Importer`."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartNamespaceDeclHandler = reader.prefix
    found = False
    fed = 0
    try:
        while piece := file.read(_PIECE):
            parser.Parse(piece, False)
            fed += len(piece)
            if fed - parser.CurrentByteIndex > _LONGEST_TAG:
                raise _too_much(f"a tag that is longer than {_LONGEST_TAG >> 10} KiB")
            if len(parser.intern) > _MOST_NAMES:
                raise _too_much(f"more than {_MOST_NAMES} different tags")
            found = found or bool(reader.items)
            yield from reader.take()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise ImportRefusedError(f"line {error.lineno} of the file is no XML: {reason}") from error
    except (ValueError, LookupError) as error:
        raise ImportRefusedError("the file is in an encoding that is not known; save it as UTF-8") from error
    if not reader.is_metalink:
        raise ImportRefusedError("the file is XML, but no Metalink of RFC 5854")
    found = found or bool(reader.items)
    yield from reader.take()
    if not found:
        raise ImportRefusedError("the Metalink names no file")


class _Reader:
    """Gathers what stands between the tags of one file."""

    def __init__(self) -> None:
        self.is_metalink = False
        self.items: list[Item] = []
        self._path: list[str] = []
        self._text = ""
        self._attributes: dict[str, str] = {}
        self._name = ""
        self._size: int | None = None
        self._hashes: dict[str, str] = {}
        self._urls: list[tuple[int, str]] = []
        self._prefixes: set[str] = set()

    def take(self) -> list[Item]:
        items, self.items = self.items, []
        return items

    def prefix(self, prefix: str | None, _name: str) -> None:
        self._prefixes.add(prefix or "")
        if len(self._prefixes) > _MOST_NAMES:
            raise _too_much(f"more than {_MOST_NAMES} different prefixes")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= _DEEPEST:
            raise _too_much(f"elements in each other, more than {_DEEPEST} deep")
        self._path.append(tag)
        self._text, self._attributes = "", attributes
        if self._path == [f"{NAMESPACE} metalink"]:
            self.is_metalink = True
        if self._in("file"):
            self._begin(attributes.get("name", ""))

    def text(self, text: str) -> None:
        if len(self._text) < _LONGEST_TEXT:
            self._text += text

    def end(self, _tag: str) -> None:
        text = self._text.strip()
        if self._in("file"):
            self.items.append(self._finish())
        elif self._in("file", "size"):
            self._size = _number(text)
        elif self._in("file", "hash"):
            # Those of pieces stand elsewhere.
            algorithm = self._attributes.get("type", "").lower()
            if algorithm in _STRONGEST_FIRST:
                self._hashes[algorithm] = text.lower()
        elif self._in("file", "url"):
            priority = _number(self._attributes.get("priority", ""))
            # What is as long as that was not read to its end.
            if text.startswith(("http://", "https://")) and len(self._text) < _LONGEST_TEXT:
                self._urls.append((_LOWEST_PRIORITY if priority is None else priority, text))
                if len(self._urls) > _MOST_URLS:
                    self._urls = self._best_urls()
        self._path.pop()
        self._text = ""

    def _in(self, *tags: str) -> bool:
        return self._path == [f"{NAMESPACE} {tag}" for tag in ("metalink", *tags)]

    def _begin(self, name: str) -> None:
        self._name, self._size, self._hashes, self._urls = name, None, {}, []

    def _finish(self) -> Item:
        path = PurePosixPath(self._name)
        # RFC 5854, section 4.1.2.1: directories are allowed, names that climb or begin at the root are not.
        if not self._name or path.is_absolute() or ".." in path.parts or "\\" in self._name:
            return Skipped(reason=f"a name that leads elsewhere: {self._name[:80]!r}")
        urls = [url for _, url in self._best_urls()]
        if not urls:
            return Skipped(reason=f"{self._name[:80]!r} has no URL for http or https")
        algorithm = next((name for name in _STRONGEST_FIRST if self._hashes.get(name)), None)
        return FileLink(
            file_id=file_id_of(f"{self._name} {urls[0]}"),
            url=urls[0],
            mirrors=tuple(urls[1:]),
            name=path.name,
            directory="" if str(path.parent) == "." else str(path.parent),
            size=self._size,
            checksum=None if algorithm is None else f"{algorithm}={self._hashes[algorithm]}",
        )

    def _best_urls(self) -> list[tuple[int, str]]:
        return sorted(self._urls, key=lambda one: one[0])[: 1 + MOST_MIRRORS]


def _number(text: str) -> int | None:
    """What can be counted; None for what is no number, or has more digits than anything has bytes."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS else None


def _too_much(what: str) -> ImportRefusedError:
    return ImportRefusedError(f"the file has {what}; no Metalink does", RefusalCode.FILE_TOO_LARGE)


def _refuse_doctype(*_: object) -> None:
    raise ImportRefusedError("the file has a document type declaration; a Metalink needs none")
