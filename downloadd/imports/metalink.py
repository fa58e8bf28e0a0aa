"""Metalink (RFC 5854): files with their mirrors, sizes and hashes, as XML.

Entities are refused: no Metalink needs them, and their expansion has no limit.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO, Final
from xml.parsers import expat

from downloadd.import_operation import FileLink, ImportErrorCode, ImportItem, SkippedEntry
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.url_list import MAX_MIRRORS, derive_file_id

NAMESPACE: Final = "urn:ietf:params:xml:ns:metalink"

_DEFAULT_PRIORITY: Final = 999_999
"""Priority of a URL without one (RFC 5854, section 4.2.16.1)."""
_STRONGEST_FIRST: Final = ("sha-512", "sha-256", "sha-1", "md5")
_MAX_DIGITS: Final = 19
_MAX_TEXT_CHARACTERS: Final = 16 * 1024
_CHUNK_BYTES: Final = 64 * 1024

_MAX_TAG_BYTES: Final = 256 * 1024
"""Bytes of a tag or a comment, which the parser buffers."""
_MAX_DEPTH: Final = 32
"""Levels of nested elements; the format needs five."""
_MAX_NAMES: Final = 5_000
"""Different names of elements, attributes and prefixes, all of which the parser keeps."""
_MAX_URLS: Final = 256
"""URLs of one file that are kept before they are reduced to those with the best priorities."""


def read_metalink(file: BinaryIO) -> Iterator[ImportItem]:
    """Yield the files of a Metalink; see `importers.Reader`."""
    handler = _MetalinkHandler()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = _reject_doctype
    parser.StartNamespaceDeclHandler = handler.prefix
    has_items = False
    parsed_bytes = 0
    try:
        while piece := file.read(_CHUNK_BYTES):
            parser.Parse(piece, False)
            parsed_bytes += len(piece)
            if parsed_bytes - parser.CurrentByteIndex > _MAX_TAG_BYTES:
                raise _too_large_error(f"a tag that is longer than {_MAX_TAG_BYTES >> 10} KiB")
            if len(parser.intern) > _MAX_NAMES:
                raise _too_large_error(f"more than {_MAX_NAMES} different tags")
            has_items = has_items or bool(handler.items)
            yield from handler.drain()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise ImportRefusedError(f"line {error.lineno} of the file is not XML: {reason}") from error
    except (ValueError, LookupError) as error:
        raise ImportRefusedError("the encoding of the file is unknown; save it as UTF-8") from error
    if not handler.is_metalink:
        raise ImportRefusedError("the file is XML, but not a Metalink of RFC 5854")
    has_items = has_items or bool(handler.items)
    yield from handler.drain()
    if not has_items:
        raise ImportRefusedError("the Metalink names no file")


class _MetalinkHandler:
    """Handler of the parser's events, which collects the elements of one file at a time."""

    def __init__(self) -> None:
        self.is_metalink = False
        self.items: list[ImportItem] = []
        self._path: list[str] = []
        self._text = ""
        self._attributes: dict[str, str] = {}
        self._name = ""
        self._size: int | None = None
        self._hashes: dict[str, str] = {}
        self._urls: list[tuple[int, str]] = []
        self._prefixes: set[str] = set()

    def drain(self) -> list[ImportItem]:
        items, self.items = self.items, []
        return items

    def prefix(self, prefix: str | None, _name: str) -> None:
        self._prefixes.add(prefix or "")
        if len(self._prefixes) > _MAX_NAMES:
            raise _too_large_error(f"more than {_MAX_NAMES} different prefixes")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= _MAX_DEPTH:
            raise _too_large_error(f"more than {_MAX_DEPTH} levels of nested elements")
        self._path.append(tag)
        self._text, self._attributes = "", attributes
        if self._path == [f"{NAMESPACE} metalink"]:
            self.is_metalink = True
        if self._is_at("file"):
            self._start_file(attributes.get("name", ""))

    def text(self, text: str) -> None:
        if len(self._text) < _MAX_TEXT_CHARACTERS:
            self._text += text

    def end(self, _tag: str) -> None:
        text = self._text.strip()
        if self._is_at("file"):
            self.items.append(self._finish_file())
        elif self._is_at("file", "size"):
            self._size = _parse_number(text)
        elif self._is_at("file", "hash"):
            # Hashes of pieces have another path.
            algorithm = self._attributes.get("type", "").lower()
            if algorithm in _STRONGEST_FIRST:
                self._hashes[algorithm] = text.lower()
        elif self._is_at("file", "url"):
            priority = _parse_number(self._attributes.get("priority", ""))
            # A text of this length is truncated.
            if text.startswith(("http://", "https://")) and len(self._text) < _MAX_TEXT_CHARACTERS:
                self._urls.append((_DEFAULT_PRIORITY if priority is None else priority, text))
                if len(self._urls) > _MAX_URLS:
                    self._urls = self._best_urls()
        self._path.pop()
        self._text = ""

    def _is_at(self, *tags: str) -> bool:
        return self._path == [f"{NAMESPACE} {tag}" for tag in ("metalink", *tags)]

    def _start_file(self, name: str) -> None:
        self._name, self._size, self._hashes, self._urls = name, None, {}, []

    def _finish_file(self) -> ImportItem:
        path = PurePosixPath(self._name)
        # RFC 5854, section 4.1.2.1: directories are allowed; ".." and absolute paths are not.
        if not self._name or path.is_absolute() or ".." in path.parts or "\\" in self._name:
            return SkippedEntry(reason=f"a name that leads outside of the directory: {self._name[:80]!r}")
        urls = [url for _, url in self._best_urls()]
        if not urls:
            return SkippedEntry(reason=f"{self._name[:80]!r} has no URL for http or https")
        algorithm = next((name for name in _STRONGEST_FIRST if self._hashes.get(name)), None)
        return FileLink(
            file_id=derive_file_id(f"{self._name} {urls[0]}"),
            url=urls[0],
            mirrors=tuple(urls[1:]),
            name=path.name,
            directory="" if str(path.parent) == "." else str(path.parent),
            size=self._size,
            checksum=None if algorithm is None else f"{algorithm}={self._hashes[algorithm]}",
        )

    def _best_urls(self) -> list[tuple[int, str]]:
        return sorted(self._urls, key=lambda one: one[0])[: 1 + MAX_MIRRORS]


def _parse_number(text: str) -> int | None:
    """Return a number; None if the text is not one, or has more digits than a size in bytes can have."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS else None


def _too_large_error(problem: str) -> ImportRefusedError:
    return ImportRefusedError(f"the file has {problem}; no Metalink does", ImportErrorCode.FILE_TOO_LARGE)


def _reject_doctype(*_: object) -> None:
    raise ImportRefusedError("the file has a document type declaration; a Metalink needs none")
